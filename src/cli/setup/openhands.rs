//! OpenHands' command line: model, address and key in the settings that it keeps of its agent.
//!
//! `agent_settings.json` is OpenHands' own picture of its whole agent, whose form changes with its versions.
//! So nothing is made where there is none, and in one that is there no more is changed than three values of
//! each model that it names. Without such a file it takes them from the environment.

use std::path::PathBuf;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstRootNode};

use crate::rpc::ImportSource;

use super::agent::{Agent, Around, Edit, KeyUse, Plugged, Refused, Replaced, Wants};
use super::shell::word;

/// Where models are named in the settings: the agent's own, and the one that shortens long conversations.
const MODELS: [&[&str]; 2] = [&["llm"], &["condenser", "llm"]];

/// What is said of each.
const FIELDS: [&str; 3] = ["model", "base_url", "api_key"];

/// How models are named that speak OpenAI's dialect.
const DIALECT: &str = "openai/";

/// How keys of ours begin.
const KEY_BEGINS: &str = "vk_";

pub(super) struct OpenHands;

impl Edit for OpenHands {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        if text.trim().is_empty() {
            return Err(Refused::Shape(
                "OpenHands makes that file when its settings are first saved, and it is not there yet".to_owned(),
            ));
        }
        let (file, top) = read(text)?;
        let mut replaced = Replaced::new();
        for place in MODELS {
            let Some(model) = at(&top, place) else { continue };
            let wanted =
                [model_for(&model, wants)?, wants.base_url.clone(), wants.key_text().to_owned()];
            for (field, wanted) in FIELDS.into_iter().zip(wanted) {
                if said(&model, field).as_deref() == Some(&wanted) {
                    continue;
                }
                if let Some(before) = model.get(field).and_then(|field| field.value()) {
                    replaced.insert(name(place, field), before.to_string());
                }
                put(&model, field, wanted.as_str().into());
            }
        }
        if at(&top, MODELS[0]).is_none() {
            return Err(Refused::Shape("it holds no `llm`".to_owned()));
        }
        Ok(Plugged { text: file.to_string(), replaced })
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        if text.trim().is_empty() {
            return Ok(text.to_owned());
        }
        let (file, top) = read(text)?;
        for place in MODELS {
            let Some(model) = at(&top, place).filter(is_ours) else { continue };
            for field in FIELDS {
                let before = replaced
                    .get(&name(place, field))
                    .and_then(|before| serde_json::from_str(before).ok());
                match before {
                    Some(serde_json::Value::String(before)) => {
                        put(&model, field, before.as_str().into())
                    }
                    // A model is left as it is: there has to be one.
                    _ if field == "model" => {}
                    _ => put(&model, field, CstInputValue::Null),
                }
            }
        }
        Ok(file.to_string())
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        if text.trim().is_empty() {
            return Ok(false);
        }
        let (_, top) = read(text)?;
        Ok(at(&top, MODELS[0]).as_ref().is_some_and(is_ours))
    }
}

impl Agent for OpenHands {
    fn name(&self) -> &'static str {
        "openhands"
    }

    fn title(&self) -> &'static str {
        "OpenHands"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["openhands"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        Some(around.folder("OPENHANDS_PERSISTENCE_DIR", ".openhands").join("agent_settings.json"))
    }

    fn key(&self) -> KeyUse {
        KeyUse::Embedded
    }

    fn lists_models(&self) -> bool {
        true
    }

    fn own_login(&self) -> Option<ImportSource> {
        Some(ImportSource::Openhands)
    }

    fn place(&self) -> Option<&'static str> {
        Some("in a terminal")
    }

    fn by_hand(&self, wants: &Wants) -> String {
        let model = wants.model_or_first().unwrap_or("MODEL");
        let mut lease = wants.lease("openhands");
        lease.extend(["--ttl".to_owned(), "24h".to_owned()]);
        let lease: Vec<String> = lease.iter().map(|text| word(text)).collect();
        format!(
            "export LLM_MODEL={}\nexport LLM_BASE_URL={}\nexport LLM_API_KEY=\"$({})\"\nopenhands --override-with-envs",
            word(&format!("{DIALECT}{model}")),
            word(&wants.base_url),
            lease.join(" ")
        )
    }
}

/// The model that stands there if the login has it, else the one to be set.
fn model_for(model: &CstObject, wants: &Wants) -> Result<String, Refused> {
    let now = said(model, "model");
    let name = now.as_deref().and_then(|now| now.strip_prefix(DIALECT));
    let stays =
        name.filter(|name| wants.model.is_none() && wants.models.iter().any(|known| known == name));
    let chosen = stays.or(wants.model_or_first());
    let chosen = chosen
        .ok_or_else(|| Refused::Shape("no model is known yet; `--model` names one".to_owned()))?;
    Ok(format!("{DIALECT}{chosen}"))
}

fn read(text: &str) -> Result<(CstRootNode, CstObject), Refused> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let file = CstRootNode::parse(text, &strict).map_err(|error| {
        Refused::broken(text, error.range().start, format!("not JSON: {}", error.kind()))
    })?;
    let top =
        file.object_value().ok_or_else(|| Refused::Shape("it is not a JSON object".to_owned()))?;
    Ok((file, top))
}

fn at(top: &CstObject, path: &[&str]) -> Option<CstObject> {
    path.iter().try_fold(top.clone(), |object, key| object.object_value(key))
}

fn said(object: &CstObject, key: &str) -> Option<String> {
    object.get(key)?.value()?.as_string_lit()?.decoded_value().ok()
}

fn put(object: &CstObject, key: &str, value: CstInputValue) {
    match object.get(key) {
        Some(property) => property.set_value(value),
        None => drop(object.append(key, value)),
    }
}

fn is_ours(model: &CstObject) -> bool {
    let local = said(model, "base_url").is_some_and(|url| url.starts_with("http://"));
    local && said(model, "api_key").is_some_and(|key| key.starts_with(KEY_BEGINS))
}

/// Under which name a value is remembered.
fn name(place: &[&str], field: &str) -> String {
    format!("{}.{field}", place.join("."))
}

#[cfg(test)]
mod tests {
    use super::super::agent::tests::wants;
    use super::super::hunks;
    use super::*;

    fn golden(name: &str) -> String {
        let path = format!("{}/tests/golden/setup/openhands/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn three_values_change_and_come_back() {
        for case in ["one-line", "indented"] {
            let before = golden(&format!("{case}.before.json"));
            let plugged = OpenHands.plug(&before, &wants()).unwrap();
            if std::env::var_os("VALETKEY_BLESS").is_some() {
                let path = format!(
                    "{}/tests/golden/setup/openhands/{case}.after.json",
                    env!("CARGO_MANIFEST_DIR")
                );
                std::fs::write(path, &plugged.text).unwrap();
            }
            assert_eq!(plugged.text, golden(&format!("{case}.after.json")));
            assert!(OpenHands.is_plugged(&plugged.text).unwrap());
            assert!(!OpenHands.is_plugged(&before).unwrap());
            assert_eq!(OpenHands.plug(&plugged.text, &wants()).unwrap().text, plugged.text);
            let hunks = hunks::between(&before, &plugged.text);
            assert_eq!(hunks::back(&plugged.text, &hunks).as_deref(), Some(before.as_str()));
            let left = OpenHands.unplug(&plugged.text, &plugged.replaced).unwrap();
            assert_eq!(left, before, "{case}, without the hunks");
        }
    }

    #[test]
    fn what_is_not_there_is_not_made_and_what_is_broken_is_left_alone() {
        for (text, word) in [("", "not there yet"), ("{}", "no `llm`"), ("[]", "object")] {
            let why = OpenHands.plug(text, &wants()).unwrap_err().to_string();
            assert!(why.contains(word), "{why}");
        }
        let broken = OpenHands.plug("{\n \"llm\": {,\n}", &wants()).unwrap_err();
        assert!(matches!(broken, Refused::Broken { line: 2, .. }), "{broken}");
        assert_eq!(OpenHands.unplug("", &Replaced::new()).unwrap(), "");
        let mut unknown = wants();
        unknown.models.clear();
        let why = OpenHands.plug("{\"llm\": {\"model\": \"x\"}}", &unknown).unwrap_err();
        assert!(why.to_string().contains("--model"), "{why}");
    }

    #[test]
    fn a_model_that_the_login_has_is_kept() {
        let text = "{\"llm\": {\"model\": \"openai/gpt-5.5\", \"api_key\": null}}";
        let plugged = OpenHands.plug(text, &wants()).unwrap();
        assert!(plugged.text.contains("openai/gpt-5.5"), "{}", plugged.text);
        assert!(!plugged.replaced.contains_key("llm.model"));
    }
}

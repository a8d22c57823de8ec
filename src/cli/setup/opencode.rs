//! opencode: a provider of its own in `opencode.json`, whose key stays in a file of ours.
//!
//! opencode carries the adapters of several APIs with it. The one named here speaks Responses, the
//! subscription's own shape, so that reasoning and its encrypted state travel without a translation.

use std::collections::HashSet;
use std::path::PathBuf;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use serde_json::Value;

use crate::rpc::ImportSource;

use super::agent::{Agent, Around, Edit, KeyUse, Plugged, Refused, Replaced, Wants};
use super::models;

/// The adapter for OpenAI's Responses API. It is part of the program, nothing is fetched.
const ADAPTER: &str = "@ai-sdk/openai";
const SCHEMA_KEY: &str = "$schema";
const SCHEMA: &str = "https://opencode.ai/config.json";

const OURS: &str = "valetkey";
const PROVIDER: &str = "provider";
const MODEL: &str = "model";
/// Where it stands, only the providers that it names are used.
const ENABLED: &str = "enabled_providers";
/// Under which names it is remembered what came with us.
const PROVIDER_SET: &str = "provider set";
const ENABLED_SET: &str = "enabled_providers set";

/// What a conversation may hold, in tokens, by the catalogue of the subscription's backend. Without such a
/// number opencode never shortens a long one.
const CONTEXT_TOKENS: u64 = 272_000;
/// How much of that opencode keeps free for an answer; also the most that it ever asks for.
const OUTPUT_TOKENS: u64 = 32_000;

/// The names it looks for, the one that goes before the others first.
const FILES: [&str; 3] = ["opencode.jsonc", "opencode.json", "config.json"];
/// The one that it would write itself.
const FILE: &str = "opencode.json";

pub(super) struct OpenCode;

impl Edit for OpenCode {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        let (text_before, text) = (text, if text.trim().is_empty() { "{}\n" } else { text });
        let (file, top) = read(text)?;
        let mut replaced = Replaced::new();
        if top.properties().is_empty() {
            top.append(SCHEMA_KEY, SCHEMA.into());
        }
        let model = top.get(MODEL).as_ref().and_then(word);
        let chosen = model.as_deref().and_then(of_ours);
        let known = models::known_beside(wants, chosen)?;
        if let Some(value) =
            top.get(MODEL).and_then(|model| model.value()).filter(|_| chosen.is_none())
        {
            replaced.insert(MODEL.to_owned(), value.to_string());
        }
        put(&top, MODEL, format!("{OURS}/{}", known[0]).into());
        if top.get(PROVIDER).is_none() {
            replaced.insert(PROVIDER_SET.to_owned(), OURS.to_owned());
        }
        let providers =
            top.object_value_or_create(PROVIDER).ok_or_else(|| not_an(PROVIDER, "object"))?;
        put(&providers, OURS, provider(&known, wants));
        if let Some(prop) = top.get(ENABLED) {
            let enabled = prop.array_value().ok_or_else(|| not_an(ENABLED, "array"))?;
            let named =
                enabled.elements().iter().any(|name| name.to_serde_value() == Some(OURS.into()));
            if !named {
                enabled.append(OURS.into());
                replaced.insert(ENABLED_SET.to_owned(), OURS.to_owned());
            }
        }
        let text = file.to_string();
        unchanged(text_before, &text)?;
        Ok(Plugged { text, replaced })
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        let Some((file, top)) = read_unless_empty(text)? else { return Ok(text.to_owned()) };
        if let Some(providers) = top.object_value(PROVIDER) {
            if let Some(ours) = providers.get(OURS) {
                ours.remove();
            }
            if providers.properties().is_empty() && replaced.contains_key(PROVIDER_SET) {
                remove(&top, PROVIDER);
            }
        }
        if top.get(MODEL).as_ref().and_then(word).as_deref().and_then(of_ours).is_some() {
            match replaced.get(MODEL).map(|before| serde_json::from_str::<String>(before)) {
                Some(Ok(before)) => put(&top, MODEL, before.into()),
                _ => remove(&top, MODEL),
            }
        }
        if let Some(enabled) =
            top.array_value(ENABLED).filter(|_| replaced.contains_key(ENABLED_SET))
        {
            let ours = |element: &jsonc_parser::cst::CstNode| {
                element.to_serde_value() == Some(OURS.into())
            };
            enabled.elements().into_iter().filter(ours).for_each(|element| element.remove());
        }
        let left = file.to_string();
        unchanged(text, &left)?;
        Ok(left)
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        let Some((_, top)) = read_unless_empty(text)? else { return Ok(false) };
        let ours = top.object_value(PROVIDER).and_then(|providers| providers.get(OURS));
        Ok(ours.is_some()
            && top.get(MODEL).as_ref().and_then(word).as_deref().and_then(of_ours).is_some())
    }
}

impl Agent for OpenCode {
    fn name(&self) -> &'static str {
        "opencode"
    }

    fn title(&self) -> &'static str {
        "opencode"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["opencode"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        if let Some(named) = around.variable("OPENCODE_CONFIG") {
            return Some(PathBuf::from(named));
        }
        let folder = around.config_home().join("opencode");
        let there = FILES.iter().map(|name| folder.join(name)).find(|file| file.is_file());
        Some(there.unwrap_or_else(|| folder.join(FILE)))
    }

    fn key(&self) -> KeyUse {
        KeyUse::File
    }

    fn lists_models(&self) -> bool {
        true
    }

    fn own_login(&self) -> Option<ImportSource> {
        Some(ImportSource::Opencode)
    }

    fn by_hand(&self, wants: &Wants) -> String {
        let shown = models::shown(wants);
        printed(object([
            (SCHEMA_KEY, SCHEMA.into()),
            (MODEL, format!("{OURS}/{}", shown[0]).into()),
            (PROVIDER, object([(OURS, provider(&shown, wants))])),
        ]))
    }

    fn notes(&self, text: &str, _wants: &Wants) -> Vec<String> {
        let mut notes = vec!["An `opencode.json` in a project goes before this one.".to_owned()];
        let small =
            read(text).ok().and_then(|(_, top)| top.get("small_model").as_ref().and_then(word));
        if let Some(small) = small.filter(|small| of_ours(small).is_none()) {
            notes.push(format!("Titles are still made by {small:?}, which `small_model` names."));
        }
        notes
    }
}

/// Our provider, in the order in which a person would write it.
fn provider(models: &[&str], wants: &Wants) -> CstInputValue {
    let both = |name: &str| CstInputValue::Array(vec!["text".into(), name.into()]);
    let model = |model: &&str| {
        let limit = object([("context", CONTEXT_TOKENS.into()), ("output", OUTPUT_TOKENS.into())]);
        let modalities = object([
            ("input", both("image")),
            ("output", CstInputValue::Array(vec!["text".into()])),
        ]);
        let about = object([
            ("reasoning", true.into()),
            ("attachment", true.into()),
            ("modalities", modalities),
            ("limit", limit),
        ]);
        ((*model).to_owned(), about)
    };
    let options = object([
        ("baseURL", wants.base_url.as_str().into()),
        ("apiKey", format!("{{file:{}}}", wants.key_file.display()).into()),
    ]);
    object([
        ("npm", ADAPTER.into()),
        ("name", OURS.into()),
        ("options", options),
        ("models", CstInputValue::Object(models.iter().map(model).collect())),
    ])
}

fn object<const N: usize>(pairs: [(&str, CstInputValue); N]) -> CstInputValue {
    CstInputValue::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// A value as a file of its own.
fn printed(value: CstInputValue) -> String {
    let file = CstRootNode::parse("", &dialect()).expect("an empty text is good");
    file.set_value(value);
    file.to_string().trim_end().to_owned()
}

/// JSON with comments and last commas, as opencode reads it, whatever the file is called.
fn dialect() -> ParseOptions {
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn read(text: &str) -> Result<(CstRootNode, CstObject), Refused> {
    let file = CstRootNode::parse(text, &dialect()).map_err(|error| {
        Refused::broken(text, error.range().start, format!("not JSON: {}", error.kind()))
    })?;
    let top =
        file.object_value().ok_or_else(|| Refused::Shape("it is not a JSON object".to_owned()))?;
    let names: Vec<String> =
        top.properties().iter().filter_map(CstObjectProp::decoded_name).collect();
    let mut keys = HashSet::new();
    if let Some(doubled) = names.iter().find(|name| !keys.insert(*name)) {
        return Err(Refused::Shape(format!("`{doubled}` stands there twice")));
    }
    Ok((file, top))
}

/// The same, but nothing for a file that says nothing.
fn read_unless_empty(text: &str) -> Result<Option<(CstRootNode, CstObject)>, Refused> {
    if text.trim().is_empty() { Ok(None) } else { read(text).map(Some) }
}

/// Puts a value under a key, unless all of it stands there.
fn put(object: &CstObject, key: &str, value: CstInputValue) {
    let wanted: Value = serde_json::from_str(&printed(value.clone())).unwrap_or_default();
    match object.get(key) {
        Some(prop) if prop.to_serde_value().is_some_and(|there| covers(&there, &wanted)) => {}
        Some(prop) => prop.set_value(value),
        None => drop(object.append(key, value)),
    }
}

/// Whether a value says all that `wanted` does; its objects may say more.
fn covers(there: &Value, wanted: &Value) -> bool {
    match (there.as_object(), wanted.as_object()) {
        (Some(there), Some(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| there.get(key).is_some_and(|there| covers(there, wanted))),
        _ => there == wanted,
    }
}

fn remove(object: &CstObject, key: &str) {
    if let Some(prop) = object.get(key) {
        prop.remove();
    }
}

/// A string that stands behind a key.
fn word(prop: &CstObjectProp) -> Option<String> {
    prop.value()?.as_string_lit()?.decoded_value().ok()
}

/// The model that a name means if it is one of our provider's.
fn of_ours(model: &str) -> Option<&str> {
    model.strip_prefix(OURS)?.strip_prefix('/')
}

fn not_an(key: &str, kind: &str) -> Refused {
    Refused::Shape(format!("`{key}` is not an {kind}"))
}

/// Makes sure, by the values, that an edit has changed nothing that is not ours.
fn unchanged(before: &str, after: &str) -> Result<(), Refused> {
    let beside = |text: &str| {
        let Some((file, _)) = read_unless_empty(text)? else {
            return Ok(Value::Object(Default::default()));
        };
        let mut values = file.to_serde_value().unwrap_or_default();
        if let Some(top) = values.as_object_mut() {
            top.remove(MODEL);
            top.retain(|key, value| key != SCHEMA_KEY || value != SCHEMA);
            if let Some(providers) = top.get_mut(PROVIDER).and_then(Value::as_object_mut) {
                providers.remove(OURS);
            }
            if let Some(enabled) = top.get_mut(ENABLED).and_then(Value::as_array_mut) {
                enabled.retain(|name| name != OURS);
            }
            top.retain(|key, value| {
                key != PROVIDER || value.as_object().is_none_or(|object| !object.is_empty())
            });
        }
        Ok::<_, Refused>(values)
    };
    if beside(before)? == beside(after)? {
        return Ok(());
    }
    Err(Refused::Shape("what is written there leaves no place for a provider".to_owned()))
}

#[cfg(test)]
mod tests;

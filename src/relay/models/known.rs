//! A list of models, read once and made ready for everything that is asked of it. Pure.
//!
//! Completions need it at each request (is there such a model, in which form is it asked), clients want it
//! whole and in two shapes. So the answer to `GET /v1/models` is made when the list comes, the list itself
//! stands in memory only there, and beside it an index of what the relay looks up.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Model, ModelsSource};
use crate::vendor::openai::BUILTIN_MODELS;

/// Models in a list at most; the backend lists some ten.
const MOST_MODELS: usize = 1000;
/// The longest name of a model, in bytes.
const LONGEST_ID: usize = 128;
/// The efforts that an alias can end in where a model does not tell its own: those of the API reference.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];
/// What stands for the moment of a model's making, which the backend does not tell and OpenAI's list
/// shape demands, in seconds since the epoch.
const CREATED: u64 = 0;

/// The models of one account, as the relay needs them.
#[derive(Debug)]
pub struct Known {
    /// Where it comes from: [`ModelsSource::Cache`] where a file remembered it across a restart.
    pub source: ModelsSource,
    /// The names to show, in the vendor's order.
    pub ids: Vec<String>,
    /// The names that can be asked for: hidden ones, too.
    pub all: Vec<String>,
    /// The vendor's validator of the list (RFC 9110 section 8.8.3), where there is one.
    pub etag: Option<String>,
    /// The answer to `GET /v1/models`: OpenAI's `{object, data}` and the catalogue's own `models`, which
    /// holds the entries as they came, hidden ones included.
    pub body: Bytes,
    /// Where in the body the catalogue's list stands.
    list: Range<usize>,
    index: HashMap<String, Traits>,
}

/// What is looked up of a model.
#[derive(Debug)]
struct Traits {
    lite: bool,
    created: u64,
    efforts: Vec<String>,
}

/// What a client asked for by a model's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meant<'a> {
    /// The model's own name.
    pub model: &'a str,
    /// The reasoning effort, where the name was an alias that ends in one.
    pub effort: Option<&'a str>,
}

impl Known {
    /// Reads `{"models": [...]}`; nothing where that is no such list, or one without models.
    /// Entries without a usable name, or with one that came before, are left out.
    pub(super) fn read(body: &[u8], etag: Option<String>, source: ModelsSource) -> Option<Self> {
        #[derive(Deserialize)]
        struct Catalogue<'a> {
            #[serde(borrow)]
            models: Vec<&'a RawValue>,
        }
        let object = body.trim_ascii_start().starts_with(b"{");
        let catalogue: Catalogue<'_> = serde_json::from_slice(body).ok().filter(|_| object)?;
        let mut known = Making::default();
        for raw in catalogue.models.into_iter().take(MOST_MODELS) {
            known.add(raw.get());
        }
        (!known.all.is_empty()).then(|| known.finish(etag, source))
    }

    /// The list that this version knows by heart: names only.
    pub(super) fn builtin() -> Self {
        let mut known = Making::default();
        for id in BUILTIN_MODELS {
            let traits = Traits { lite: false, created: CREATED, efforts: Vec::new() };
            known.name(id, true, traits);
        }
        known.finish(None, ModelsSource::Builtin)
    }

    /// The catalogue's entries as they came: a JSON list.
    #[must_use]
    pub fn list(&self) -> &[u8] {
        self.body.get(self.list.clone()).unwrap_or_default()
    }

    /// The entries as a client of `models` sees them: by id, without what is hidden or of use to the
    /// Codex CLI alone.
    #[must_use]
    pub fn models(&self) -> Vec<Model> {
        if self.source == ModelsSource::Builtin {
            let model = |id: &String| Model { id: id.clone(), more: serde_json::Map::new() };
            return self.ids.iter().map(model).collect();
        }
        let entries: Vec<Value> = serde_json::from_slice(self.list()).unwrap_or_default();
        entries.into_iter().filter_map(model).collect()
    }

    /// What a name means: a model, hidden or not, or `MODEL-EFFORT` with an effort that the model has.
    #[must_use]
    pub fn resolve<'a>(&'a self, asked: &'a str) -> Option<Meant<'a>> {
        if let Some((model, _)) = self.index.get_key_value(asked) {
            return Some(Meant { model, effort: None });
        }
        let (stem, effort) = asked.rsplit_once('-')?;
        let (model, traits) = self.index.get_key_value(stem)?;
        let has = if traits.efforts.is_empty() {
            EFFORTS.contains(&effort)
        } else {
            traits.efforts.iter().any(|known| known == effort)
        };
        has.then_some(Meant { model, effort: Some(effort) })
    }

    /// Whether a request to this model must have `instructions`: all but those whose instructions travel
    /// inside the input (`use_responses_lite`). A model that is not known is taken for one that must.
    #[must_use]
    pub fn needs_instructions(&self, model: &str) -> bool {
        !self.index.get(model).is_some_and(|traits| traits.lite)
    }

    /// The answer to `GET /v1/models/{id}`; nothing where the name means nothing here.
    #[must_use]
    pub fn one(&self, id: &str) -> Option<Vec<u8>> {
        let traits = self.index.get(self.resolve(id)?.model)?;
        serde_json::to_vec(&shown(id, traits)).ok()
    }
}

fn shown(id: &str, traits: &Traits) -> Value {
    json!({ "id": id, "object": "model", "created": traits.created, "owned_by": "openai" })
}

/// A list in the making.
#[derive(Default)]
struct Making<'a> {
    ids: Vec<String>,
    all: Vec<String>,
    index: HashMap<String, Traits>,
    raw: Vec<&'a str>,
}

impl<'a> Making<'a> {
    fn add(&mut self, raw: &'a str) {
        let Ok(Value::Object(entry)) = serde_json::from_str(raw) else { return };
        let Some(id) = entry.get("slug").or_else(|| entry.get("id")).and_then(Value::as_str) else {
            return;
        };
        let levels = entry.get("supported_reasoning_levels").and_then(Value::as_array);
        let level = |level: &Value| {
            level.as_str().or_else(|| level.get("effort")?.as_str()).map(str::to_owned)
        };
        let traits = Traits {
            lite: entry.get("use_responses_lite") == Some(&Value::Bool(true)),
            created: entry.get("created").and_then(Value::as_u64).unwrap_or(CREATED),
            efforts: levels.map(|list| list.iter().filter_map(level).collect()).unwrap_or_default(),
        };
        if self.name(id, !is_hidden(&entry), traits) {
            self.raw.push(raw);
        }
    }

    fn name(&mut self, id: &str, visible: bool, traits: Traits) -> bool {
        let usable =
            (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        if !usable || self.index.contains_key(id) {
            return false;
        }
        self.all.push(id.to_owned());
        if visible {
            self.ids.push(id.to_owned());
        }
        self.index.insert(id.to_owned(), traits);
        true
    }

    fn finish(self, etag: Option<String>, source: ModelsSource) -> Known {
        let Self { ids, all, index, raw } = self;
        let data: Vec<Value> =
            ids.iter().filter_map(|id| Some(shown(id, index.get(id)?))).collect();
        let mut body = format!("{{\"object\":\"list\",\"data\":{},\"models\":", Value::from(data));
        let begin = body.len();
        body.push('[');
        body.push_str(&raw.join(","));
        body.push(']');
        let list = begin..body.len();
        body.push('}');
        Known { source, ids, all, etag, body: Bytes::from(body), list, index }
    }
}

fn is_hidden(entry: &serde_json::Map<String, Value>) -> bool {
    entry.get("visibility").and_then(Value::as_str) == Some("hide")
}

fn model(entry: Value) -> Option<Model> {
    let Value::Object(mut more) = entry else { return None };
    if is_hidden(&more) {
        return None;
    }
    more.remove("base_instructions");
    let id = more.remove("slug").or_else(|| more.remove("id"))?.as_str()?.to_owned();
    Some(Model { id, more })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known() -> Known {
        let body = json!({"models": [
            {"slug": "big", "display_name": "Big", "base_instructions": "You are \u{1f511}.", "use_responses_lite": true,
             "supported_reasoning_levels": [{"effort": "low"}, {"effort": "ultra"}], "visibility": "list"},
            {"slug": "secret", "visibility": "hide", "use_responses_lite": false},
            {"id": "plain", "created": 1_700_000_000, "use_responses_lite": "yes"},
            {"slug": "big", "display_name": "Again"},
            {"slug": "two words"}, {"slug": ""}, {"slug": 7}, "big", null,
        ]});
        let source = ModelsSource::Upstream;
        Known::read(body.to_string().as_bytes(), Some("\"1\"".into()), source).unwrap()
    }

    #[test]
    fn both_shapes_are_one_body_and_hidden_models_are_in_one_of_them() {
        let known = known();
        assert_eq!(known.ids, ["big", "plain"]);
        assert_eq!(known.all, ["big", "secret", "plain"]);
        let body: Value = serde_json::from_slice(&known.body).unwrap();
        assert_eq!(
            body["data"],
            json!([
                {"id": "big", "object": "model", "created": 0, "owned_by": "openai"},
                {"id": "plain", "object": "model", "created": 1_700_000_000, "owned_by": "openai"},
            ])
        );
        assert_eq!(body["object"], "list");
        assert_eq!(body["models"].as_array().unwrap().len(), 3);
        assert_eq!(body["models"][0]["base_instructions"], "You are \u{1f511}.");
        assert_eq!(body["models"][1]["slug"], "secret");
        assert_eq!(serde_json::from_slice::<Value>(known.list()).unwrap(), body["models"]);
    }

    #[test]
    fn clients_see_models_without_what_is_hidden_or_long() {
        let models = known().models();
        assert_eq!(
            models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
            ["big", "plain"]
        );
        assert_eq!(models[0].more["display_name"], "Big");
        assert!(!models[0].more.contains_key("base_instructions"));
    }

    #[test]
    fn a_name_is_a_model_or_a_model_with_an_effort_that_it_has() {
        let known = known();
        let meant = |name: &'static str| known.resolve(name).map(|it| (it.model, it.effort));
        assert_eq!(meant("big"), Some(("big", None)));
        assert_eq!(meant("secret"), Some(("secret", None)));
        assert_eq!(meant("big-ultra"), Some(("big", Some("ultra"))));
        assert_eq!(meant("big-high"), None, "it has no such effort");
        assert_eq!(
            meant("plain-high"),
            Some(("plain", Some("high"))),
            "it does not tell its efforts"
        );
        assert_eq!(meant("plain-ultra"), None);
        assert_eq!(meant("huge"), None);
        assert_eq!(meant("-low"), None);
        assert!(known.one("huge").is_none());
        let one: Value = serde_json::from_slice(&known.one("big-low").unwrap()).unwrap();
        assert_eq!((&one["id"], &one["object"]), (&json!("big-low"), &json!("model")));
    }

    #[test]
    fn only_a_model_that_says_so_goes_without_instructions() {
        let known = known();
        assert!(!known.needs_instructions("big"));
        for model in ["secret", "plain", "huge"] {
            assert!(known.needs_instructions(model), "{model}");
        }
    }

    #[test]
    fn what_is_no_list_of_models_is_none() {
        for body in [
            "",
            "{}",
            "[]",
            "<html>",
            r#"{"models": []}"#,
            r#"{"models": {}}"#,
            r#"[["a"]]"#,
            r#"{"models": [{"name": "a"}]}"#,
            r#"{"models": [{"slug": "a"}"#,
        ] {
            let read = Known::read(body.as_bytes(), None, ModelsSource::Upstream);
            assert!(read.is_none(), "{body}");
        }
    }

    #[test]
    fn the_builtin_list_has_both_shapes_too() {
        let known = Known::builtin();
        let body: Value = serde_json::from_slice(&known.body).unwrap();
        assert_eq!(body["data"].as_array().unwrap().len(), BUILTIN_MODELS.len());
        assert_eq!(body["models"], json!([]));
        assert_eq!(known.models().len(), BUILTIN_MODELS.len());
        assert!(known.resolve(&format!("{}-low", BUILTIN_MODELS[0])).is_some());
    }

    proptest! {
        #[test]
        fn any_entries_make_a_body_that_is_json(entries in proptest::collection::vec(("[a-c\\\\\"\n\u{e9}-]{0,4}", any::<bool>()), 0..6)) {
            let list: Vec<Value> = entries
                .iter()
                .map(|(slug, hide)| json!({"slug": slug, "visibility": if *hide { "hide" } else { "list" }}))
                .collect();
            let body = json!({ "models": list }).to_string();
            if let Some(known) = Known::read(body.as_bytes(), None, ModelsSource::Upstream) {
                let body: Value = serde_json::from_slice(&known.body).unwrap();
                prop_assert_eq!(body["data"].as_array().unwrap().len(), known.ids.len());
                prop_assert_eq!(body["models"].as_array().unwrap().len(), known.all.len());
                for id in &known.all {
                    prop_assert!(known.one(id).is_some());
                }
            }
        }
    }
}

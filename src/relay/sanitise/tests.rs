//! Requests of many clients, and what the backend gets of them.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn shaped(request: &str, system: SystemPrompt) -> Result<Shaped, Refusal> {
    let terms =
        Terms { system, codex: false, models: &[], learned: &[], needs_instructions: &|_| true };
    shape(request.as_bytes(), &terms)
}

fn words(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|word| Some(word.as_str()?.to_owned()))
        .collect()
}

/// Each file is a list of cases: a request, the terms (those left out are the usual ones), and either
/// what the backend gets (beside `store`, `stream` and `include`, unless the terms say `codex`) or why
/// the client is refused.
#[test]
fn the_golden_requests_are_shaped_as_they_are_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/responses/shape");
    let mut played = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = fs::read_to_string(&path).unwrap();
        for raw in list(&file).unwrap() {
            let case: Value = serde_json::from_str(raw).unwrap();
            // As it stands, since the order of its members matters.
            let request = Object::read(raw).unwrap().get("request").unwrap();
            let what = format!("{}: {}", path.display(), case["what"]);
            let (models, learned) =
                (words(&case["terms"]["models"]), words(&case["terms"]["learned"]));
            let codex = case["terms"]["codex"] == true;
            let system = match case["terms"]["system"].as_str() {
                Some("developer") => SystemPrompt::Developer,
                Some("prefix") => SystemPrompt::Prefix,
                _ => SystemPrompt::Instructions,
            };
            let needs_instructions = case["terms"]["needs_instructions"] != false;
            let terms = Terms {
                system,
                codex,
                models: &models,
                learned: &learned,
                needs_instructions: &|_| needs_instructions,
            };
            let outcome = shape(request.as_bytes(), &terms);
            played += 1;
            let shaped = match (outcome, case.get("refused")) {
                (Ok(shaped), None) => shaped,
                (Err(refusal), Some(refused)) => {
                    let told = json!([refusal.param, refusal.code]);
                    assert_eq!(told, *refused, "{what}");
                    assert!(refusal.message.ends_with('.'), "{what}");
                    continue;
                }
                (outcome, _) => panic!("{what}: {outcome:?}"),
            };
            let mut body: Value = serde_json::from_slice(&shaped.body).unwrap();
            if !codex {
                let members = body.as_object_mut().unwrap();
                assert_eq!(members.remove("store"), Some(json!(false)), "{what}");
                assert_eq!(members.remove("stream"), Some(json!(true)), "{what}");
                if case["body"].get("include").is_none() {
                    assert_eq!(members.remove("include"), Some(json!([ENCRYPTED])), "{what}");
                }
            }
            assert_eq!(body, case["body"], "{what}");
            assert_eq!(shaped.dropped, words(&case["dropped"]), "{what}");
            assert_eq!(shaped.model, case["model"].as_str().unwrap_or("m"), "{what}");
            assert_eq!(shaped.stream, case["request"]["stream"] == true, "{what}");
        }
    }
    assert!(played >= 40, "only {played} cases");
}

#[test]
fn every_parameter_of_the_table_is_left_out_or_refused() {
    for row in table::TABLE {
        let request = json!({"model": "m", "input": "x", row.name: {"a": 1}}).to_string();
        match (row.does, shaped(&request, SystemPrompt::Instructions)) {
            (Does::Refuse(_), Err(refusal)) => assert_eq!(refusal.param.as_deref(), Some(row.name)),
            (_, Ok(shaped)) => {
                assert_eq!(shaped.dropped, [row.name]);
                assert!(
                    !String::from_utf8(shaped.body)
                        .unwrap()
                        .contains(&format!("\"{}\":", row.name))
                );
            }
            (_, outcome) => panic!("{}: {outcome:?}", row.name),
        }
        let nothing = json!({"model": "m", "input": "x", row.name: null}).to_string();
        assert_eq!(shaped(&nothing, SystemPrompt::Instructions).unwrap().dropped, [""; 0]);
    }
}

#[test]
fn what_is_not_changed_stays_as_it_was_written() {
    let request = r#" {"model":"m", "x" : [1e400, 123456789012345678901234567890, "\ud800"],"input":[ {"role":"user","content":"\u0041"} ]} "#;
    let shaped =
        String::from_utf8(shaped(request, SystemPrompt::Instructions).unwrap().body).unwrap();
    assert!(
        shaped.contains(r#""x":[1e400, 123456789012345678901234567890, "\ud800"]"#),
        "{shaped}"
    );
}

#[test]
fn a_request_of_the_codex_cli_passes_byte_for_byte() {
    let request = r#" { "model":"gpt-5.4-high", "input":[{"role":"system","id":"x"}],"include" :[],"store": false,"stream":true , "stream_options":{} }"#;
    let models = ["gpt-5.4".to_owned()];
    let terms = Terms {
        system: SystemPrompt::Instructions,
        codex: true,
        models: &models,
        learned: &[],
        needs_instructions: &|_| true,
    };
    let shaped = shape(request.as_bytes(), &terms).unwrap();
    assert_eq!(String::from_utf8(shaped.body).unwrap(), request);
    assert!(shaped.stream);
    assert_eq!(shaped.model, "gpt-5.4-high");
}

#[test]
fn what_is_no_request_is_refused_with_a_sentence() {
    let deep = "[".repeat(200_000);
    for body in [
        "",
        "[]",
        "1",
        "null",
        "\"{}\"",
        "{",
        "{}",
        "{\"model\":\"m\"}",
        "{\"input\":\"x\"}",
        "{\"model\":\"m\",\"input\":\"x\"} x",
        r#"{"model":"","input":"x"}"#,
        r#"{"model":7,"input":"x"}"#,
        r#"{"model":"\ud800","input":"x"}"#,
        r#"{"model":"m","input":null}"#,
        r#"{"model":"m","input":{}}"#,
        r#"{"\ud800":1}"#,
        r#"{"model":"m","input":"x","stream":"yes"}"#,
        &format!(r#"{{"model":"m","input":{deep}"#),
    ] {
        let refusal = shaped(body, SystemPrompt::Instructions).unwrap_err();
        assert!(refusal.message.ends_with('.') && refusal.message.len() < 200, "{refusal}");
    }
    let terms = Terms {
        system: SystemPrompt::Prefix,
        codex: true,
        models: &[],
        learned: &[],
        needs_instructions: &|_| true,
    };
    assert!(shape(b"{\"model\":\"\xFF\"}", &terms).unwrap_err().message.contains("at byte 10"));
}

#[test]
fn depth_costs_no_stack() {
    let deep = format!("{}\"prompt_cache_breakpoint\"{}", "[".repeat(200_000), "]".repeat(200_000));
    let request = format!(
        r#"{{"model":"m","input":[{{"role":"system","content":{deep}}},{deep}],"x":{deep}}}"#
    );
    for system in [SystemPrompt::Instructions, SystemPrompt::Developer, SystemPrompt::Prefix] {
        shaped(&request, system).unwrap();
    }
}

/// A word of a request that matters, or nearly one.
fn value() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "system",
        "user",
        "message",
        "reasoning",
        "item_reference",
        "input_text",
        "\u{1F600}",
        "m-high",
        "",
        "id",
    ]);
    let leaf = prop_oneof![
        word.prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let name = prop::sample::select(vec![
            "role",
            "type",
            "content",
            "id",
            "text",
            "model",
            "input",
            "instructions",
            "reasoning",
            "include",
            "prompt_cache_breakpoint",
            "encrypted_content",
            "service_tier",
            "é\"",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(name, inner, 0..6)
                .prop_map(|members| members.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_request_is_refused_or_becomes_one_without_system_items(
        mut request in value(), input in value(), mode in 0..3, codex: bool,
    ) {
        let system = [SystemPrompt::Instructions, SystemPrompt::Developer, SystemPrompt::Prefix][mode as usize];
        if let Some(members) = request.as_object_mut() {
            members.insert("model".into(), "m".into());
            members.insert("input".into(), input);
        }
        let learned = ["input[4].content.text".to_owned(), "reasoning.id".to_owned(), "metadata".to_owned()];
        let terms = Terms { system, codex, models: &["m".to_owned()], learned: &learned, needs_instructions: &|_| mode != 1 };
        if let Ok(shaped) = shape(request.to_string().as_bytes(), &terms) {
            let body: Value = serde_json::from_slice(&shaped.body).unwrap();
            if !codex {
                let items = body["input"].as_array().unwrap();
                let is_system = |item: &Value| item["role"] == "system" && (item["type"] == "message" || item.get("type").is_none());
                prop_assert!(!items.iter().any(is_system), "{}", body);
                prop_assert_eq!(&body["store"], false);
            }
        }
    }

    #[test]
    fn no_bytes_are_too_odd(body in prop::collection::vec(any::<u8>(), 0..100), parameter in ".{0,20}") {
        let terms = Terms { system: SystemPrompt::Prefix, codex: false, models: &[], learned: std::slice::from_ref(&parameter), needs_instructions: &|_| true };
        let _ = shape(&body, &terms);
        let _ = unsupported_parameter(&body);
        let _ = without(&body, &parameter);
    }
}

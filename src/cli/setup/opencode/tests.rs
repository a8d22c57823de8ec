//! Files before and with us in them, from `tests/golden/setup/opencode`.

use proptest::prelude::*;

use super::super::agent::tests::{around, wants};
use super::super::hunks;
use super::super::models::tests::files_come_back;
use super::*;

#[test]
fn files_are_plugged_in_as_written_down_and_come_back() {
    files_come_back(&OpenCode, "opencode", "json", 7);
}

fn refused(text: &str) -> String {
    OpenCode.plug(text, &wants()).unwrap_err().to_string()
}

#[test]
fn a_file_that_opencode_could_not_read_is_left_alone() {
    let broken = refused("{\n  \"model\": \"x\",\n  model: 1\n}\n");
    assert!(broken.starts_with("line 3") && broken.contains("not JSON"), "{broken}");
    assert!(refused("[]\n").contains("not a JSON object"));
    assert!(refused("{\"provider\": []}").contains("`provider` is not an object"));
    assert!(
        refused("{\"enabled_providers\": \"all\"}").contains("`enabled_providers` is not an array")
    );
    assert!(refused("{\"provider\": {}, \"provider\": {\"x\": {}}}").contains("twice"));
    let none = Wants { models: Vec::new(), ..wants() };
    assert!(OpenCode.plug("", &none).unwrap_err().to_string().contains("--model"));
    assert!(OpenCode.by_hand(&none).contains("valetkey/MODEL"));
}

#[test]
fn what_the_person_went_on_with_stays() {
    let before = "{\n  \"model\": \"anthropic/claude\", // mine\n  \"enabled_providers\": [\"anthropic\"]\n}\n";
    let plugged = OpenCode.plug(before, &wants()).unwrap();
    let later = plugged
        .text
        .replace("\"name\": \"valetkey\"", "\"name\": \"ours\"")
        .replace("\"model\"", "\"theme\": \"dark\",\n  \"model\"");
    let left = OpenCode.unplug(&later, &plugged.replaced).unwrap();
    assert_eq!(
        left,
        before.replace("\"model\"", "\"theme\": \"dark\",\n  \"model\""),
        "the theme stays, the old model is back"
    );
    let chosen = plugged.text.replace("\"valetkey/gpt-6.1-sol\"", "\"openai/gpt-5\"");
    let left = OpenCode.unplug(&chosen, &plugged.replaced).unwrap();
    assert!(left.contains("\"openai/gpt-5\""), "a model chosen since stays: {left}");
}

#[test]
fn what_the_person_added_to_our_provider_is_not_taken_for_an_old_state() {
    let plugged = OpenCode.plug("", &wants()).unwrap().text;
    let more = plugged.replace("\"baseURL\"", "\"timeout\": 9, \"baseURL\"");
    assert_ne!(more, plugged);
    assert_eq!(OpenCode.plug(&more, &wants()).unwrap().text, more);
}

#[test]
fn the_file_that_goes_before_the_others_is_the_one_to_change() {
    let home = tempfile::tempdir().unwrap();
    let around_with = |variables: &[(&str, &str)]| around(home.path(), variables);
    let folder = home.path().join(".config").join("opencode");
    assert_eq!(OpenCode.file(&around_with(&[])), Some(folder.join("opencode.json")));
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["config.json", "opencode.json", "opencode.jsonc"] {
        std::fs::write(folder.join(name), "{}").unwrap();
        assert_eq!(OpenCode.file(&around_with(&[])), Some(folder.join(name)));
    }
    let named = around_with(&[("OPENCODE_CONFIG", "/else/where.json")]);
    assert_eq!(OpenCode.file(&named), Some("/else/where.json".into()));
}

#[test]
fn what_else_decides_about_models_is_told() {
    let notes = OpenCode.notes("{\"small_model\": \"anthropic/haiku\"}", &wants());
    assert!(notes.iter().any(|note| note.contains("anthropic/haiku")), "{notes:?}");
    assert_eq!(OpenCode.notes("", &wants()).len(), 1);
}

proptest! {
    #[test]
    fn what_was_put_in_comes_out_byte_for_byte(text in objects()) {
        let Ok(plugged) = OpenCode.plug(&text, &wants()) else { return Ok(()) };
        prop_assert!(OpenCode.is_plugged(&plugged.text).unwrap());
        let taken_back = hunks::back(&plugged.text, &hunks::between(&text, &plugged.text));
        prop_assert_eq!(taken_back, Some(text.clone()));
        let left = OpenCode.unplug(&plugged.text, &plugged.replaced).unwrap();
        prop_assert!(!OpenCode.is_plugged(&left).unwrap());
    }
}

/// Files as people write them: comments, last commas, tabs and lines of any kind between members.
fn objects() -> impl Strategy<Value = String> {
    let member = prop::sample::select(vec![
        "\"theme\": \"x\"",
        "\"model\": \"a/b\"",
        "\"provider\": { \"a\": {} /* b */ }",
        "\"provider\": {\n\t}",
        "// c\n\"n\": [1, {\"m\": null}]",
        "\"enabled_providers\": [\"a\"]",
        "\"enabled_providers\": []",
        "\"é\": 1e3 // d\n",
    ]);
    let gap = prop::sample::select(vec!["", " ", "\n  ", "\n\n\t", "/* e */\n"]);
    let members = prop::collection::vec((gap.clone(), member, gap), 0..5);
    (members, any::<[bool; 3]>()).prop_map(|(members, [last_comma, line_end, dos])| {
        let members: Vec<String> =
            members.into_iter().map(|(a, b, c)| format!("{a}{b}{c}")).collect();
        let comma = if last_comma && !members.is_empty() { "," } else { "" };
        let text = format!("{{{}{comma}}}{}", members.join(","), if line_end { "\n" } else { "" });
        if dos { text.replace('\n', "\r\n") } else { text }
    })
}

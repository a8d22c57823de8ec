//! Files before, with us in them, and after the person went on with them, from `tests/golden/setup/codex`.

use std::path::Path;

use proptest::prelude::*;

use super::super::agent::tests::{around, wants};
use super::super::hunks;
use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/setup/codex");

fn golden(name: &str) -> String {
    let path = Path::new(GOLDEN).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each case is NAME.before.toml and NAME.after.toml, and undone gives the first again.
#[test]
fn files_are_plugged_in_as_written_down_and_come_back() {
    let mut cases = 0;
    for entry in std::fs::read_dir(GOLDEN).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(case) = name.strip_suffix(".before.toml") else { continue };
        let mut wants = wants();
        wants.model = case.contains("model-chosen").then(|| "gpt-5.5".to_owned());
        let before = golden(&name);
        let plugged = Codex.plug(&before, &wants).unwrap_or_else(|why| panic!("{case}: {why}"));
        let after = Path::new(GOLDEN).join(format!("{case}.after.toml"));
        if std::env::var_os("VALETKEY_BLESS").is_some() {
            std::fs::write(&after, &plugged.text).unwrap();
        }
        assert_eq!(plugged.text, golden(&format!("{case}.after.toml")), "{case}");
        assert!(Codex.is_plugged(&plugged.text).unwrap(), "{case}");
        let again = Codex.plug(&plugged.text, &wants).unwrap();
        assert_eq!((again.text, again.replaced), (plugged.text.clone(), Replaced::new()), "{case}");
        let taken_back = hunks::back(&plugged.text, &hunks::between(&before, &plugged.text));
        assert_eq!(taken_back.as_deref(), Some(before.as_str()), "{case}");
        let unplugged = Codex.unplug(&plugged.text, &plugged.replaced).unwrap();
        assert_eq!(unplugged.trim_end(), before.trim_end(), "{case}, without the hunks");
        cases += 1;
    }
    assert!(cases >= 8, "{cases}");
}

#[test]
fn the_file_is_where_the_cli_looks_for_it() {
    let home = Path::new("/home/pat");
    assert_eq!(Codex.file(&around(home, &[])).unwrap(), home.join(".codex/config.toml"));
    let moved = around(home, &[("CODEX_HOME", "/elsewhere")]);
    assert_eq!(Codex.file(&moved).unwrap(), Path::new("/elsewhere/config.toml"));
}

#[test]
fn what_somebody_wrote_by_hand_is_recognised_and_brought_up_to_date() {
    let by_hand = format!("{}\n", Codex.by_hand(&wants()));
    assert!(Codex.is_plugged(&by_hand).unwrap());
    let more =
        by_hand.replace("name = \"valetkey\"", "name = \"valetkey\"\nrequest_max_retries = 2");
    assert_eq!(Codex.plug(&more, &wants()).unwrap().text, more, "and may hold more");
    let mut moved = wants();
    moved.base_url = "http://127.0.0.1:9/v1".to_owned();
    let plugged = Codex.plug(&more, &moved).unwrap();
    assert!(
        plugged.text.contains("127.0.0.1:9/") && !plugged.text.contains(":8459"),
        "{}",
        plugged.text
    );
    let left = Codex.unplug(&more, &Replaced::new()).unwrap();
    assert_eq!(left.trim(), "");
}

#[test]
fn what_leaves_no_place_for_a_provider_is_refused() {
    for text in [
        "model_providers = {}\n",
        "model_provider.x = 1\n",
        "model_providers.valetkey.name = \"v\"\n",
    ] {
        let refused = Codex.plug(text, &wants()).expect_err(text);
        assert!(matches!(refused, Refused::Shape(_)), "{text}: {refused}");
    }
    let broken = Codex.plug("a = 1\nb = = 2\n", &wants()).unwrap_err();
    assert!(matches!(broken, Refused::Broken { line: 2, .. }), "{broken}");
}

#[test]
fn what_would_go_before_is_told() {
    let about = |text: &str| Codex.notes(text, &wants()).join("\n");
    assert_eq!(about("model = \"gpt-6.1-sol-high\"\n"), "");
    assert!(about("model = \"gpt-oss\"\n").contains("gpt-oss"));
    let profile = "profile = \"home\"\n[profiles.home]\nmodel_provider = \"ollama\"\n";
    assert!(about(profile).contains("goes before"));
}

/// A file as people write them: values, tables, comments and blank lines in any order, none of them ours.
fn any_toml() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[1-9][0-9]{0,3}",
        "\"[a-z #=]{0,8}\"",
        "'[a-z\\\\]{0,5}'",
        Just("[\n  1, # one\n]".to_owned()),
        Just("{ a = 1, b.c = 'x' }".to_owned()),
        Just("\"\"\"\nmany\nlines\"\"\"".to_owned()),
    ];
    let line = prop_oneof![
        4 => value.prop_map(|value| format!("KEY = {value}\n")),
        1 => Just("DOTTED.KEY = true # said\n".to_owned()),
        2 => Just("[TABLE]\n".to_owned()),
        1 => Just("[[LIST]] # more of them\n".to_owned()),
        1 => Just("[model_providers.TABLE]\n".to_owned()),
        1 => "# [a-z \\[\\]=\"]{0,9}\n",
        2 => Just("\n".to_owned()),
        1 => Just("model_provider_KEY = \"openai\"\n".to_owned()),
    ];
    let first = prop_oneof![
        Just(""),
        Just("model_provider = 'openai' # mine\n"),
        Just("\"model\" = \"x\"\n")
    ];
    let rest = proptest::collection::vec(line, 0..12);
    (first, rest, any::<bool>(), any::<bool>()).prop_map(|(first, rest, windows, ended)| {
        let mut text = first.to_owned();
        for (number, line) in rest.into_iter().enumerate() {
            // Nothing may be defined twice.
            let name = |word: &str| format!("{word}{number}");
            let line = ["KEY", "DOTTED", "TABLE", "LIST"]
                .iter()
                .fold(line, |line, word| line.replace(word, &name(&word.to_lowercase())));
            text.push_str(&line);
        }
        if !ended {
            text.truncate(text.trim_end_matches('\n').len());
        }
        if windows { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #[test]
    fn what_is_plugged_in_comes_out_byte_for_byte(text in any_toml(), chosen in any::<bool>()) {
        let mut wants = wants();
        wants.model = chosen.then(|| "gpt-5.5".to_owned());
        let plugged = Codex.plug(&text, &wants).unwrap();
        prop_assert!(Codex.is_plugged(&plugged.text).unwrap());
        let back = hunks::back(&plugged.text, &hunks::between(&text, &plugged.text));
        prop_assert_eq!(back.as_deref(), Some(text.as_str()));
        // And by its values where the person has been at our lines.
        let touched = plugged.text.replace("wire_api", "request_max_retries = 3\nwire_api");
        let left = Codex.unplug(&touched, &plugged.replaced).unwrap();
        prop_assert_eq!(values(&left).unwrap(), values(&text).unwrap());
    }

    #[test]
    fn no_text_is_too_strange_to_be_refused(text in "[a-z\\[\\]{}=.\"' #\r\n]{0,40}") {
        if let Ok(plugged) = Codex.plug(&text, &wants()) {
            prop_assert!(Codex.is_plugged(&plugged.text).unwrap());
            let _ = Codex.unplug(&text, &Replaced::new());
        }
    }
}

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

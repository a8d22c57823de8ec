//! What the tests of agents with a list of models share: files in `tests/golden/setup/AGENT`.

use std::path::Path;

use super::super::agent::tests::wants;
use super::super::agent::{Edit, Wants};
use super::super::hunks;
use super::*;
use crate::secret::Secret;

/// What the agents are to say, with a key.
pub(in super::super) fn wants_with_key() -> Wants {
    Wants { key: Some(Secret::new("vk_0123456789".to_owned())), ..wants() }
}

/// Each case is NAME.before.ENDING and NAME.after.ENDING; taken back, the first comes again, by the hunks
/// byte for byte and by the values also without them.
pub(in super::super) fn files_come_back(edit: &dyn Edit, agent: &str, ending: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/setup").join(agent);
    let mut cases = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(case) = name.strip_suffix(&format!(".before.{ending}")) else { continue };
        let mut wants = wants_with_key();
        wants.model = case.contains("model-chosen").then(|| "gpt-5.5-high".to_owned());
        let before = std::fs::read_to_string(folder.join(&name)).unwrap();
        let plugged = edit.plug(&before, &wants).unwrap_or_else(|why| panic!("{case}: {why}"));
        let after = folder.join(format!("{case}.after.{ending}"));
        if std::env::var_os("VALETKEY_BLESS").is_some() {
            std::fs::write(&after, &plugged.text).unwrap();
        }
        assert_eq!(plugged.text, std::fs::read_to_string(after).unwrap(), "{case}");
        assert!(
            !edit.is_plugged(&before).unwrap() && edit.is_plugged(&plugged.text).unwrap(),
            "{case}"
        );

        wants.model = None;
        let again = edit.plug(&plugged.text, &wants).unwrap();
        if !case.contains("model-chosen") {
            assert_eq!(
                (again.text, again.replaced),
                (plugged.text.clone(), Replaced::new()),
                "{case}, again"
            );
        }
        moved(edit, &plugged.text, &wants);
        let taken_back = hunks::back(&plugged.text, &hunks::between(&before, &plugged.text));
        assert_eq!(taken_back.as_deref(), Some(before.as_str()), "{case}, by hunks");

        let left = edit.unplug(&plugged.text, &plugged.replaced).unwrap();
        assert!(!left.contains("valetkey") && !left.contains("127.0.0.1:8459"), "{case}: {left}");
        assert!(!edit.is_plugged(&left).unwrap(), "{case}");
        let once_more = edit.plug(&left, &wants_with_key()).unwrap();
        assert!(edit.is_plugged(&once_more.text).unwrap(), "{case}, once more");
        assert_eq!(edit.unplug(&left, &plugged.replaced).unwrap(), left, "{case}, undone twice");
        cases += 1;
    }
    assert!(cases >= least, "{cases}");
}

/// Another door: the old one goes, and nothing of ours counts as the person's.
fn moved(edit: &dyn Edit, plugged: &str, wants: &Wants) {
    let elsewhere = Wants { base_url: "http://127.0.0.1:9999/v1".to_owned(), ..wants.clone() };
    let moved = edit.plug(plugged, &elsewhere).unwrap();
    assert!(
        moved.text.contains("127.0.0.1:9999") && !moved.text.contains("127.0.0.1:8459"),
        "{}",
        moved.text
    );
    assert_eq!(moved.replaced, Replaced::new());
    assert_eq!(edit.plug(&moved.text, wants).unwrap().text, plugged);
}

#[test]
fn the_model_that_was_asked_for_comes_first_and_none_is_made_up() {
    let mut wants = wants();
    assert_eq!(known(&wants).unwrap(), ["gpt-6.1-sol", "gpt-5.5"]);
    wants.model = Some("gpt-5.5".to_owned());
    assert_eq!(known(&wants).unwrap(), ["gpt-5.5", "gpt-6.1-sol"]);
    (wants.model, wants.models) = (None, Vec::new());
    assert!(known(&wants).unwrap_err().to_string().contains("--model"));
    assert_eq!(shown(&wants), ["MODEL"]);
}

//! Files before and with us in them, from `tests/golden/setup/continue`.

use super::super::agent::tests::around;
use super::super::models::tests::{files_come_back, wants_with_key};
use super::*;

#[test]
fn files_are_plugged_in_as_written_down_and_come_back() {
    files_come_back(&Continue, "continue", "yaml", 4);
}

#[test]
fn an_entry_that_the_person_added_below_ours_stays() {
    let plugged = Continue.plug("# mine\n", &wants_with_key()).unwrap();
    let own = "  - name: mine\n    provider: ollama\n    model: x\n";
    let later = plugged.text + own;
    let left = Continue.unplug(&later, &plugged.replaced).unwrap();
    assert!(
        left.ends_with("models:\n  - name: mine\n    provider: ollama\n    model: x\n"),
        "{left}"
    );
    assert!(left.starts_with("# mine\n") && !left.contains("valetkey"), "{left}");
}

#[test]
fn a_list_in_brackets_is_left_alone() {
    let refusal = Continue.plug("models: [{a: 1}]\n", &wants_with_key()).unwrap_err();
    assert!(refusal.to_string().contains("`models`"), "{refusal}");
}

#[test]
fn its_folder_can_be_elsewhere() {
    let home = std::path::Path::new("/home/pat");
    assert_eq!(Continue.file(&around(home, &[])).unwrap(), home.join(".continue/config.yaml"));
    let told = Continue.file(&around(home, &[("CONTINUE_GLOBAL_DIR", "/srv")])).unwrap();
    assert_eq!(told, std::path::Path::new("/srv/config.yaml"));
}

#[test]
fn what_the_person_added_to_our_entries_is_not_taken_for_an_old_state() {
    let plugged = Continue.plug("", &wants_with_key()).unwrap().text;
    let more = plugged.replace("    provider: openai", "    provider: openai\n    roles: [chat]");
    assert_ne!(more, plugged);
    assert_eq!(Continue.plug(&more, &wants_with_key()).unwrap().text, more);
}

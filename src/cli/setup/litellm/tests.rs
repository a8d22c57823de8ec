//! Files before and with us in them, from `tests/golden/setup/litellm`.

use super::super::agent::tests::around;
use super::super::models::tests::{files_come_back, wants_with_key};
use super::*;

#[test]
fn files_are_plugged_in_as_written_down_and_come_back() {
    files_come_back(&LiteLlm, "litellm", "yaml", 9);
}

#[test]
fn an_entry_that_the_person_added_below_ours_stays() {
    let plugged = LiteLlm.plug("# mine\n", &wants_with_key()).unwrap();
    let own = "  - model_name: mine\n    litellm_params: {model: ollama/x}\n";
    let later = plugged.text + own;
    let left = LiteLlm.unplug(&later, &plugged.replaced).unwrap();
    assert!(
        left.ends_with(
            "model_list:\n  - model_name: mine\n    litellm_params: {model: ollama/x}\n"
        ),
        "{left}"
    );
    assert!(left.starts_with("# mine\n") && !left.contains("valetkey"), "{left}");
}

#[test]
fn a_list_in_brackets_is_left_alone() {
    let refusal = LiteLlm.plug("model_list: [{a: 1}]\n", &wants_with_key()).unwrap_err();
    assert!(refusal.to_string().contains("`model_list`"), "{refusal}");
}

#[test]
fn its_file_is_where_it_is_told() {
    let home = std::path::Path::new("/home/pat");
    let usual = LiteLlm.file(&around(home, &[])).unwrap();
    assert_eq!(usual, home.join(".config/litellm/config.yaml"));
    let told = LiteLlm.file(&around(home, &[("CONFIG_FILE_PATH", "/srv/models.yaml")])).unwrap();
    assert_eq!(told, std::path::Path::new("/srv/models.yaml"));
}

#[test]
fn what_the_person_added_to_our_entries_is_not_taken_for_an_old_state() {
    let plugged = LiteLlm.plug("", &wants_with_key()).unwrap().text;
    let more = plugged
        .replace("      api_key: vk_0123456789", "      api_key: vk_0123456789\n      timeout: 9");
    assert_ne!(more, plugged);
    assert_eq!(LiteLlm.plug(&more, &wants_with_key()).unwrap().text, more);
}

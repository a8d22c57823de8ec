//! Files before and with us in them, from `tests/golden/setup/aider`.

use super::super::agent::tests::around;
use super::super::models::tests::{files_come_back, wants_with_key};
use super::*;

#[test]
fn files_are_plugged_in_as_written_down_and_come_back() {
    files_come_back(&Aider, "aider", "yml", 6);
}

#[test]
fn the_persons_own_values_come_back_in_their_places() {
    let before =
        "model: sonnet   # the best\nopenai-api-key: \"sk-own\"\nshow-model-warnings: true\n";
    let plugged = Aider.plug(before, &wants_with_key()).unwrap();
    let later = format!("# new\n{}dark-mode: true\n", plugged.text);
    let left = Aider.unplug(&later, &plugged.replaced).unwrap();
    assert_eq!(left, format!("# new\n{before}dark-mode: true\n"));
}

#[test]
fn what_the_person_chose_since_stays() {
    let plugged = Aider.plug("", &wants_with_key()).unwrap();
    let own_key = plugged.text.replace("vk_0123456789", "sk-own");
    assert_eq!(Aider.unplug(&own_key, &plugged.replaced).unwrap(), own_key, "no longer ours");
    let own_model = plugged.text.replace("openai/gpt-6.1-sol", "sonnet");
    assert_eq!(Aider.unplug(&own_model, &plugged.replaced).unwrap(), "model: sonnet\n");
    let quiet = Aider.plug("show-model-warnings: false\n", &wants_with_key()).unwrap();
    let left = Aider.unplug(&quiet.text, &quiet.replaced).unwrap();
    assert_eq!(left, "show-model-warnings: false\n", "it was there before us");
}

#[test]
fn a_model_of_the_login_that_was_chosen_stays_and_another_can_be() {
    let mut wants = wants_with_key();
    let plugged = Aider.plug("model: openai/gpt-5.5\n", &wants).unwrap();
    assert!(
        plugged.text.starts_with("model: openai/gpt-5.5\n") && plugged.replaced.len() == 1,
        "{plugged:?}"
    );
    wants.model = Some("gpt-6.1-sol".to_owned());
    let other = Aider.plug(&plugged.text, &wants).unwrap();
    assert!(other.text.starts_with("model: openai/gpt-6.1-sol\n"), "{}", other.text);
}

#[test]
fn a_value_that_is_no_word_is_left_alone() {
    let refusal = Aider.plug("model: [a, b]\n", &wants_with_key()).unwrap_err();
    assert!(refusal.to_string().contains("`model`"), "{refusal}");
}

#[test]
fn it_is_installed_where_its_file_is_and_not_for_the_home_directory() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    assert!(!Aider.is_installed(&around));
    std::fs::write(Aider.file(&around).unwrap(), "").unwrap();
    assert!(Aider.is_installed(&around));
}

//! What the tests of every agent share, and those of what is around one.

use super::*;

/// What the tests' agents are to say.
pub(in super::super) fn wants() -> Wants {
    Wants {
        program: "/home/pat/.local/bin/valetkey".to_owned(),
        reach: Vec::new(),
        base_url: "http://127.0.0.1:8459/v1".to_owned(),
        models: vec!["gpt-6.1-sol".to_owned(), "gpt-5.5".to_owned()],
        model: None,
        shell: "bash".to_owned(),
        key_file: "/home/pat/.local/share/valetkey/keys/agent.key".into(),
        key: None,
    }
}

/// Surroundings with these variables.
pub(in super::super) fn around(home: &Path, variables: &[(&str, &str)]) -> Around {
    let variables =
        variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
    Around { home: home.to_owned(), variables }
}

#[test]
fn what_is_around_is_found_by_variables_and_below_the_home_directory() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent"), "").unwrap();
    let path = std::env::join_paths([Path::new("/nonexistent"), folder.path()]).unwrap();
    let variables = [("PATH", path.to_str().unwrap()), ("EMPTY", "")];
    let around = around(Path::new("/home/pat"), &variables);
    assert_eq!(around.finds("agent"), Some(folder.path().join("agent")));
    assert_eq!(around.finds("another"), None);
    assert_eq!(around.folder("EMPTY", ".x"), Path::new("/home/pat/.x"));
    assert_eq!(around.config_home(), Path::new("/home/pat/.config"));
    let short = Path::new("~").join(".x/y");
    assert_eq!(around.short(Path::new("/home/pat/.x/y")), short.to_str().unwrap());
    assert_eq!(around.short(Path::new("/home/pat")), "/home/pat");
    assert_eq!(around.short(Path::new("/etc/x")), "/etc/x");
}

#[test]
fn the_words_of_a_lease_reach_the_daemon_that_is_meant() {
    let mut wants = wants();
    wants.reach = vec!["--socket".to_owned(), "/s".to_owned()];
    assert_eq!(wants.lease("x")[1..], ["--socket", "/s", "lease", "--client", "x"]);
    assert_eq!(wants.model_or_first(), Some("gpt-6.1-sol"));
    assert_eq!(wants.key_text(), "vk_…");
}

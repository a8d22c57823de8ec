//! Help that teaches: verbs, topics, and the next step after every mistake.

use std::process::Stdio;

use super::{exits, is_sentence_and_hint};
use crate::support::{Home, Sandbox, stderr, stdout};

fn home() -> Home {
    Home::with_config("")
}

#[test]
fn help_lists_verbs_and_topics_and_explains_each() {
    let home = home();
    let list = stdout(&exits(&home, 0, &["help"]));
    let (verbs, topics) = list.split_once("Topics").unwrap();
    assert!(!list.contains('\u{1b}'), "colours in a pipe");
    let names = |list: &str| -> Vec<String> {
        let line = |line: &str| line.split_whitespace().next().map(str::to_owned);
        list.lines().skip(1).filter_map(line).collect()
    };
    let (verbs, topics) = (names(verbs), names(topics));
    assert!(verbs.len() > 20 && topics.len() > 20, "{list}");
    for verb in &verbs {
        let text = stdout(&exits(&home, 0, &["help", verb]));
        assert!(text.contains(&format!("Usage: valetkey {verb}")), "{text}");
        let flag = stdout(&exits(&home, 0, &[verb, "--help"]));
        assert!(text.starts_with(&flag), "{verb}:\n{text}\n{flag}");
    }
    for topic in &topics {
        let text = stdout(&exits(&home, 0, &["help", topic]));
        assert!(text.lines().count() > 2 && !text.contains("](#"), "{topic}: {text}");
    }
    assert!(!home.data().exists() && !home.state().exists(), "nothing is begun for it");
}

#[test]
fn a_topic_is_found_by_the_beginning_of_its_name_and_by_its_words() {
    let home = home();
    let whole = stdout(&exits(&home, 0, &["help", "configuration"]));
    assert!(whole.contains("[daemon]") && whole.contains("    max_clients = 1024"), "{whole}");
    assert_eq!(stdout(&exits(&home, 0, &["help", "config"])), whole);
    assert_eq!(stdout(&exits(&home, 0, &["help", "Configuration"])), whole);
    let add = stdout(&exits(&home, 0, &["help", "key", "add"]));
    assert!(add.contains("Usage: valetkey key add"), "{add}");
}

#[test]
fn every_mistake_is_one_sentence_with_the_next_step() {
    let home = home();
    for (arguments, next) in [
        (&["help", "lgoin"][..], "valetkey help login"),
        (&["help", "l"], "valetkey help lease"),
        (&["help", "nothing-of-the-kind"], "`valetkey help` lists"),
        (&["lgin"], "'login'"),
        (&["token", "--jsn"], "--json"),
        (&["rpc"], "as in: valetkey rpc"),
        (&["key", "add"], "valetkey key add --help"),
        (&["ask", "--model"], "valetkey ask --help"),
        (&["status", "--account", "../up"], "valetkey status --help"),
    ] {
        let output = exits(&home, 2, arguments);
        is_sentence_and_hint(&output);
        assert!(stderr(&output).contains(next), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_plain_terminal_is_shown_plain_characters() {
    let home = home();
    let mut command = home.command(&["help", "see-it-work"]);
    let output = command.env("LC_ALL", "C").stdout(Stdio::piped()).output().unwrap();
    assert!(stdout(&output).is_ascii() && !output.stdout.is_empty());
    let usual = stdout(&exits(&home.and_env("LC_ALL", "C.UTF-8"), 0, &["help", "see-it-work"]));
    assert!(usual.contains('✓'), "{usual}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = home();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = home.command(&["help", "configuration"]).stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn shells_complete_verbs_and_topics() {
    let home = home();
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&exits(&home, 0, &["completions", shell]));
        assert!(script.contains("security") && script.contains("configuration"), "{shell}");
    }
    let page = stdout(&exits(&home, 0, &["man"]));
    assert!(page.contains(".SH TOPICS") && page.contains("security"), "{page}");
}

// A pipe ends with whoever listens on it.
#[cfg(unix)]
#[test]
fn a_socket_that_nobody_listens_on_is_removed_by_whoever_may_start_no_daemon() {
    let home = Home::new(&Sandbox::start());
    drop(std::os::unix::net::UnixListener::bind(home.socket()).unwrap());
    let output = exits(&home, 4, &["--no-spawn", "status"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("the file was removed"), "{}", stderr(&output));
    assert!(!home.socket().exists());
    let output = exits(&home, 4, &["--no-spawn", "status"]);
    assert!(!stderr(&output).contains("removed"), "{}", stderr(&output));

    // One that is no socket is a person's, and one that is served is somebody's.
    std::fs::write(home.socket(), "a person's file").unwrap();
    exits(&home, 4, &["--no-spawn", "status"]);
    assert_eq!(std::fs::read_to_string(home.socket()).unwrap(), "a person's file");
}

#[test]
fn a_named_socket_on_a_machine_that_knows_of_no_daemon_starts_none() {
    let home = Home::new(&Sandbox::start());
    let run = |arguments: &[&str], no_spawn: Option<&str>| {
        let mut command = home.command(arguments);
        command.env_remove("VALETKEY_DATA_DIR");
        if let Some(value) = no_spawn {
            command.env("VALETKEY_NO_SPAWN", value).env("VALETKEY_DATA_DIR", home.data());
        }
        command.output().unwrap()
    };
    for output in [run(&["token"], None), run(&["token"], Some("1"))] {
        assert_eq!(output.status.code(), Some(4));
        is_sentence_and_hint(&output);
    }
    assert!(stderr(&run(&["token"], None)).contains("forwarded from another machine"));
    assert!(!home.state().exists() && !home.data().exists(), "nothing was begun");
}

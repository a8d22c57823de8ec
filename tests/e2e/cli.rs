//! The command line, as a person and as a script use it.

mod ask;
mod doctor;
mod door;
mod fake;
mod help;
mod import;
mod login;
mod relayed;
#[cfg(unix)]
mod service;
mod setup;
mod spawn;
mod task;
#[cfg(unix)]
mod terminal;
mod watch;

use std::io::Read as _;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Sandbox, ended, stderr, stdout};

/// Runs it and expects this exit code.
#[track_caller]
fn exits(home: &Home, code: i32, arguments: &[&str]) -> Output {
    let output = home.run(arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}\n{}{}",
        stdout(&output),
        stderr(&output)
    );
    output
}

/// An error is one sentence, with the next step under it.
#[track_caller]
fn is_sentence_and_hint(output: &Output) {
    let said = stderr(output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("error: ") && lines[1].starts_with("  hint: "), "{said}");
    assert_eq!(stdout(output), "");
}

#[test]
fn the_exit_code_tells_a_script_what_happened() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    exits(&daemon, 3, &["status"]);
    is_sentence_and_hint(&exits(&daemon, 3, &["token"]));
    is_sentence_and_hint(&exits(&daemon, 3, &["token", "--json"]));
    exits(&daemon, 2, &["token", "--nonsense"]);
    exits(&daemon, 2, &["token", "--account", "../up"]);
    exits(&daemon, 2, &["rpc", "nonsense"]);
    exits(&daemon, 2, &["rpc", "status", "{\"accout\": 1}"]);
    is_sentence_and_hint(&exits(&daemon, 2, &["rpc", "status", "{"]));
    exits(&daemon, 2, &["status", "--vendor", "elsewhere"]);
    sandbox.settings(json!({"device_enabled": false}));
    assert!(stderr(&exits(&daemon, 1, &["login", "--device", "--yes"])).contains("hint: "));
    let nowhere = Home::new(&sandbox).socket();
    let nowhere = ["--no-spawn", "--socket", nowhere.to_str().unwrap(), "token"];
    is_sentence_and_hint(&exits(&daemon, 4, &nowhere));
    daemon.sign_in(&sandbox);
    for verb in ["status", "token", "models", "accounts", "paths", "logout"] {
        exits(&daemon, 0, &[verb]);
    }
}

#[test]
fn a_token_is_printed_alone_as_a_header_or_with_everything() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let lent = daemon.token();
    let token = lent["access_token"].as_str().unwrap();
    let plain = exits(&daemon, 0, &["token"]);
    assert_eq!((stdout(&plain), stderr(&plain)), (format!("{token}\n"), String::new()));
    let header = exits(&daemon, 0, &["token", "--header"]);
    assert_eq!(stdout(&header), format!("Authorization: Bearer {token}\n"));
    let output = exits(&daemon, 0, &["token", "--json"]);
    let mut whole: Value = serde_json::from_str(&stdout(&output)).unwrap();
    whole["expires_in"] = lent["expires_in"].clone();
    assert_eq!(whole, lent);
    exits(&daemon, 2, &["token", "--json", "--header"]);
    exits(&daemon, 0, &["token", "--min-ttl", "100"]);
    let generation = lent["generation"].to_string();
    let fresh = exits(&daemon, 0, &["token", "--rejected", &generation]);
    assert_ne!(stdout(&fresh), format!("{token}\n"));
    // A token given as an argument would stand in every process list.
    exits(&daemon, 2, &["token", "--rejected", token]);
}

#[test]
fn status_is_for_a_person_or_for_a_program() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let out = stdout(&exits(&daemon, 3, &["status"]));
    assert!(out.contains("signed out") && out.contains("valetkey login"), "{out}");
    daemon.sign_in(&sandbox);
    let shown = stdout(&exits(&daemon, 0, &["status"]));
    assert!(shown.contains("pat@example.test") && shown.contains("connected"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "colours in a pipe: {shown:?}");
    let told: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["status", "--json"]))).unwrap();
    assert_eq!(told, daemon.status());
}

#[test]
fn accounts_are_listed_and_chosen() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    daemon.sign_in_as(&sandbox, json!({"account": "work"}));
    let list = stdout(&exits(&daemon, 0, &["accounts"]));
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].starts_with("* default") && lines[1].starts_with("  work"), "{list}");
    let chosen = stdout(&exits(&daemon, 0, &["accounts", "use", "work"]));
    assert!(chosen.contains("work"), "{chosen}");
    assert!(stdout(&exits(&daemon, 0, &["accounts", "list"])).starts_with("* work"));
    let told: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["accounts", "--json"]))).unwrap();
    assert_eq!(told["accounts"][0]["account"], "work");
    let out = stdout(&exits(&daemon, 0, &["logout", "--account", "work"]));
    assert!(out.contains("sandbox/work") && out.contains("The issuer has revoked it"), "{out}");
    let out = stdout(&exits(&daemon, 0, &["logout", "--account", "default", "--no-revoke"]));
    assert!(out.contains("was not asked"), "{out}");
    assert_eq!(sandbox.stat("revocations"), 1);
}

#[test]
fn any_method_can_be_called_and_errors_come_as_they_are() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let info: Value = serde_json::from_str(&stdout(&exits(&daemon, 0, &["rpc", "info"]))).unwrap();
    assert_eq!(info["pid"], daemon.pid());
    let refused = exits(&daemon, 3, &["rpc", "token", "{\"account\": \"work\"}"]);
    let error: Value = serde_json::from_str(&stderr(&refused)).unwrap();
    assert_eq!(error["code"], -32001);
    let mut command = daemon.command(&["rpc", "status", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"{\"account\": \"work\"}")
        .unwrap();
    assert!(ended(&mut child).success());
    let mut answer = String::new();
    child.stdout.unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["account"], "work");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    for verb in [
        &["models"] as &[&str],
        &["status"],
        &["status", "--json"],
        &["token"],
        &["accounts"],
        &["paths"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut child = daemon.command(verb).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let status = ended(&mut child);
        let mut said = String::new();
        child.stderr.unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{verb:?}");
    }
}

#[test]
fn paths_are_told_and_follow_the_environment_and_the_flags() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let told: Value =
        serde_json::from_str(&stdout(&exits(&home, 0, &["paths", "--json"]))).unwrap();
    let path = |path: std::path::PathBuf| json!(path.to_str().unwrap());
    assert_eq!(
        told,
        json!({
            "config": path(home.config()),
            "credentials": path(home.data().join("credentials")),
            "data": path(home.data()),
            "state": path(home.state()),
            "log": path(home.state().join("log")),
            "audit": path(home.state().join("audit")),
            "socket": path(home.socket()),
        })
    );
    let plain = stdout(&exits(&home, 0, &["paths", "--socket", "/elsewhere.sock"]));
    assert!(
        plain.lines().any(|line| line.starts_with("socket ") && line.ends_with("/elsewhere.sock"))
    );
    assert_eq!(plain.lines().count(), 7);

    let bare = home.path().join("home");
    let mut command = home.command(&["paths", "--json"]);
    command.env_clear().env("HOME", &bare).env("XDG_RUNTIME_DIR", "/run/user/12345");
    let output = command.output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    if cfg!(target_os = "linux") {
        assert_eq!(told["socket"], "/run/user/12345/valetkey/valetkey.sock");
        assert_eq!(told["config"], path(bare.join(".config/valetkey/config.toml")));
        assert_eq!(told["data"], path(bare.join(".local/share/valetkey")));
    }
    assert!(!bare.join(".config").exists(), "looking makes nothing");
}

#[test]
fn shells_are_completed_and_the_manual_is_printed() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&exits(&home, 0, &["completions", shell]));
        for verb in ["login", "token", "accounts"] {
            assert!(script.contains(verb), "{shell} knows no {verb}");
        }
    }
    let page = stdout(&exits(&home, 0, &["man"]));
    assert!(page.contains(".TH valetkey 1") && page.contains("token"), "{page}");
    assert!(stdout(&exits(&home, 0, &["--version"])).contains(env!("CARGO_PKG_VERSION")));
    assert!(stdout(&exits(&home, 0, &["login", "--help"])).contains("--device"));
}

#[cfg(target_os = "linux")]
#[test]
fn no_secret_stands_in_a_process_list() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let token = stdout(&exits(&daemon, 0, &["token"])).trim().to_owned();
    let kept = std::fs::read_to_string(daemon.credential("default")).unwrap();
    let refresh_token = kept.split('"').find(|word| word.starts_with("rt_")).unwrap().to_owned();
    for name in ["cmdline", "environ"] {
        // Root may read what the daemon hides from everybody else.
        let shown = std::fs::read(format!("/proc/{}/{name}", daemon.pid())).unwrap_or_default();
        let shown = String::from_utf8_lossy(&shown).into_owned();
        assert!(name == "environ" || shown.contains("serve"), "{shown}");
        assert!(!shown.contains(&token) && !shown.contains(&refresh_token), "{name}");
    }
}

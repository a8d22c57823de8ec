//! `valetkey setup`: files of a scratch home, as a person has them, changed and changed back.

// Modes and links.
#[cfg(unix)]
mod files;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::fake::Fake;
use super::{exits, is_sentence_and_hint};
use crate::support::{Daemon, Home, Sandbox, stderr, stdout};

const CODEX: &str = "# mine\nmodel = \"gpt-5.5\"\nmodel_provider = \"ollama\" # at home\n\n[tui]\ntheme = \"dark\"\n";

/// A home of which the Codex CLI's configuration says this.
fn with_codex(home: &Home, text: &[u8]) -> PathBuf {
    let folder = home.path().join("home/.codex");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    std::fs::write(&file, text).unwrap();
    file
}

fn read(file: &std::path::Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// A daemon whose door is open on a port of its own.
fn with_door(sandbox: &Sandbox) -> Daemon {
    Home::new(sandbox).and_config("[http]\nlisten = \"127.0.0.1:0\"").serve()
}

fn door(daemon: &Daemon) -> Value {
    daemon.ok("info", json!({}))["http"].take()
}

/// What the agent's helper prints, run as the agent's configuration says, in an environment of nothing.
fn helper(daemon: &Home, config: &str) -> String {
    let table: toml::Table = config.parse().unwrap();
    let auth = &table["model_providers"]["valetkey"]["auth"];
    let words = auth["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let mut command = Command::new(auth["command"].as_str().unwrap());
    command.args(words).env_clear().env("HOME", daemon.path().join("home"));
    // Without it no Windows program finds the network.
    if let Some(value) = std::env::var_os("SystemRoot").filter(|_| cfg!(windows)) {
        command.env("SystemRoot", value);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).trim().to_owned()
}

#[test]
fn codex_is_plugged_in_with_one_line_and_unplugged_without_a_trace() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let (file, config) = (with_codex(&daemon, CODEX.as_bytes()), read(&daemon.config()));
    assert_eq!(door(&daemon), Value::Null);

    let shown = stdout(&exits(&daemon, 0, &["setup", "codex", "--write"]));
    assert!(
        shown.contains("\n-model_provider = \"ollama\" # at home\n+model_provider = \"valetkey\""),
        "{shown}"
    );
    assert!(shown.contains("+[http]") && shown.contains("is plugged in"), "{shown}");
    let plugged = read(&file);
    let address = door(&daemon);
    let base_url =
        format!("base_url = \"http://{}/v1\"", address.as_str().expect("the door is open"));
    assert!(plugged.contains(&base_url) && plugged.contains("theme = \"dark\""), "{plugged}");
    assert!(helper(&daemon, &plugged).starts_with("vk_"));
    let state = daemon.state().join("setup");
    assert!(state.join("codex.backup").exists());

    let again = stdout(&exits(&daemon, 0, &["setup", "codex", "--write"]));
    assert!(again.contains("already plugged in") && !again.contains("+++"), "{again}");
    assert_eq!(read(&file), plugged);

    let undone = stdout(&exits(&daemon, 0, &["setup", "codex", "--undo"]));
    assert!(
        undone.contains("not plugged in any more") && undone.contains("closed again"),
        "{undone}"
    );
    assert_eq!((read(&file).as_str(), read(&daemon.config())), (CODEX, config));
    assert_eq!(door(&daemon), Value::Null);
    assert!(!state.exists(), "nothing is remembered");
    let again = stdout(&exits(&daemon, 0, &["setup", "codex", "--undo"]));
    assert!(again.contains("nothing to undo"), "{again}");
}

#[test]
fn what_the_person_changed_since_stays() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let file = with_codex(&home, CODEX.as_bytes());
    exits(&home, 0, &["setup", "codex", "--write", "--yes"]);
    // Lines of the person's around ours.
    let plugged = read(&file);
    std::fs::write(&file, format!("{plugged}\n[history]\npersistence = \"none\"\n")).unwrap();
    let config = read(&home.config());
    std::fs::write(home.config(), format!("{config}\n[log]\nlevel = \"warn\"\n")).unwrap();
    exits(&home, 0, &["setup", "codex", "--undo"]);
    assert_eq!(read(&file), format!("{CODEX}\n[history]\npersistence = \"none\"\n"));
    assert!(!read(&home.config()).contains("listen") && read(&home.config()).contains("warn"));
    // And within ours.
    exits(&home, 0, &["setup", "codex", "--write", "--model", "gpt-6.1-sol"]);
    let changed = read(&file)
        .replace("name = \"valetkey\"", "name = \"my key\"")
        .replace("model = \"gpt-6.1-sol\"", "model = \"another\"");
    std::fs::write(&file, changed).unwrap();
    exits(&home, 0, &["setup", "codex", "--undo"]);
    let left = read(&file);
    assert!(left.contains("model_provider = \"ollama\" # at home"), "{left}");
    assert!(left.contains("model = \"another\"") && !left.contains("valetkey"), "{left}");
}

// The other agent is a Unix shell.
#[cfg(unix)]
#[test]
fn the_door_stays_open_while_an_agent_needs_it() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox).and_env("SHELL", "/bin/bash");
    let (codex, config) = (with_codex(&home, CODEX.as_bytes()), read(&home.config()));
    exits(&home, 0, &["setup", "codex", "--write"]);
    exits(&home, 0, &["setup", "shell", "--write"]);
    let start = home.path().join("home/.bashrc");
    assert!(read(&start).contains("with_valetkey()"));
    let open = read(&home.config());
    assert!(open.contains("listen"));
    exits(&home, 0, &["setup", "codex", "--undo"]);
    assert_eq!((read(&codex).as_str(), read(&home.config())), (CODEX, open));
    exits(&home, 0, &["setup", "shell", "--undo"]);
    assert_eq!(read(&home.config()), config);
    assert!(!start.exists(), "it was ours alone");
    // One whose file is being edited, and cannot be read just now, needs it no less.
    exits(&home, 0, &["setup", "codex", "--write"]);
    exits(&home, 0, &["setup", "shell", "--write"]);
    let (plugged, open) = (read(&codex), read(&home.config()));
    std::fs::write(&codex, format!("{plugged}[broken")).unwrap();
    exits(&home, 0, &["setup", "shell", "--undo"]);
    assert_eq!(read(&home.config()), open);
    std::fs::write(&codex, plugged).unwrap();
    exits(&home, 0, &["setup", "codex", "--undo"]);
    assert_eq!((read(&codex).as_str(), read(&home.config())), (CODEX, config));
}

#[test]
fn a_door_of_the_persons_is_used_and_left_alone() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let (file, config) = (with_codex(&daemon, b""), read(&daemon.config()));
    exits(&daemon, 0, &["setup", "codex", "--write"]);
    assert!(read(&file).contains(door(&daemon).as_str().unwrap()));
    exits(&daemon, 0, &["setup", "codex", "--undo"]);
    assert_eq!((read(&file).as_str(), read(&daemon.config())), ("", config));
}

#[test]
fn a_door_that_cannot_be_opened_changes_nothing() {
    // A daemon that says yes to everything and opens nothing.
    let fake = Fake::start(|call, talk| {
        let result = match call["method"].as_str().unwrap() {
            "info" => json!({
                "name": "valetkey", "version": "1", "protocol": 1, "pid": 4711, "started_at": 1,
                "uptime": 1, "socket": "/s", "http": null, "vendors": [],
            }),
            "models" => {
                json!({"vendor": "openai", "models": [{"id": "gpt-5.5"}], "source": "builtin"})
            }
            _ => json!({}),
        };
        talk.answer(call, &result);
    });
    let file = with_codex(&fake, CODEX.as_bytes());
    let output = exits(&fake, 1, &["setup", "codex", "--write"]);
    assert!(stderr(&output).contains("could not open its door"), "{}", stderr(&output));
    assert_eq!((read(&file).as_str(), read(&fake.config()).as_str()), (CODEX, ""));
    assert!(!fake.state().join("setup").exists());
}

// Where that agent keeps its file cannot be led elsewhere on Windows.
#[cfg(unix)]
#[test]
fn an_agent_that_stores_a_key_gets_one_of_its_own_that_ends_with_it() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    daemon.sign_in(&sandbox);
    // The person's own, which must not be touched.
    daemon.ok("keys.add", json!({"name": "openhands"}));
    let folder = daemon.path().join("home/.openhands");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("agent_settings.json");
    let missing = exits(&daemon, 1, &["setup", "openhands", "--write"]);
    assert!(stderr(&missing).contains("not there yet"), "{}", stderr(&missing));
    let names = || {
        let keys = daemon.ok("keys.list", json!({}))["keys"].take();
        keys.as_array()
            .unwrap()
            .iter()
            .map(|key| key["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(), ["openhands"], "no key for nothing");

    let before =
        "{\"llm\":{\"model\":\"x\",\"api_key\":null,\"base_url\":null},\"kind\":\"Agent\"}";
    std::fs::write(&file, before).unwrap();
    let output = exits(&daemon, 0, &["setup", "openhands", "--write"]);
    let plugged: Value = serde_json::from_str(&read(&file)).unwrap();
    let key = plugged["llm"]["api_key"].as_str().unwrap();
    assert!(key.starts_with("vk_") && key.len() == 46, "{plugged}");
    assert!(!stdout(&output).contains(&key[3..]), "a key is not shown");
    assert!(plugged["llm"]["model"].as_str().unwrap().starts_with("openai/"));
    assert_eq!(names(), ["openhands", "openhands-2"]);
    files::has_mode(&file, 0o600);
    let kept = daemon.data().join("keys/openhands.key");
    assert_eq!(read(&kept), key);
    files::has_mode(&kept, 0o600);
    let again = stdout(&exits(&daemon, 0, &["setup", "openhands", "--write"]));
    assert!(again.contains("already plugged in"), "{again}");
    assert_eq!(names().len(), 2);
    // A key that was revoked is made anew.
    daemon.ok("keys.revoke", json!({"name": "openhands-2"}));
    exits(&daemon, 0, &["setup", "openhands", "--write"]);
    assert_ne!(read(&kept), key);
    assert_eq!(names().len(), 2);

    exits(&daemon, 0, &["setup", "openhands", "--undo"]);
    assert_eq!(read(&file), before);
    assert_eq!(names(), ["openhands"]);
    assert!(!kept.exists() && !daemon.state().join("setup").exists());
}

#[test]
fn every_agent_tells_what_to_put_where_and_nothing_is_written_meanwhile() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox).and_env("SHELL", "/bin/zsh");
    let config = read(&home.config());
    // With a drive before it on Windows, and backslashes that some languages want doubled.
    let program = if cfg!(windows) { "valetkey.exe" } else { env!("CARGO_BIN_EXE_valetkey") };
    for agent in ["codex", "openhands", "python", "node", "shell"] {
        let shown = stdout(&exits(&home, 0, &["setup", agent]));
        assert!(shown.contains("http://127.0.0.1:") && shown.contains("lease"), "{shown}");
        assert!(shown.contains(program) && shown.contains("[http]"), "{shown}");
        let told: Value =
            serde_json::from_str(&stdout(&exits(&home, 0, &["setup", agent, "--json"]))).unwrap();
        assert_eq!((&told["agent"], &told["plugged_in"]), (&json!(agent), &json!(false)), "{told}");
    }
    for agent in ["python", "node"] {
        is_sentence_and_hint(&exits(&home, 2, &["setup", agent, "--write"]));
    }
    is_sentence_and_hint(&exits(&home, 1, &["setup", "shell", "--export"]));
    assert_eq!(read(&home.config()), config);
    assert_eq!(std::fs::read_dir(home.path().join("home")).unwrap().count(), 0);
    assert!(!home.state().exists());
}

#[cfg(unix)]
#[test]
fn a_shell_gets_the_door_and_a_lease_for_the_day() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    daemon.sign_in(&sandbox);
    let script = stdout(&exits(&daemon, 0, &["setup", "shell", "--export"]));
    let mut shell = Command::new("sh");
    daemon.furnish(&mut shell);
    let output = shell
        .arg("-c")
        .arg(format!("{script}\necho $OPENAI_BASE_URL $OPENAI_API_KEY"))
        .output()
        .unwrap();
    let said = stdout(&output);
    let (url, key) =
        said.trim().split_once(' ').unwrap_or_else(|| panic!("{said}{}", stderr(&output)));
    assert_eq!(url, format!("http://{}/v1", door(&daemon).as_str().unwrap()));
    assert!(key.starts_with("vk_"), "{said}");
}

#[test]
fn the_list_says_who_is_there_and_what_comes_next() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    with_codex(&home, CODEX.as_bytes());
    let list = || {
        let told: Value =
            serde_json::from_str(&stdout(&exits(&home, 0, &["setup", "--list", "--json"])))
                .unwrap();
        let rows = told["agents"].as_array().unwrap().clone();
        rows.into_iter().find(|row| row["agent"] == "codex").unwrap()
    };
    let row = list();
    assert_eq!((&row["installed"], &row["plugged_in"]), (&json!(true), &json!(false)), "{row}");
    assert_eq!(row["next"], "valetkey setup codex --write");
    exits(&home, 0, &["setup", "codex", "--write"]);
    let row = list();
    assert_eq!(
        (&row["plugged_in"], &row["next"]),
        (&json!(true), &json!("valetkey setup codex --undo"))
    );
    let shown = stdout(&exits(&home, 0, &["setup", "--list"]));
    assert!(shown.lines().next().unwrap().starts_with("agent "), "{shown}");
    assert!(
        shown.lines().any(|line| line.starts_with("codex ") && line.contains(" yes ")),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let unknown = stderr(&exits(&home, 2, &["setup", "nonsense"]));
    assert!(unknown.contains("codex") && unknown.contains("shell"), "{unknown}");
    exits(&home, 2, &["setup"]);
    exits(&home, 2, &["setup", "codex", "--write", "--undo"]);
    exits(&home, 2, &["setup", "--list", "--write"]);
    exits(&home, 2, &["setup", "codex", "--write", "--model", ""]);
    let refused = stderr(&exits(&home, 2, &["setup", "codex", "--export"]));
    assert!(refused.starts_with("error: ") && refused.contains("setup shell"), "{refused}");
    let script = stdout(&exits(&home, 0, &["completions", "bash"]));
    assert!(script.contains("openhands"), "shells complete the agents' names");
}

#[test]
fn a_program_is_told_in_json() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let file = with_codex(&home, CODEX.as_bytes());
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&stdout(&exits(&home, 0, arguments))).unwrap()
    };
    let told = json(&["setup", "codex", "--write", "--json"]);
    assert_eq!((&told["plugged_in"], &told["changed"]), (&json!(true), &json!(true)), "{told}");
    assert!(told["diff"].as_str().unwrap().contains("+[model_providers.valetkey]"), "{told}");
    assert!(told["door"]["diff"].as_str().unwrap().contains("+listen"), "{told}");
    assert_eq!(json(&["setup", "codex", "--write", "--json"])["changed"], false);
    let told = json(&["setup", "codex", "--undo", "--json"]);
    assert_eq!((&told["changed"], &told["door_closed"]), (&json!(true), &json!(true)), "{told}");
    assert_eq!(json(&["setup", "codex", "--undo", "--json"])["changed"], false);
    assert_eq!(read(&file), CODEX);
}

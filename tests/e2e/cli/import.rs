//! A login that another program held: adopted, renewed, and its own copy taken away only then.

use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::{exits, is_sentence_and_hint};
use crate::support::{Daemon, Home, Sandbox, ended, eventually, is_private, post, stderr, stdout};

/// What another program holds.
struct Held {
    access: String,
    refresh: String,
    account: String,
}

impl Held {
    /// Signs somebody in elsewhere, who never comes back.
    fn new(sandbox: &Sandbox) -> Self {
        let mut elsewhere = Daemon::of(sandbox);
        elsewhere.sign_in(sandbox);
        elsewhere.kill();
        let file = fs::read_to_string(elsewhere.credential("default")).unwrap();
        let login = serde_json::from_str::<Value>(&file).unwrap()["login"].take();
        let text = |member: &str| login[member].as_str().unwrap().to_owned();
        Self {
            access: text("access_token"),
            refresh: text("refresh_token"),
            account: text("account_id"),
        }
    }

    fn codex(&self) -> Value {
        json!({
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": null,
            "tokens": {
                "id_token": self.access, "access_token": self.access,
                "refresh_token": self.refresh, "account_id": self.account,
            },
            "last_refresh": "2026-11-20T08:00:00Z",
        })
    }

    /// As the Codex CLI writes it, where it would be in this home.
    fn in_codex(&self, home: &Home) -> PathBuf {
        write(home, ".codex/auth.json", &format!("{:#}", self.codex()))
    }
}

fn write(home: &Home, name: &str, text: &str) -> PathBuf {
    let path = home.path().join("home").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

fn read(path: &PathBuf) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn refreshes(sandbox: &Sandbox) -> (u64, u64) {
    (sandbox.stat("refresh_requests"), sandbox.stat("refreshes"))
}

/// Nothing that was printed or logged, and nothing in the trail, holds a token.
#[track_caller]
fn tells_no_token(daemon: &Daemon, held: &Held, outputs: &[&Output]) {
    let mut all = daemon.log();
    for output in outputs {
        all += &stdout(output);
        all += &stderr(output);
    }
    for folder in ["audit", "log"] {
        for entry in fs::read_dir(daemon.state().join(folder)).into_iter().flatten().flatten() {
            all += &fs::read_to_string(entry.path()).unwrap();
        }
    }
    for token in [&held.access, &held.refresh] {
        assert!(!all.contains(token.as_str()), "a token is told:\n{all}");
    }
    assert!(all.contains("ready") && !outputs.is_empty(), "nothing was looked at");
}

#[test]
fn it_is_renewed_at_once_and_the_other_file_stays_as_it_was_unless_asked() {
    let sandbox = Sandbox::start();
    let held = Held::new(&sandbox);
    let daemon = Daemon::of(&sandbox);
    let file = held.in_codex(&daemon);
    let before = read(&file);
    let imported = exits(&daemon, 0, &["import", "codex", "--yes"]);
    assert!(stdout(&imported).contains("Signed in as pat@example.test (plus)."));
    let said = stderr(&imported).replace('\n', " ");
    for words in
        ["for pat@example.test", "log each other out", "Two owners", "valetkey setup codex"]
    {
        assert!(said.contains(words), "{words:?} is not in: {said}");
    }
    assert_eq!((refreshes(&sandbox), read(&file)), ((1, 1), before));
    let status = daemon.status();
    assert_eq!((&status["state"], &status["account_id"]), (&json!("active"), &json!(held.account)));
    assert!(status["last_refresh_at"].is_u64());
    assert_ne!(daemon.token()["access_token"], held.access.as_str());
    let trail = daemon.ok("audit.tail", json!({}));
    let line = trail["entries"].as_array().unwrap().iter().find(|e| e["method"] == "import");
    assert_eq!(line.unwrap()["outcome"], "ok", "{trail}");
    // A later sign-in does not ask for what was accepted.
    daemon.ok("login.start", json!({"method": "device"}));

    // Once more: held already, by the command line and by the daemon.
    let again = exits(&daemon, 0, &["import", "codex", "--yes"]);
    assert!(stderr(&again).contains("Already signed in"), "{}", stderr(&again));
    let forced = exits(&daemon, 2, &["import", "codex", "--yes", "--force"]);
    assert!(stderr(&forced).contains("used when it was adopted before"), "{}", stderr(&forced));
    assert_eq!(refreshes(&sandbox), (1, 1), "it is never shown twice");
    // Whoever kept the other copy at first can still have it taken away.
    assert!(
        stderr(&again).replace('\n', " ").contains("codex --sign-out-other"),
        "{}",
        stderr(&again)
    );
    let later = exits(&daemon, 0, &["import", "codex", "--sign-out-other", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&later)).unwrap();
    assert_eq!((&report["adopted"], &report["other_signed_out"]), (&json!(false), &json!(true)));
    assert!(!file.exists() && file.with_file_name("auth.json.before-valetkey").exists());
    assert_eq!((refreshes(&sandbox), &daemon.status()["state"]), ((1, 1), &json!("active")));
    tells_no_token(&daemon, &held, &[&imported, &again, &forced, &later]);

    // The copy is worth nothing; the issuer says so to whoever shows it.
    let old = json!({"grant_type": "refresh_token", "refresh_token": held.refresh, "client_id": client(&sandbox)});
    let refused = post(&format!("{}/oauth/token", sandbox.url()), &old);
    assert_ne!(refused.status, 200, "{}", refused.body);
    assert!(refused.body.contains("refresh_token_reused"), "{}", refused.body);
}

/// The client that the sandbox knows.
fn client(sandbox: &Sandbox) -> String {
    let daemon = Daemon::of(sandbox);
    let started = daemon.ok("login.start", json!({"method": "browser", "consent": true}));
    let url = started["authorize_url"].as_str().unwrap();
    crate::support::parameter(url, "client_id").unwrap()
}

/// Puts a link in the place of a file; gives where the file is now.
#[cfg(unix)]
fn behind_a_link(file: &PathBuf) -> PathBuf {
    let target = file.with_file_name("really.json");
    fs::rename(file, &target).unwrap();
    std::os::unix::fs::symlink(&target, file).unwrap();
    target
}

/// Leaves a file where it is: a link takes a right here that few have.
#[cfg(not(unix))]
fn behind_a_link(file: &PathBuf) -> PathBuf {
    file.clone()
}

#[test]
fn the_other_program_is_signed_out_of_its_copy_and_a_backup_stays() {
    let sandbox = Sandbox::start();
    let (first, second) = (Held::new(&sandbox), Held::new(&sandbox));
    let daemon = Daemon::of(&sandbox);
    // The Codex CLI takes any file for a login, so that the whole of it goes; a link stays a link.
    let file = first.in_codex(&daemon);
    let target = behind_a_link(&file);
    let before = read(&target);
    let imported = exits(&daemon, 0, &["import", "codex", "--yes", "--sign-out-other", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&imported)).unwrap();
    let name = target.file_name().unwrap().to_str().unwrap();
    let backup = target.with_file_name(format!("{name}.before-valetkey"));
    assert_eq!(report["backup"], backup.to_str().unwrap(), "{report}");
    assert_eq!(
        (&report["adopted"], &report["other_signed_out"], &report["status"]["connected"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert!(!target.exists() && (target == file || file.is_symlink()));
    assert_eq!(read(&backup), before);
    assert!(is_private(&backup));

    // opencode's file holds other logins, which stay to the letter.
    let openai = format!(
        "\"openai\": {{\"type\": \"oauth\", \"refresh\": \"{}\", \"access\": \"{}\", \"expires\": 1}}",
        second.refresh, second.access
    );
    let others = "{\n    \"anthropic\": { \"type\":\"api\", \"key\":\"k\" }\n}\n";
    let with = others.replace("\n}", &format!(",\n    {openai}\n}}"));
    let file = write(&daemon, ".local/share/opencode/auth.json", &with);
    let arguments = ["import", "opencode", "--account", "work", "--yes", "--sign-out-other"];
    let imported = exits(&daemon, 0, &arguments);
    assert_eq!(read(&file), others);
    assert_eq!(read(&file.with_file_name("auth.json.before-valetkey")), with);
    assert!(stderr(&imported).contains("Do not put it back"), "{}", stderr(&imported));
    let accounts = daemon.ok("accounts.list", json!({}))["accounts"].take();
    assert!(
        accounts
            .as_array()
            .unwrap()
            .iter()
            .any(|a| a["account"] == "work" && a["connected"] == true)
    );
    tells_no_token(&daemon, &second, &[&imported]);
}

#[test]
fn nothing_happens_without_the_persons_word() {
    let sandbox = Sandbox::start();
    let held = Held::new(&sandbox);
    let daemon = Daemon::of(&sandbox);
    held.in_codex(&daemon);
    let before = sandbox.requests("jwks");
    let refused = exits(&daemon, 2, &["import", "codex"]);
    assert!(stderr(&refused).contains("hint: ") && stderr(&refused).contains("--yes"));
    assert_eq!((sandbox.requests("jwks"), refreshes(&sandbox)), (before, (0, 0)));
    exits(&daemon, 2, &["import", "codex", "--sign-out-other", "--keep-other"]);
    exits(&daemon, 2, &["import", "somebody"]);
    assert_eq!(daemon.status()["state"], "signed_out");
}

#[test]
fn what_cannot_be_adopted_is_said_in_a_sentence_and_changes_nothing() {
    let sandbox = Sandbox::start();
    let held = Held::new(&sandbox);
    let daemon = Daemon::of(&sandbox);
    let import = |code, expected: &str| {
        let output = exits(&daemon, code, &["import", "codex", "--yes", "--sign-out-other"]);
        let said = stderr(&output);
        let (sentence, hint) = (said.lines().rev().nth(1), said.lines().next_back());
        assert!(
            sentence.unwrap().starts_with("error: ") && hint.unwrap().contains("hint: "),
            "{said}"
        );
        assert!(said.contains(expected), "{expected:?} is not in: {said}");
        tells_no_token(&daemon, &held, &[&output]);
    };
    is_sentence_and_hint(&exits(&daemon, 1, &["import", "codex", "--yes"]));
    write(&daemon, ".codex/config.toml", "cli_auth_credentials_store = \"keyring\"\n");
    import(1, "keyring");
    write(&daemon, ".codex/auth.json", r#"{"OPENAI_API_KEY": "sk-canary"}"#);
    import(2, "API key");
    write(&daemon, ".codex/auth.json", "{");
    import(2, "not JSON");
    let mut forged = held.codex();
    forged["tokens"]["access_token"] = json!(format!("{}A", held.access));
    write(&daemon, ".codex/auth.json", &forged.to_string());
    import(1, "cannot be believed");

    let file = held.in_codex(&daemon);
    let before = read(&file);
    sandbox.fault(json!({"on": "refresh", "status": 503}));
    import(1, "cannot be reached");
    sandbox.fault(json!({"on": "refresh", "status": 400, "body": {"error": "invalid_grant"}}));
    import(3, "the other program's login is itself over");
    assert_eq!((sandbox.stat("refreshes"), read(&file)), (0, before));
    assert!(!daemon.credential("default").exists());
    assert_eq!(daemon.status()["state"], "signed_out");
    exits(&daemon, 0, &["import", "codex", "--yes"]);
    assert_eq!(sandbox.stat("refreshes"), 1, "nothing of that cost the login");
}

#[test]
fn another_account_takes_the_place_of_the_one_held_only_with_force() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.settings(json!({"account_id": "somebody-else"}));
    let held = Held::new(&sandbox);
    held.in_codex(&daemon);
    let params = json!({"source": "codex", "contents": held.codex().to_string()});
    let error = daemon.err("import", params);
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32013), &json!("account_mismatch"))
    );
    assert_eq!(refreshes(&sandbox), (0, 0));
    exits(&daemon, 0, &["import", "codex", "--yes", "--force"]);
    assert_eq!(daemon.status()["account_id"], "somebody-else");
    sandbox.wait_for_revocations(1);
    assert_eq!(sandbox.stats()["families"], json!({"alive": 1, "revoked": 1}));
}

#[test]
fn an_answer_that_was_lost_leaves_the_other_file_alone() {
    let sandbox = Sandbox::start();
    let held = Held::new(&sandbox);
    let daemon = Daemon::of(&sandbox);
    let file = held.in_codex(&daemon);
    sandbox.fault(json!({"on": "refresh", "drop": "after"}));
    let imported = exits(&daemon, 0, &["import", "codex", "--yes", "--sign-out-other", "--json"]);
    let report: Value = serde_json::from_str(&stdout(&imported)).unwrap();
    assert_eq!((&report["in_doubt"], &report["other_signed_out"]), (&json!(true), &json!(false)));
    assert_eq!(report["status"]["state"], "degraded");
    assert_eq!(read(&file), format!("{:#}", held.codex()));
    assert!(stderr(&imported).contains("nobody knows"), "{}", stderr(&imported));
    assert_eq!(daemon.token()["access_token"], held.access.as_str(), "lent while it lives");
}

#[test]
fn a_daemon_that_is_killed_meanwhile_comes_back_with_the_adopted_login_and_its_mark() {
    let sandbox = Sandbox::start();
    let held = Held::new(&sandbox);
    let mut daemon = Daemon::of(&sandbox);
    let file = held.in_codex(&daemon);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let mut command = daemon.command(&["import", "codex", "--yes", "--sign-out-other"]);
    let mut import = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sandbox.wait("on=refresh&in_flight=1");
    daemon.kill();
    assert_eq!(ended(&mut import).code(), Some(4));
    assert_eq!(read(&file), format!("{:#}", held.codex()));
    sandbox.clear_faults();
    daemon.start_again();
    let status = daemon.status();
    assert_eq!((&status["state"], &status["connected"]), (&json!("degraded"), &json!(true)));
    assert_eq!(status["last_error"]["reason"], "outcome_unknown");
    assert_eq!(sandbox.stat("refresh_requests"), 1, "it is not shown again at once");
    eventually("the spare stands", || {
        daemon.data().join("credentials/sandbox.spare").exists().then_some(())
    });
}

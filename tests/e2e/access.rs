//! Who is let in, how the files stand, and what the audit trail tells of it.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Response, Sandbox, is_root, skipped, stderr};

/// Nobody: a user that owns nothing.
const STRANGER: u32 = 65_534;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// Every file and folder below.
fn all_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        if path.is_dir() {
            found.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
        at += 1;
    }
    found
}

#[test]
fn everything_is_for_its_owner_alone_whatever_the_umask() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::at(Home::new(&sandbox).with_log_files());
    // The daemon makes the socket's folder, too.
    fs::remove_dir(daemon.path().join("run")).unwrap();
    let mut loose = std::process::Command::new("sh");
    daemon.furnish(&mut loose);
    loose.args(["-c", "umask 000; exec \"$0\" serve", env!("CARGO_BIN_EXE_valetkey")]);
    daemon.start_by(&mut loose);
    daemon.sign_in(&sandbox);
    daemon.token();
    daemon.ok("audit.tail", json!({}));
    assert_eq!(mode(&daemon.socket()), 0o600);
    assert_eq!(mode(&daemon.path().join("run")), 0o700);
    let mut files = 0;
    for root in [daemon.data(), daemon.state()] {
        for path in all_below(&root) {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{}", path.display());
            files += usize::from(path.is_file());
        }
    }
    assert!(files >= 3, "a credential, a log and an audit trail, not {files} files");
}

/// A daemon of another user, whose socket and folders somebody has opened to everybody.
fn strangers_daemon(sandbox: &Sandbox) -> Daemon {
    let mut daemon = Daemon::at(Home::new(sandbox));
    let program = daemon.path().join("valetkey");
    // By a process of its own: a file that any process has open for writing cannot be run, and what this
    // one has open is inherited by whatever a test beside this one starts just now.
    let copied =
        std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_valetkey")).arg(&program).status();
    assert!(copied.unwrap().success());
    for path in all_below(daemon.path()) {
        chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let mut command = std::process::Command::new(program);
    daemon.furnish(&mut command);
    command.arg("serve").uid(STRANGER).gid(STRANGER);
    daemon.start_by(&mut command);
    for loosened in [daemon.path().to_owned(), daemon.path().join("run"), daemon.socket()] {
        fs::set_permissions(loosened, Permissions::from_mode(0o777)).unwrap();
    }
    daemon
}

#[test]
fn another_user_is_refused_and_noted_even_where_every_mode_is_loosened() {
    if !is_root() {
        return skipped("only root can run a daemon for one user and call it as another");
    }
    let sandbox = Sandbox::start();
    let daemon = strangers_daemon(&sandbox);
    for method in ["token", "ping", "shutdown"] {
        let mut client = daemon.connect();
        client.send(&json!({"jsonrpc": "2.0", "id": 1, "method": method}));
        let answer = client.recv().unwrap();
        assert_eq!(answer["error"]["code"], -32007, "{method}: {answer}");
        assert_eq!(answer["error"]["data"]["kind"], "denied");
        assert_eq!(client.recv(), None, "the connection is closed");
    }
    let mut http = daemon.connect();
    http.send_raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut bytes = Vec::new();
    http.stream().read_to_end(&mut bytes).unwrap();
    assert_eq!(Response::parse(&bytes).status, 403);

    let noted = crate::support::eventually("the refusals are in the trail", || {
        let files = all_below(&daemon.state().join("audit"));
        let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let lines: Vec<Value> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (lines.len() == 4).then_some(lines)
    });
    for entry in noted {
        assert_eq!((&entry["method"], &entry["outcome"]), (&json!("connect"), &json!("denied")));
        assert_eq!(entry["client"]["uid"], 0);
        assert_eq!(entry["client"]["pid"], std::process::id());
    }
}

#[test]
fn the_command_line_asks_nothing_of_another_users_server() {
    if !is_root() {
        return skipped("only root can run a daemon for one user and call it as another");
    }
    let sandbox = Sandbox::start();
    let daemon = strangers_daemon(&sandbox);
    for verb in [&["token"] as &[&str], &["status"], &["login", "--yes"]] {
        let output = daemon.run(verb);
        assert_eq!(output.status.code(), Some(4), "{verb:?}");
        assert!(output.stdout.is_empty());
        assert!(stderr(&output).contains("belongs to another user"), "{}", stderr(&output));
    }
    let audit = all_below(&daemon.state().join("audit"));
    let calls = audit.iter().filter_map(|file| fs::read_to_string(file).ok()).collect::<String>();
    assert!(!calls.contains("login.start"), "{calls}");
}

#[test]
fn nothing_is_said_before_the_client_speaks() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut client = daemon.connect();
    client.is_silent_for(Duration::from_millis(200));
    client.send_raw("\n \n");
    assert_eq!(client.call("ping", &json!({})).unwrap(), json!({}));
}

#[test]
fn the_trail_tells_who_borrowed_what_and_what_failed_and_holds_no_secret() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.err("token", json!({}));
    daemon.sign_in(&sandbox);
    let mut client = daemon.connect();
    let mut lent = Value::Null;
    for _ in 0..5 {
        lent = client.call("token", &json!({})).unwrap();
    }
    client.call("status", &json!({})).unwrap();
    // On the same connection, so that what it has borrowed since is counted in.
    let told = client.call("audit.tail", &json!({})).unwrap();
    let entries = told["entries"].as_array().unwrap().clone();
    let seen: Vec<(&str, &str)> = entries
        .iter()
        .map(|entry| (entry["method"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [("token", "login_required"), ("login.start", "ok"), ("token", "ok"), ("token", "ok")],
        "looking leaves no trace, five loans in a row one line and a count"
    );
    assert_eq!(entries[3]["count"], 4, "{}", entries[3]);
    for entry in &entries {
        assert_eq!(entry["client"]["pid"], std::process::id());
        assert_eq!(entry["client"]["uid"], rustix::process::geteuid().as_raw());
        let exe = std::env::current_exe().unwrap();
        assert_eq!(entry["client"]["exe"], exe.to_str().unwrap());
        assert_eq!((&entry["vendor"], &entry["account"]), (&json!("sandbox"), &json!("default")));
        assert!(entry["at"].as_u64().unwrap() > 1_700_000_000_000);
    }
    assert_eq!(entries[2]["generation"], lent["generation"]);
    let token = lent["access_token"].as_str().unwrap();
    assert!(!told.to_string().contains(token));
    let last = daemon.ok("audit.tail", json!({"limit": 1}));
    assert_eq!(last["entries"].as_array().unwrap().len(), 1);

    daemon.restart();
    let after = daemon.ok("audit.tail", json!({}));
    assert_eq!(after["entries"].as_array().unwrap()[..4], entries[..], "the trail outlives it");
    for file in all_below(&daemon.state().join("audit")) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(!text.contains(token), "a token in {}", file.display());
    }
}

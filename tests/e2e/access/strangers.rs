//! Another user: whom the daemon refuses, and whose daemon the command line leaves alone.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::{Value, json};

use super::all_below;
use crate::support::{Daemon, Home, Response, Sandbox, eventually, is_root, skipped, stderr};

/// Nobody: a user that owns nothing.
const STRANGER: u32 = 65_534;

/// A daemon of another user, whose socket and folders somebody has opened to everybody.
fn strangers_daemon(sandbox: &Sandbox) -> Daemon {
    let mut daemon = Daemon::at(Home::new(sandbox));
    let program = daemon.path().join("valetkey");
    // By a process of its own: a file that any process has open for writing cannot be run, and what this
    // one has open is inherited by whatever a test beside this one starts just now.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_valetkey")).arg(&program).status();
    assert!(copied.unwrap().success());
    for path in all_below(daemon.path()) {
        chown(path, Some(STRANGER), Some(STRANGER)).unwrap();
    }
    let mut command = Command::new(program);
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

    let noted = eventually("the refusals are in the trail", || {
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

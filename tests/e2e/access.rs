//! Who is let in, how the files stand, and what the audit trail tells of it.

// Only where a test may become somebody else by a number.
#[cfg(unix)]
mod strangers;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use valetkey::platform::process::own_uid;

use crate::support::{Daemon, Home, Sandbox, is_private};

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

/// The daemon under the most careless defaults that the system knows: a umask of nothing, or what a folder's
/// access list hands down.
fn carelessly_served(home: &Home) -> Command {
    if cfg!(windows) {
        return home.command(&["serve"]);
    }
    let mut loose = Command::new("sh");
    home.furnish(&mut loose);
    loose.args(["-c", "umask 000; exec \"$0\" serve", env!("CARGO_BIN_EXE_valetkey")]);
    loose
}

#[test]
fn everything_is_for_its_owner_alone_whatever_the_umask() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::at(Home::new(&sandbox).with_log_files());
    // The daemon makes the socket's folder, too.
    let run = daemon.path().join("run");
    fs::remove_dir(&run).unwrap();
    let mut loose = carelessly_served(&daemon);
    daemon.start_by(&mut loose);
    daemon.sign_in(&sandbox);
    daemon.token();
    daemon.ok("audit.tail", json!({}));
    assert!(is_private(&daemon.socket()));
    assert!(cfg!(windows) || is_private(&run), "pipes have no folder");
    let (mut files, logs) = (0, daemon.state().join("log"));
    for root in [daemon.data(), daemon.state()] {
        for path in all_below(&root) {
            // What a library makes is private by what Windows hands down of its folder's list. Wine hands nothing
            // down, so there the folder is looked at alone.
            let handed_down = cfg!(windows) && path.is_file() && path.starts_with(&logs);
            assert!(handed_down || is_private(&path), "{}", path.display());
            files += usize::from(path.is_file());
        }
    }
    assert!(files >= 3, "a credential, a log and an audit trail, not {files} files");
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
        assert_eq!(entry["client"]["uid"], json!(own_uid()));
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

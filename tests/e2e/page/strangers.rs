//! Other users of the machine, who reach the page's port as anybody does.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Page;
use crate::support::{Daemon, Sandbox, eventually, is_root, skipped, stderr, stdout};

/// A user that owns nothing here.
const STRANGER: u32 = 65_534;

#[test]
fn another_user_of_the_machine_does_not_get_in_with_the_link() {
    if !is_root() {
        return skipped("only root can call as another user");
    }
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    let request = format!("GET {} HTTP/1.1\\r\\nhost: {}\\r\\n\\r\\n", page.link, page.host());
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf '{request}' >&3; timeout 20 cat <&3",
        page.port
    );
    let output =
        Command::new("bash").arg("-c").arg(script).uid(STRANGER).gid(STRANGER).output().unwrap();
    let told = stdout(&output);
    assert!(told.starts_with("HTTP/1.1 403 "), "{told}{}", stderr(&output));
    assert!(!told.contains("set-cookie"), "{told}");
    let trail = daemon.ok("audit.tail", json!({"limit": 1}));
    let entry = &trail["entries"][0];
    assert_eq!((&entry["method"], &entry["outcome"]), (&json!("page"), &json!("denied")));
    assert_eq!(entry["client"]["uid"], STRANGER, "{entry}");
    page.enter();
}

#[test]
fn strangers_who_say_nothing_take_no_place_from_the_person() {
    if !is_root() {
        return skipped("only root can call as another user");
    }
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    // More than the page serves at once, held open until their standard input ends.
    let script = format!(
        "for n in {{1..40}}; do exec {{fd}}<>/dev/tcp/127.0.0.1/{}; done; echo there; read -r _",
        page.port
    );
    let mut strangers = Command::new("bash")
        .args(["-c", &script])
        .uid(STRANGER)
        .gid(STRANGER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut there = [0; 6];
    strangers.stdout.take().unwrap().read_exact(&mut there).unwrap();
    let begun = Instant::now();
    // The last of them may be on its way out still, which takes no time.
    let session = eventually("the person gets in", || {
        (page.get("/", &[]).status == 403).then(|| page.enter())
    });
    // As long as each may take to say something.
    assert!(begun.elapsed() < Duration::from_secs(4), "not only when the strangers have gone");
    page.call(&session, "ping", json!({}));
    drop(strangers.stdin.take());
    strangers.wait().unwrap();
}

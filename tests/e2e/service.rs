//! The process as a service manager sees it: beginning, ending, signals, the one instance, the logs.

#[cfg(unix)]
mod unix;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{
    Daemon, ENDS_DAEMONS, Home, Sandbox, ask_to_end, can_ask_to_end, eventually, stderr,
};

/// What has been written into the daemon's log files.
fn log_files(home: &Home) -> String {
    let Ok(files) = fs::read_dir(home.state().join("log")) else { return String::new() };
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn told_to_stop_it_finishes_the_refresh_in_flight_answers_who_waits_and_loses_nothing() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let before = daemon.token();
    // The issuer has done its part and takes a second to say so.
    sandbox.fault(json!({"on": "refresh", "answer_latency_ms": 1000}));
    let mut waiter = daemon.connect();
    let id = waiter.request("token", &json!({"rejected": before["generation"]}));
    sandbox.wait("on=refresh&in_flight=1");
    daemon.tell_to_stop();
    let after = waiter.answer(id).expect("a token");
    assert_ne!(after["access_token"], before["access_token"]);
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
    daemon.start_again();
    let kept = daemon.token();
    assert_eq!(kept["access_token"], after["access_token"]);
    assert_eq!(kept["generation"], after["generation"]);
    assert_eq!(sandbox.stat("refresh_requests"), 1);
    assert_eq!(sandbox.stat("reuse_detected"), 0);
}

#[test]
fn a_login_outlives_a_restart_and_a_kill_and_the_issuer_does_not_hear_of_it() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let lent = daemon.token();
    daemon.restart();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    daemon.kill();
    #[cfg(unix)]
    assert!(daemon.socket().exists(), "a stale socket stays behind");
    daemon.start_again();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!(sandbox.stat("refresh_requests"), 0);
}

#[test]
fn a_second_daemon_on_the_same_data_says_who_has_it_and_disturbs_nothing() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    for arguments in [&["serve"] as &[&str], &["--socket", "other.sock", "serve"]] {
        let second = daemon.run(arguments);
        assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));
        let said = stderr(&second);
        assert!(said.contains(&format!("process {}", daemon.pid())), "{said}");
        assert!(said.contains(daemon.data().to_str().unwrap()), "{said}");
    }
    assert_eq!(daemon.ok("info", json!({}))["pid"], daemon.pid(), "the first one serves on");
    assert_eq!(daemon.token()["account"], "default");
}

#[test]
fn a_socket_that_somebody_serves_is_left_alone() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let other = Home::new(&sandbox);
    let socket = daemon.socket();
    let second = other.run(&["--socket", socket.to_str().unwrap(), "serve"]);
    assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));
    assert!(stderr(&second).contains("answers there"), "{}", stderr(&second));
    assert_eq!(daemon.ok("info", json!({}))["pid"], daemon.pid(), "it still serves");
}

#[test]
fn asked_to_end_it_does_so_at_once_even_while_clients_are_connected() {
    if !can_ask_to_end("asked_to_end_it_does_so_at_once_even_while_clients_are_connected") {
        return;
    }
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    for way in ENDS_DAEMONS {
        let (mut busy, _idle) = (daemon.connect(), daemon.connect());
        busy.call("subscribe", &json!({})).unwrap();
        let begun = Instant::now();
        ask_to_end(daemon.child(), *way);
        #[cfg(unix)]
        assert_eq!(daemon.wait_for("STOPPING=1"), "STOPPING=1");
        assert_eq!(daemon.wait_for_end().code(), Some(0), "{way:?}: {}", daemon.log());
        assert!(begun.elapsed().as_secs() < 20, "{way:?} took {:?}", begun.elapsed());
        assert_eq!(busy.recv(), None);
        daemon.start_again();
    }
}

#[test]
fn a_wrong_configuration_stops_the_start_with_file_line_and_what_was_expected() {
    let sandbox = Sandbox::start();
    for (wrong, expected) in [
        ("[daemon]\nmax_clients = \"many\"", "max_clients"),
        ("[daemon]\nmax_clint = 3", "max_clint"),
        ("[refresh]\nlead = \"soon\"", "expected a share of the token's life"),
        ("[vendors.x]\nkind = \"openai\"\nissuer = \"http://example.org\"", "https"),
        ("[demon]\nx = 1", "demon"),
    ] {
        let home = Home::new(&sandbox).and_config(wrong);
        let text = fs::read_to_string(home.config()).unwrap();
        let output = home.run(&["serve"]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {said}");
        let first = text.lines().position(|line| wrong.starts_with(line) && !line.is_empty());
        let (first, last) = (first.unwrap() + 1, text.trim_end().lines().count());
        let named = (first..=last)
            .any(|line| said.contains(&format!("{}:{line}", home.config().display())));
        assert!(named && said.contains(expected), "{wrong}: {said}");
        assert!(!home.data().exists(), "nothing was begun");
    }
}

#[test]
fn logs_go_to_files_where_nobody_else_keeps_them() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).with_log_files().serve();
    assert!(
        eventually("it is logged", || Some(log_files(&daemon)).filter(|log| !log.is_empty()))
            .contains("ready")
    );
    assert_eq!(daemon.log(), "", "and not to standard error");

    let managed = Daemon::of(&sandbox);
    eventually("a manager is told", || managed.log().contains("ready").then_some(()));
    assert!(!managed.state().join("log").exists(), "a manager keeps them, so no file does");
}

#[test]
fn a_daemon_that_nobody_needs_ends_if_it_is_told_to() {
    let sandbox = Sandbox::start();
    let mut daemon = Home::new(&sandbox).and_config("[daemon]\nidle_exit = \"3s\"").serve();
    let mut client = daemon.connect();
    client.call("ping", &json!({})).unwrap();
    // A client that stays keeps it, even one that says nothing for longer than that.
    client.is_silent_for(Duration::from_secs(4));
    client.call("ping", &json!({})).unwrap();
    drop(client);
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
}

#[test]
fn a_disk_that_takes_neither_log_nor_trail_is_no_reason_to_lend_nothing() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox).with_log_files();
    for name in ["log", "audit"] {
        std::fs::create_dir_all(home.state()).unwrap();
        std::fs::write(home.state().join(name), "in the way").unwrap();
    }
    let mut daemon = home.serve();
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.token()["generation"], 1);
    assert_eq!(daemon.stop().code(), Some(0));
    for told in ["no log file can be written", "the audit trail cannot be written"] {
        assert!(daemon.log().contains(told), "{}", daemon.log());
    }
}

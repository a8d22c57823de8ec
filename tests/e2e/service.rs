//! The process as a service manager sees it: beginning, ending, signals, the one instance, the logs.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Daemon, Home, Sandbox, eventually, stderr};

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
    daemon.signal(Signal::TERM);
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
fn both_polite_signals_end_it_at_once_even_while_clients_are_connected() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    for which in [Signal::TERM, Signal::INT] {
        let (mut busy, _idle) = (daemon.connect(), daemon.connect());
        busy.call("subscribe", &json!({})).unwrap();
        let begun = Instant::now();
        daemon.signal(which);
        assert_eq!(daemon.wait_for("STOPPING=1"), "STOPPING=1");
        assert_eq!(daemon.wait_for_end().code(), Some(0), "{which:?}: {}", daemon.log());
        assert!(begun.elapsed().as_secs() < 20, "{which:?} took {:?}", begun.elapsed());
        assert_eq!(busy.recv(), None);
        daemon.start_again();
    }
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
    assert!(daemon.socket().exists(), "a stale socket stays behind");
    daemon.start_again();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!(sandbox.stat("refresh_requests"), 0);
}

#[test]
fn a_hangup_reads_the_configuration_again_and_a_bad_file_changes_nothing() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let good = Home::config_for(&sandbox);
    daemon.write_config(&format!("{good}\n[refresh]\nlead = \"soon\"\n"));
    daemon.signal(Signal::HUP);
    let line = good.lines().count() + 3;
    eventually("the log says what is wrong and where", || {
        let log = daemon.log();
        let place = format!("config.toml:{line}");
        (log.contains(&place) && log.contains("the old one stays in force")).then_some(())
    });
    assert_eq!(daemon.ok("info", json!({}))["vendors"], json!(["openai", "sandbox"]));
    let more = format!("{good}\n[vendors.second]\nkind = \"sandbox\"\n");
    daemon.write_config(&more);
    daemon.signal(Signal::HUP);
    eventually("the new vendor is there", || {
        let vendors = daemon.ok("info", json!({}))["vendors"].clone();
        (vendors == json!(["openai", "sandbox", "second"])).then_some(())
    });
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
fn a_socket_that_somebody_serves_and_a_file_that_is_no_socket_are_left_alone() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let other = Home::new(&sandbox);
    let socket = daemon.socket();
    let second = other.run(&["--socket", socket.to_str().unwrap(), "serve"]);
    assert_eq!(second.status.code(), Some(75), "{}", stderr(&second));
    assert!(stderr(&second).contains("answers there"), "{}", stderr(&second));
    assert_eq!(daemon.ok("info", json!({}))["pid"], daemon.pid(), "it still serves");

    fs::write(other.socket(), "a person's file").unwrap();
    let second = other.run(&["serve"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("no socket"), "{}", stderr(&second));
    assert_eq!(fs::read_to_string(other.socket()).unwrap(), "a person's file");
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
fn a_socket_handed_over_by_systemd_is_served_from_the_first_caller_on_and_left_to_it() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::at(Home::new(&sandbox));
    let listener = UnixListener::bind(daemon.socket()).unwrap();
    // Who calls before the daemon runs waits in the socket's queue.
    let mut early = daemon.connect();
    let id = early.request("info", &json!({}));
    let mut command = Command::new("sh");
    daemon.furnish(&mut command);
    // sd_listen_fds(3): descriptors from 3 on, counted, for this very process.
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve";
    command.args(["-c", script, env!("CARGO_BIN_EXE_valetkey")]);
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    daemon.start_by(&mut command);
    assert_eq!(early.answer(id).unwrap()["pid"], daemon.pid());
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.token()["account"], "default");
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    let later = daemon.connect();
    drop((later, listener));
    assert!(daemon.socket().exists(), "the socket is systemd's, not ours to remove");
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_owners_answer() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox).and_env("WATCHDOG_USEC", "200000");
    let mut daemon = home.serve();
    for _ in 0..3 {
        daemon.wait_for("WATCHDOG=1");
    }
    // Also while the issuer hangs.
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let generation = daemon.token()["generation"].clone();
    let mut waiter = daemon.connect();
    waiter.request("token", &json!({"rejected": generation}));
    sandbox.wait("on=refresh&in_flight=1");
    for _ in 0..10 {
        daemon.wait_for("WATCHDOG=1");
    }
    sandbox.clear_faults();
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

#[test]
fn a_daemon_started_with_few_files_allowed_takes_as_many_as_it_may_have() {
    if !cfg!(target_os = "linux") {
        return eprintln!("SKIPPED: no other system tells of another process's limits");
    }
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::at(Home::new(&sandbox));
    let inner = daemon.command(&["serve"]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 256 && exec \"$0\" serve"]).arg(inner.get_program());
    command.env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    daemon.start_by(&mut command);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1].min(65_536), "{line}");
}

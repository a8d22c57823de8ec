//! What a service manager does with signals, descriptors, limits and the environment, on systems that have such.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{Daemon, Home, Sandbox, eventually, stderr};

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let home = Home::with_config("");
    fs::write(home.socket(), "a person's file").unwrap();
    let refused = home.run(&["serve"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("no socket"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(home.socket()).unwrap(), "a person's file");
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
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers[0], numbers[1].min(65_536), "{line}");
}

//! `kill -9` at any moment: the file always parses, the daemon always starts, and a used refresh token is
//! shown only where the answer was truly lost.

use std::time::{Duration, Instant};

use serde_json::json;
use valetkey::store::{Record, format};

use crate::support::*;

/// How long the daemon is killed again and again.
const TRIAL: Duration = Duration::from_secs(15);
/// The latest moment of a kill after the first refresh was asked for, in milliseconds.
const LATEST_MS: u64 = 60;

/// Numbers without a pattern (xorshift64, Marsaglia 2003); the seed is told where a test fails.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// What the credential file says. It must always parse.
fn kept(daemon: &Daemon) -> Record {
    let bytes = std::fs::read(daemon.credential("default")).expect("a credential file");
    format::decode(&bytes).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn killed_again_and_again_it_never_loses_a_login_that_it_had_saved() {
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    eprintln!("seed {seed}");
    let mut dice = Dice(seed);
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    // Time to be killed in, before and after the issuer's work.
    sandbox.fault(json!({"on": "refresh", "times": 0, "latency_ms": 4, "answer_latency_ms": 4}));
    let (mut base, mut first) = (0, kept(&daemon).generation);
    let (mut rounds, mut lost, mut saved) = (0, 0, 0);
    let end = Instant::now() + TRIAL;
    while Instant::now() < end {
        let began = daemon.token()["generation"].as_u64().unwrap();
        let asked = sandbox.stat("refresh_requests");
        let busy = {
            let mut line = daemon.connect();
            line.request("token", &json!({"rejected": began}));
            let mut next = daemon.connect();
            for generation in began + 1..began + 5 {
                next.request("token", &json!({"rejected": generation}));
            }
            (line, next)
        };
        sandbox.wait(&format!("on=refresh&count={}", asked + 1));
        std::thread::sleep(Duration::from_millis(dice.below(LATEST_MS)));
        daemon.kill();
        drop(busy);
        kept(&daemon);

        daemon.start_again();
        rounds += 1;
        let generation = daemon.token()["generation"].as_u64().unwrap();
        assert_eq!(kept(&daemon).generation, generation);
        assert!(generation >= began, "{generation} after {began}");
        saved += u32::from(generation > began);
        // Requests that the kill left on their way are worked off or given up before anything is counted.
        let stats = eventually("the issuer is at rest", || {
            let stats = sandbox.stats();
            (stats["endpoints"]["refresh"]["in_flight"] == 0).then_some(stats)
        });
        assert_eq!(stats["reuse_detected"], lost, "starting and lending show no used token");
        let granted = stats["refreshes"].as_u64().unwrap() - base;
        let in_flight = granted - (generation - first);
        assert!(in_flight <= 1, "{in_flight} answers lost at once; seed {seed}");
        if in_flight == 1 {
            // The answer was on its way. An API that says 401 leaves nothing but to show the token again.
            daemon.ok("token", json!({"rejected": generation}));
            lost += 1;
            assert_eq!(sandbox.stat("reuse_detected"), lost);
            assert_eq!(daemon.status()["state"], "login_required");
            daemon.sign_in(&sandbox);
            base = sandbox.stat("refreshes");
            first = kept(&daemon).generation;
            assert!(first > generation);
        }
    }
    eprintln!("{rounds} kills: {saved} times something new was saved, {lost} answers were lost");
    assert!(rounds >= 10, "only {rounds} kills");
    assert!(u64::from(saved) + lost > 0, "{rounds} kills, and none met a refresh");
    assert_eq!(sandbox.stat("reuse_detected"), lost);
}

#[test]
fn a_daemon_killed_while_the_issuer_works_lends_on_and_puts_off_the_question() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "refresh", "answer_latency_ms": 3_600_000}));
    let mut line = daemon.connect();
    line.request("token", &json!({"rejected": 1}));
    eventually("the issuer has done its work", || (sandbox.stat("refreshes") == 1).then_some(()));
    daemon.kill();
    for _ in 0..3 {
        daemon.start_again();
        let status = daemon.status();
        assert_eq!((&status["state"], &status["connected"]), (&json!("degraded"), &json!(true)));
        assert_eq!(status["last_error"]["reason"], "outcome_unknown");
        let (now, end) = (
            daemon.ok("info", json!({}))["started_at"].as_u64().unwrap(),
            status["expires_at"].as_u64().unwrap(),
        );
        let (planned, half) = (status["refresh_at"].as_u64().unwrap(), (end - now) / 2);
        assert!(planned >= now + half - 5_000, "not before half of what is left: {status}");
        assert_eq!(daemon.token()["generation"], 1);
        daemon.kill();
    }
    daemon.start_again();
    assert_eq!((sandbox.stat("refresh_requests"), sandbox.stat("reuse_detected")), (1, 0));
}

#[test]
fn a_daemon_killed_before_the_issuer_heard_of_it_loses_nothing() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let mut line = daemon.connect();
    line.request("token", &json!({"rejected": 1}));
    sandbox.wait("on=refresh&in_flight=1");
    daemon.kill();
    daemon.start_again();
    // Nobody can know that nothing was done, so it is lent on; asked for, the next token comes.
    assert_eq!(daemon.token()["generation"], 1);
    eventually("the issuer has noticed", || {
        (sandbox.stats()["endpoints"]["refresh"]["in_flight"] == 0).then_some(())
    });
    assert_eq!(daemon.ok("token", json!({"rejected": 1}))["generation"], 2);
    assert_eq!((sandbox.stat("refreshes"), sandbox.stat("reuse_detected")), (1, 0));
}

//! A thousand at once, and one of them asleep.

use std::fs;
use std::time::Instant;

use serde_json::json;

use super::*;
use crate::support::{LONG, events, skipped};

/// Fewer on Windows, for Wine's sake: there one more process is asked at each step of each.
const STREAMS: usize = if cfg!(windows) { 250 } else { 1000 };
/// Memory that each may cost the daemon: its sockets' ends, a request, and what an unoptimised program
/// adds to that.
const KIB_EACH: u64 = 48;

/// Files that may be open, here and in the daemon: two for each stream, and some.
#[cfg(unix)]
fn room_for_files() -> bool {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    most >= 4 * STREAMS as u64
        && setrlimit(
            Resource::Nofile,
            Rlimit { current: Some(most.min(20_000)), maximum: limit.maximum },
        )
        .is_ok()
}

/// There is no such limit.
#[cfg(not(unix))]
fn room_for_files() -> bool {
    true
}

/// What a process holds in memory, in KiB, where /proc tells of it.
fn resident_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn a_thousand_slow_streams_and_a_reader_that_sleeps_leave_everybody_else_alone() {
    if !room_for_files() {
        return skipped("too few files may be open here");
    }
    let relay = Relay::with("[daemon]\nmax_clients = 1200\n\n[relay]\nmax_streams = 1200");
    // Far more than the buffers on its way hold, so that it stands still when its reader does.
    relay.sandbox.settings(json!({"reply": "many words ".repeat(20_000)}));
    let mut sleeper = relay.ask(RESPONSES, &question(json!({"stream": true})));
    let mut read = sleeper.until("many ");
    relay.sandbox.wait("on=responses&streaming=1");

    relay.sandbox.settings(json!({"reply": "one two three four", "event_delay_ms": 150}));
    let before = resident_kib(relay.daemon.pid());
    let body = question(json!({"stream": true}));
    let asked: Vec<_> = (0..STREAMS).map(|_| relay.send(RESPONSES, &[], &body)).collect();
    relay.sandbox.wait(&format!("on=responses&count={}", STREAMS + 1));
    let during = resident_kib(relay.daemon.pid());
    let since = Instant::now();
    relay.daemon.ok("ping", json!({}));
    let ping = since.elapsed();
    // Under Wine it is Wine's time that would be measured.
    assert!(cfg!(windows) || ping < LONG / 10, "a call took {ping:?}");

    for mut answer in asked.into_iter().map(Asked::answer) {
        let told = events(&answer.text());
        assert_eq!(kinds(&told).last(), Some(&"response.completed"));
    }
    if let (Some(before), Some(during)) = (before, during) {
        let each = during.saturating_sub(before) / STREAMS as u64;
        eprintln!(
            "{STREAMS} streams: {before} KiB before, {during} KiB with them, {each} KiB each; a call took {ping:?}"
        );
        assert!(each <= KIB_EACH, "{each} KiB for each stream");
    }

    // The sleeper was slowed down, not buffered without bound nor forgotten.
    let stats = relay.sandbox.stats();
    assert_eq!(
        (&stats["endpoints"]["responses"]["streaming"], &stats["aborted"]),
        (&json!(1), &json!(0))
    );
    let (rest, whole) = sleeper.rest();
    read += &rest;
    assert!(whole && read.contains("response.completed"));
    assert_eq!(read.matches("response.output_text.delta\n").count(), 40_000);
}

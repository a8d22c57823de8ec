//! Who leaves takes the work along, and a daemon that dies leaves no trace.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::support::eventually;

/// Leaving is noticed at once; this is for a busy machine, and far below any of the relay's own bounds.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A model that says one word and nothing more.
fn silent(config: &str) -> Relay {
    let relay = Relay::with(config);
    relay.sandbox.settings(json!({"events": [created(), delta("one ")], "finish": "hang"}));
    relay
}

/// Waits until the sandbox has seen so many clients go.
#[track_caller]
fn left(relay: &Relay, count: u64, since: Instant) {
    relay.sandbox.wait(&format!("on=responses&aborted={count}"));
    assert!(since.elapsed() < AT_ONCE, "noticed after {:?}", since.elapsed());
}

#[test]
fn a_client_that_leaves_a_silent_stream_ends_it_upstream() {
    let relay = silent("");
    for (count, (path, body)) in
        [(RESPONSES, question(json!({"stream": true}))), (CHAT, chat(json!({"stream": true})))]
            .iter()
            .enumerate()
    {
        let mut answer = relay.ask(path, body);
        answer.until("one ");
        let since = Instant::now();
        drop(answer);
        left(&relay, count as u64 + 1, since);
    }
}

#[test]
fn a_client_that_leaves_before_its_whole_answer_ends_it_upstream() {
    let relay = silent("");
    let asked = relay.send(RESPONSES, &[], &question(json!({})));
    relay.sandbox.wait("on=responses&streaming=1");
    let since = Instant::now();
    drop(asked);
    left(&relay, 1, since);
}

#[test]
fn a_client_that_leaves_before_the_backend_answers_ends_it_upstream() {
    let relay = Relay::new();
    relay.sandbox.fault(json!({"on": "responses", "stall": true}));
    let asked = relay.send(RESPONSES, &[], &question(json!({"stream": true})));
    relay.sandbox.wait("on=responses&in_flight=1");
    let since = Instant::now();
    drop(asked);
    left(&relay, 1, since);
}

#[test]
fn a_caller_that_hangs_up_ends_its_calls_upstream() {
    let relay = silent("");
    let mut line = relay.daemon.connect();
    line.request("responses.create", &question(json!({"stream": true})));
    line.request("chat.completions.create", &chat(json!({})));
    relay.sandbox.wait("on=responses&streaming=2");
    let since = Instant::now();
    drop(line);
    left(&relay, 2, since);
}

#[test]
fn who_left_or_took_the_call_back_stands_in_the_trail() {
    let relay = silent("");
    let mut line = relay.daemon.connect();
    line.request("responses.create", &question(json!({"stream": true})));
    let asked = relay.send(CHAT, &[], &chat(json!({})));
    relay.sandbox.wait("on=responses&streaming=2");
    line.send(&json!({"jsonrpc": "2.0", "method": "cancel", "params": {"id": 1}}));
    drop(asked);
    eventually("both are noted", || {
        let trail = relay.daemon.ok("audit.tail", json!({"limit": 10}));
        let noted = |method: &str| {
            let entries = trail["entries"].as_array().unwrap();
            let of = |entry: &&Value| entry["method"] == method && entry["outcome"] == "cancelled";
            entries.iter().filter(of).count()
        };
        (noted("responses.create") == 1 && noted("chat.completions.create") == 1).then_some(())
    });
}

#[test]
fn a_place_is_free_again_when_its_client_has_left() {
    let relay = silent("[relay]\nmax_streams = 1");
    let mut first = relay.ask(RESPONSES, &question(json!({"stream": true})));
    first.until("one ");
    drop(first);
    relay.sandbox.wait("on=responses&aborted=1");
    relay.sandbox.settings(json!({"events": null, "finish": "clean"}));
    relay.told(RESPONSES, &question(json!({})));
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_of_a_stream_carries_the_next_one_as_ever() {
    let mut relay = silent("");
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    answer.until("one ");
    relay.daemon.kill();
    let (_, whole) = answer.rest();
    assert!(!whole, "a killed daemon ends nothing in good order");
    relay.sandbox.wait("on=responses&aborted=1");
    relay.sandbox.settings(json!({"events": null, "finish": "clean"}));
    relay.daemon.start_again();
    relay.told(RESPONSES, &question(json!({"stream": true})));
    assert_eq!(relay.sandbox.stat("refreshes"), 0);
}

#[test]
fn a_stop_in_the_middle_of_a_stream_waits_no_longer_than_its_grace() {
    let mut relay = silent("[daemon]\nshutdown_grace = \"1s\"");
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    answer.until("one ");
    let since = Instant::now();
    assert_eq!(relay.daemon.stop().code(), Some(0), "{}", relay.daemon.log());
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    let (_, whole) = answer.rest();
    assert!(!whole, "an answer that was cut is not whole");
}

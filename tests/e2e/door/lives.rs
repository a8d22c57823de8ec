//! Connections from their beginning to a stop in good order.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Web, address, lease, with_door};
use crate::support::{Sandbox, start_login};

#[test]
fn many_requests_share_a_connection_and_pipelined_ones_are_answered_in_order() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let bearer = format!("Bearer {}", lease(&daemon));
    for web in [&mut Web::tcp(&address(&daemon)), &mut Web::socket(&daemon)] {
        for _ in 0..50 {
            assert_eq!(web.get("/healthz", &[("authorization", &bearer)]).status, 200);
        }
        for path in ["/healthz", "/nowhere", "/healthz"] {
            web.ask("GET", path, &[("authorization", &bearer)], b"");
        }
        let answered: Vec<u16> = (0..3).map(|_| web.answer().unwrap().status).collect();
        assert_eq!(answered, [200, 404, 200]);
    }
}

#[test]
fn a_stop_answers_what_is_owed_closes_what_is_idle_and_takes_no_longer() {
    let sandbox = Sandbox::start();
    let mut daemon = with_door(&sandbox);
    let bearer = format!("Bearer {}", lease(&daemon));
    let mut idle = [Web::tcp(&address(&daemon)), Web::socket(&daemon)];
    for web in &mut idle {
        assert_eq!(web.get("/healthz", &[("authorization", &bearer)]).status, 200);
    }
    let mut silent = Web::tcp(&address(&daemon));
    let started = start_login(&daemon, "device", json!({}));
    let wait = json!({"jsonrpc": "2.0", "id": 1, "method": "login.wait", "params": {"login_id": started.login_id}});
    let mut busy = Web::socket(&daemon);
    busy.ask("POST", "/rpc", &[], wait.to_string().as_bytes());
    assert_eq!(Web::socket(&daemon).get("/healthz", &[]).status, 200);
    let begun = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let answer = busy.answer().expect("what is owed is answered");
    assert_eq!(answer.json()["result"]["login"], "pending", "{}", answer.body);
    for web in idle.iter_mut().chain([&mut silent]) {
        assert!(web.answer().is_none());
    }
    assert!(!daemon.log().contains("not answered in time"), "{}", daemon.log());
}

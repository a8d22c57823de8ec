//! What a client may take: of time, of memory, of places.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Web, address, is_error, lease, with_door, with_door_and};
use crate::support::{Daemon, Home, Sandbox};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn bodies_are_unpacked_and_bounded_before_and_after() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).and_config("[daemon]\nmax_message_bytes = \"64KiB\"").serve();
    let mut web = Web::socket(&daemon);
    for (name, body) in [("gzip", gzip(PING.as_bytes())), ("zstd", zstd(PING.as_bytes()))] {
        let answer = web.send("POST", "/rpc", &[("content-encoding", name)], &body);
        assert_eq!((answer.status, &answer.json()["result"]), (200, &json!({})), "{name}");
    }
    let padded = format!("{PING}{}", " ".repeat(60_000));
    assert_eq!(web.post("/rpc", &padded).status, 200);
    let zeros = vec![b' '; 1 << 20];
    for (name, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
        let answer = web.send("POST", "/rpc", &[("content-encoding", name)], &bomb);
        is_error(&answer, 413, "request_too_large");
    }
    for (name, status, code) in [
        ("zstd", 400, "invalid_encoding"),
        ("gzip", 400, "invalid_encoding"),
        ("br", 415, "unsupported_encoding"),
    ] {
        let answer = web.send("POST", "/rpc", &[("content-encoding", name)], b"what is this");
        is_error(&answer, status, code);
    }
    let mut large = Web::socket(&daemon);
    large.ask("POST", "/rpc", &[], &vec![b' '; 70_000]);
    is_error(&large.answer().expect("an answer"), 413, "request_too_large");
    assert_eq!(Web::socket(&daemon).post("/rpc", PING).status, 200);
}

#[test]
fn who_is_refused_while_still_sending_gets_to_read_why() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let tight = Home::new(&sandbox).and_config("[daemon]\nmax_message_bytes = \"64KiB\"").serve();
    let body = vec![b'x'; 4 << 20];
    let bearer = format!("Bearer {}", lease(&daemon));
    let key = ("authorization", bearer.as_str());
    let (origin, packing) = (("origin", "http://page.example"), ("content-encoding", "br"));
    let mut web = Web::tcp(&address(&daemon));
    is_error(&web.send("POST", "/v1/responses", &[], &body), 401, "invalid_api_key");
    is_error(&web.send("POST", "/v1/responses", &[origin, key], &body), 403, "denied");
    is_error(&web.send("POST", "/nowhere", &[key], &body), 404, "not_found");
    is_error(&web.send("POST", "/healthz", &[key], &body), 405, "method_not_allowed");
    let mut web = Web::socket(&daemon);
    let refused = web.send("POST", "/rpc", &[packing], &body);
    is_error(&refused, 415, "unsupported_encoding");
    is_error(&Web::socket(&tight).post("/rpc", &" ".repeat(4 << 20)), 413, "request_too_large");
    // Without a length it shows only on the way.
    let mut web = Web::socket(&tight);
    web.raw(b"POST /rpc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    web.raw(format!("{:x}\r\n", body.len()).as_bytes());
    web.raw(&body);
    web.raw(b"\r\n0\r\n\r\n");
    is_error(&web.answer().expect("an answer"), 413, "request_too_large");
    // Who asks first is told before a byte of the body.
    web.raw(
        b"POST /nowhere HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    );
    is_error(&web.answer().expect("an answer"), 404, "not_found");
}

#[test]
fn a_head_that_does_not_end_is_given_up_and_delays_nobody() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let bearer = format!("Bearer {}", lease(&daemon));
    let address = address(&daemon);
    let begun = Instant::now();
    let mut slow = [Web::tcp(&address), Web::socket(&daemon), Web::tcp(&address)];
    slow[0].raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    slow[1].raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ");
    // The third says nothing at all.
    for _ in 0..20 {
        let quick = Web::tcp(&address).get("/healthz", &[("authorization", &bearer)]);
        assert_eq!(quick.status, 200);
    }
    for slow in &mut slow {
        assert!(slow.answer().is_none_or(|answer| answer.status == 408));
    }
    let waited = begun.elapsed();
    assert!((4..15).contains(&waited.as_secs()), "{waited:?}");
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut web = Web::socket(&daemon);
    web.raw(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n");
    web.raw(format!("x: {}\r\n\r\n", "y".repeat(100_000)).as_bytes());
    assert_eq!(web.answer().expect("an answer").status, 431);
    assert_eq!(Web::socket(&daemon).get("/healthz", &[]).status, 200);
}

#[test]
fn the_line_dialect_is_not_spoken_on_loopback() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let mut web = Web::tcp(&address(&daemon));
    web.raw(format!("{PING}\n").as_bytes());
    is_error(&web.answer().expect("an answer"), 400, "not_http");
    assert!(web.answer().is_none(), "the connection is closed");
    let mut web = Web::tcp(&address(&daemon));
    web.raw(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03");
    assert!(web.answer().is_none_or(|answer| answer.status == 400), "TLS neither");
}

#[test]
fn one_connection_too_many_is_told_so_and_has_its_place_later() {
    let sandbox = Sandbox::start();
    let daemon = with_door_and(&sandbox, "\n[daemon]\nmax_clients = 2");
    let bearer = format!("Bearer {}", lease(&daemon));
    let address = address(&daemon);
    let mut held: Vec<Web> = (0..2).map(|_| Web::tcp(&address)).collect();
    for web in &mut held {
        assert_eq!(web.get("/healthz", &[("authorization", &bearer)]).status, 200);
    }
    let answer = Web::tcp(&address).get("/healthz", &[("authorization", &bearer)]);
    is_error(&answer, 503, "overloaded");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(daemon.ok("ping", json!({})), json!({}), "the socket has places of its own");
    drop(held);
    crate::support::eventually("a place is free again", || {
        let answer = Web::tcp(&address).get("/healthz", &[("authorization", &bearer)]);
        (answer.status == 200).then_some(())
    });
}

#[test]
fn a_client_that_is_gone_takes_its_call_with_it() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).and_config("[daemon]\nmax_clients = 2").serve();
    let started = crate::support::start_login(&daemon, "device", json!({}));
    let wait = json!({"jsonrpc": "2.0", "id": 1, "method": "login.wait", "params": {"login_id": started.login_id}});
    let mut web = Web::socket(&daemon);
    web.ask("POST", "/rpc", &[], wait.to_string().as_bytes());
    crate::support::eventually("the place of the login's start is free", || {
        (Web::socket(&daemon).get("/healthz", &[]).status == 200).then_some(())
    });
    // In HTTP the end of a client's input means that it is gone.
    if web.half_close() {
        assert!(web.answer().is_none(), "nobody is left to answer");
    }
    drop(web);
    crate::support::eventually("both places are free", || {
        let mut both = [Web::socket(&daemon), Web::socket(&daemon)];
        both.iter_mut().all(|web| web.get("/healthz", &[]).status == 200).then_some(())
    });
}

#[test]
fn an_http_client_keeps_an_idle_daemon_from_ending() {
    let sandbox = Sandbox::start();
    let mut daemon = Home::new(&sandbox).and_config("[daemon]\nidle_exit = \"1s\"").serve();
    let started = crate::support::start_login(&daemon, "device", json!({}));
    let wait = json!({"jsonrpc": "2.0", "id": 1, "method": "login.wait",
        "params": {"login_id": started.login_id, "timeout": 3}});
    let begun = Instant::now();
    let answer = Web::socket(&daemon).post("/rpc", &wait.to_string());
    assert_eq!(answer.json()["result"]["login"], "pending", "{}", answer.body);
    assert!(begun.elapsed() >= Duration::from_secs(3));
    assert_eq!(daemon.wait_for_end().code(), Some(0), "then it ends");
}

#[test]
fn garbage_of_any_kind_ends_nothing_but_itself() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let bearer = format!("Bearer {}", lease(&daemon));
    let address = address(&daemon);
    for first in 0..=u8::MAX {
        let noise: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(37) ^ first).collect();
        for mut web in [Web::tcp(&address), Web::socket(&daemon)] {
            web.raw(&[&[first], &noise[..], b"\r\n\r\n"].concat());
        }
    }
    for head in [
        "GET / HTTP/9.9\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /rpc HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n",
        "POST /rpc HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut web = Web::socket(&daemon);
        web.raw(head.as_bytes());
        web.half_close();
        let answer = web.answer();
        assert!(answer.as_ref().is_none_or(|answer| answer.status >= 400), "{head:?}: {answer:?}");
    }
    let health = Web::tcp(&address).get("/healthz", &[("authorization", &bearer)]);
    assert_eq!(health.status, 200);
    assert_eq!(daemon.ok("ping", json!({})), json!({}));
}

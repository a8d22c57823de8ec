//! What one peer may take, and that it takes it from nobody else.

use super::*;
use crate::rpc::connection::calls::MAX_IN_FLIGHT;

fn padded(id: u64, method: &str, bytes: usize) -> String {
    let padding = "x".repeat(bytes);
    format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\",\"params\":{{\"p\":\"{padding}\"}}}}\n"
    )
}

#[tokio::test]
async fn a_slow_reader_is_slowed_down_and_slows_nobody() {
    const CALLS: u64 = 200;
    let daemon = Daemon::start();
    let mut slow = daemon.client().await;
    for id in 0..CALLS {
        slow.call(id, "bulk").await;
    }
    let mut other = daemon.client().await;
    for _ in 0..100 {
        other.echo().await;
    }
    let taken = daemon.tricks.bulks.load(Ordering::Relaxed);
    assert!(taken < 20, "{taken} answers of 256 KiB are held for a peer that reads none");
    for id in 0..CALLS {
        assert_eq!(slow.value().await["id"], id);
    }
}

#[tokio::test]
async fn notifications_wait_for_a_slow_reader_too() {
    let daemon = Daemon::start();
    let mut slow = daemon.client().await;
    for id in 0..20 {
        slow.call(id, "bulk").await;
    }
    slow.call(20, "events").await;
    let mut other = daemon.client().await;
    other.echo().await;
    let mut events = 0;
    let last = loop {
        let value = slow.value().await;
        if value["result"] == "done" {
            break value;
        }
        events += usize::from(value["method"] == "event");
    };
    assert_eq!((&last["id"], events), (&20.into(), 200));
}

#[tokio::test]
async fn an_overlong_line_is_answered_and_ends_the_connection() {
    let daemon = Daemon::with(Limits { max_message_bytes: 10_000, ..Limits::default() });
    let mut client = daemon.client().await;
    client.send(padded(1, "echo", 9_000)).await;
    assert_eq!(client.value().await["id"], 1);
    client.send("y".repeat(50_000)).await;
    assert_eq!(client.code().await, (Value::Null, -32600));
    assert_eq!(client.line().await, "");
    daemon.client().await.echo().await;
}

#[tokio::test]
async fn lines_over_the_shared_budget_are_refused_and_passed_over() {
    let daemon = Daemon::with(Limits { max_inflight_bytes: 64 * 1024, ..Limits::default() });
    let (mut first, mut second) = (daemon.client().await, daemon.client().await);
    let line = padded(1, "echo", 50_000);
    let (most, rest) = line.split_at(line.len() - 10);
    first.send(most).await;
    // Some systems give a few kilobytes at a time, and all of it has to be there.
    for _ in 0..50 {
        second.echo().await;
    }
    let large = padded(2, "echo", 30_000);
    let (begin, end) = large.split_at(20_000);
    second.send(begin).await;
    assert_eq!(second.code().await, (Value::Null, -32008));
    second.send(end).await;
    second.echo().await;
    first.send(rest).await;
    assert_eq!(first.value().await["id"], 1);
    second.send(large).await;
    assert_eq!(second.value().await["id"], 2);
}

#[tokio::test]
async fn slow_calls_count_against_the_shared_budget_until_they_are_answered() {
    let daemon = Daemon::with(Limits { max_inflight_bytes: 64 * 1024, ..Limits::default() });
    let mut client = daemon.client().await;
    client.send(padded(1, "slow", 40_000)).await;
    client.send(padded(2, "slow", 3_000)).await;
    for id in 3..20 {
        client.send(padded(id, "slow", 3_000)).await;
    }
    let (id, code) = client.code().await;
    assert_eq!(code, -32008);
    assert!(id.as_u64().unwrap() > 2);
    daemon.tricks.gate.add_permits(2);
    let answered = loop {
        let answer = client.value().await;
        if answer["result"] == "done" {
            break answer;
        }
    };
    assert_eq!(answered["id"], 1);
}

#[tokio::test]
async fn a_batch_too_large_to_wait_is_answered_at_once() {
    let daemon = Daemon::with(Limits { max_inflight_bytes: 64 * 1024, ..Limits::default() });
    let mut client = daemon.client().await;
    client
        .send(
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"wait\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"bulk\"}]\n",
        )
        .await;
    let batch = client.value().await;
    assert_eq!((&batch[0]["id"], &batch[1]["error"]["code"]), (&2.into(), &(-32008).into()));
    assert!(batch[1]["error"]["data"]["retry_after"].is_u64());
    client.echo().await;
}

#[tokio::test]
async fn calls_in_flight_on_one_connection_are_bounded() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    for id in 0..=MAX_IN_FLIGHT as u64 {
        client.call(id, "wait").await;
    }
    assert_eq!(client.code().await, (MAX_IN_FLIGHT.into(), -32008));
    client.echo().await;
}

#[tokio::test]
async fn one_client_too_many_is_told_so_and_closed() {
    let daemon = Daemon::with(Limits { max_clients: 1, ..Limits::default() });
    let mut first = daemon.client().await;
    first.echo().await;
    let mut second = daemon.client().await;
    second.call(1, "echo").await;
    let answer = second.value().await;
    assert_eq!(
        (&answer["id"], &answer["error"]["data"]["kind"]),
        (&Value::Null, &"overloaded".into())
    );
    assert_eq!(second.line().await, "");
    let mut web = daemon.client().await;
    web.send("GET /").await;
    assert_eq!(web.line().await, "Crowd 5");
    drop(first);
    within(async {
        // The place is free once the daemon has seen that the first is gone.
        loop {
            let mut third = daemon.client().await;
            third.call(1, "echo").await;
            // Of many that are turned away at once, some are told nothing.
            if third.line().await.contains("\"id\":1,") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn garbage_of_any_kind_ends_nothing_but_itself() {
    let daemon = Daemon::start();
    for first in 0..=u8::MAX {
        let mut client = daemon.client().await;
        let garbage: Vec<u8> = (0..200_u8).map(|n| n.wrapping_mul(37) ^ first).collect();
        client.send([&[first], &garbage[..], b"\n\n\r\n\r\n"].concat()).await;
        if ipc::HALF_CLOSES {
            client.half_close().await;
            while !client.line_bytes().await.is_empty() {}
        }
    }
    daemon.client().await.echo().await;
}

//! What is answered, when, and in which order.

use super::*;

#[tokio::test]
async fn ten_thousand_pipelined_lines_are_all_answered_in_order() {
    let daemon = Daemon::start();
    let (mut reading, mut writing) = tokio::io::split(daemon.client().await.0.into_inner());
    let lines: String = (0..10_000)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"echo\"}}\n"))
        .collect();
    let expected: String = (0..10_000)
        .map(|id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n"))
        .collect();
    let write = async {
        writing.write_all(lines.as_bytes()).await?;
        writing.flush().await
    };
    let (written, answers) = within(async {
        tokio::join!(write, async {
            let mut answers = vec![0; expected.len()];
            reading.read_exact(&mut answers).await.unwrap();
            answers
        })
    })
    .await;
    written.unwrap();
    assert_eq!(String::from_utf8(answers).unwrap(), expected);
    daemon.stop.cancel();
    let mut more = Vec::new();
    within(reading.read_to_end(&mut more)).await.unwrap();
    assert!(more.is_empty(), "each is answered once");
    let flushes = daemon.tricks.flushes.load(Ordering::Relaxed);
    assert!(flushes < 5000, "{flushes} writes for 10000 lines that arrive together");
}

#[tokio::test]
async fn a_slow_call_delays_nobody_and_is_answered_later() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "slow").await;
    client.echo().await;
    client.call(2, "release").await;
    assert_eq!(client.value().await["id"], 2);
    assert_eq!(client.line().await, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"done\"}\n");
}

#[tokio::test]
async fn an_id_in_flight_is_refused_however_it_is_written_and_free_again_later() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.send("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"slow\"}\n").await;
    client.send("{\"jsonrpc\":\"2.0\",\"id\":\"\\u0061\",\"method\":\"echo\"}\n").await;
    assert_eq!(client.code().await, ("a".into(), -32600));
    client.call(2, "release").await;
    assert_eq!(client.value().await["id"], 2);
    assert_eq!(client.value().await["result"], "done");
    client.send("{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"echo\"}\n").await;
    assert_eq!(client.value().await["result"], serde_json::json!({}));
}

#[tokio::test]
async fn cancel_ends_the_work_and_answers_both() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "wait").await;
    client.echo().await;
    client
        .send("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"cancel\",\"params\":{\"id\":1}}\n")
        .await;
    assert_eq!(client.value().await["result"], serde_json::json!({ "cancelled": true }));
    assert_eq!(client.code().await, (1.into(), -32800));
    daemon.dropped(1).await;
    client
        .send("{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"cancel\",\"params\":{\"id\":1}}\n")
        .await;
    assert_eq!(client.value().await["result"], serde_json::json!({ "cancelled": false }));
}

#[tokio::test]
async fn cancel_reaches_only_calls_of_its_own_connection() {
    let daemon = Daemon::start();
    let (mut mine, mut other) = (daemon.client().await, daemon.client().await);
    mine.call(1, "wait").await;
    mine.echo().await;
    other
        .send("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"cancel\",\"params\":{\"id\":1}}\n")
        .await;
    assert_eq!(other.value().await["result"], serde_json::json!({ "cancelled": false }));
    assert_eq!(daemon.tricks.dropped.load(Ordering::Relaxed), 0);
    mine.send("{\"jsonrpc\":\"2.0\",\"method\":\"cancel\",\"params\":{\"id\":1}}\n").await;
    assert_eq!(mine.code().await, (1.into(), -32800));
}

#[tokio::test]
async fn notifications_of_a_call_come_in_order_and_before_its_answer() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "events").await;
    for number in 0..200 {
        assert_eq!(client.value().await["params"]["number"], number);
    }
    assert_eq!(client.value().await["result"], "done");
}

#[tokio::test]
async fn a_batch_waits_for_its_slow_calls_and_nobody_else_does() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client
        .send(
            "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"slow\"},{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"},\
             {\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"wait\"},\
             {\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"cancel\",\"params\":{\"id\":3}}]\n",
        )
        .await;
    client.echo().await;
    client.call(5, "release").await;
    assert_eq!(client.value().await["id"], 5);
    let batch = client.value().await;
    let ids: Vec<i64> =
        batch.as_array().unwrap().iter().map(|answer| answer["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, [2, 4, 3, 1]);
    assert_eq!(batch[2]["error"]["code"], -32800);
}

#[tokio::test]
async fn a_call_that_panics_is_told_as_a_defect_and_the_connection_lives_on() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "panic.later").await;
    assert_eq!(client.code().await, (1.into(), -32603));
    client.echo().await;
}

#[tokio::test]
async fn a_panic_ends_its_own_connection_only() {
    let daemon = Daemon::start();
    let (mut unlucky, mut other) = (daemon.client().await, daemon.client().await);
    unlucky.call(1, "panic").await;
    assert_eq!(unlucky.line().await, "");
    other.echo().await;
    daemon.client().await.echo().await;
}

#[tokio::test]
async fn the_blocking_client_calls_is_refused_times_out_and_goes_on() {
    use crate::rpc::client::{CallError, Client};
    let daemon = Daemon::start();
    let socket = daemon.socket.clone();
    let calling = tokio::task::spawn_blocking(move || {
        let mut client = Client::connect(&socket).unwrap();
        let params = serde_json::json!({ "a": "b" });
        assert_eq!(client.call::<_, Value>("echo", &params).unwrap(), params);
        let refused = client.call::<_, Value>("nonsense", &params).unwrap_err();
        assert!(matches!(refused, CallError::Refused(e) if e.kind() == Kind::MethodNotFound));
        client.set_timeout(Some(Duration::from_millis(50)));
        let late = client.call::<_, Value>("slow", &params).unwrap_err();
        assert!(matches!(late, CallError::Lost(e) if e.kind() == io::ErrorKind::TimedOut));
        client.set_timeout(None);
        assert_eq!(client.call::<_, Value>("release", &params).unwrap(), serde_json::json!({}));
        let mut seen = 0;
        let params = serde_json::value::to_raw_value(&params).unwrap();
        let result = client
            .call_raw("events", &params, &mut |method, _| seen += usize::from(method == "event"));
        assert_eq!((result.unwrap().get(), seen), ("\"done\"", 200));
    });
    within(calling).await.unwrap();
}

#[test]
fn the_blocking_client_says_where_nobody_listens() {
    use crate::rpc::client::{Client, ClientError};
    let dir = tempfile::tempdir().unwrap();
    let socket = ipc::address_in(dir.path());
    let Err(ClientError::Unreachable { socket: told, source }) = Client::connect(&socket) else {
        panic!("unreachable")
    };
    assert_eq!((told, source.kind()), (socket, io::ErrorKind::NotFound));
}

/// Needs root, as only root can become somebody else; says so where it is skipped.
#[test]
fn the_blocking_client_asks_nothing_of_another_users_server() {
    use crate::rpc::client::{Client, ClientError};
    let dir = tempfile::tempdir().unwrap();
    let socket = ipc::address_in(dir.path());
    let Some(_listening) = ipc::listening_as_another_user(&socket) else {
        return println!(
            "SKIPPED: the_blocking_client_asks_nothing_of_another_users_server (needs root)"
        );
    };
    let Err(ClientError::ForeignServer { uid, .. }) = Client::connect(&socket) else {
        panic!("refused")
    };
    // Where users have numbers.
    assert_eq!(uid, crate::platform::process::own_uid().map(|_| 65534));
}

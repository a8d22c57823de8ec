//! How connections begin and end, and whose they may be. Pipes of Windows are never half closed.

use super::*;

#[cfg(unix)]
#[tokio::test]
async fn a_half_closed_client_gets_every_answer_it_is_owed() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "slow").await;
    // The last line has no end, as printf leaves it.
    client.send("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"echo\"}").await;
    client.half_close().await;
    assert_eq!(client.value().await["id"], 2);
    daemon.tricks.gate.add_permits(1);
    assert_eq!(client.value().await["id"], 1);
    assert_eq!(client.line().await, "");
}

#[tokio::test]
async fn the_work_of_a_client_that_is_gone_is_dropped() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "wait").await;
    client.echo().await;
    drop(client);
    daemon.dropped(1).await;
}

#[cfg(unix)]
#[tokio::test]
async fn the_work_of_a_client_that_half_closed_and_then_went_is_dropped() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.call(1, "wait").await;
    client.echo().await;
    client.half_close().await;
    daemon.client().await.echo().await;
    assert_eq!(daemon.tricks.dropped.load(Ordering::Relaxed), 0);
    drop(client);
    daemon.dropped(1).await;
}

#[tokio::test]
async fn a_stop_answers_what_is_owed_and_then_closes() {
    let daemon = Daemon::start();
    let (mut client, mut silent) = (daemon.client().await, daemon.client().await);
    client.call(1, "slow").await;
    client.echo().await;
    daemon.stop.cancel();
    assert_eq!(silent.line().await, "", "nothing is said to who said nothing");
    assert!(!daemon.serving.is_finished());
    daemon.tricks.gate.add_permits(1);
    assert_eq!(client.value().await["id"], 1);
    assert_eq!(client.line().await, "");
    within(daemon.serving).await.unwrap();
    assert!(ipc::connect(&daemon.socket).await.is_err());
}

#[tokio::test]
async fn another_dialect_gets_the_connection_with_all_that_was_said() {
    let daemon = Daemon::start();
    let mut client = daemon.client().await;
    client.send("GET / HTTP/1.1\r\n").await;
    client.send("and a secret, too!").await;
    assert_eq!(client.line().await, "GET / HTTP/1.1\r\n");
    assert_eq!(client.line().await, "and a secret, too!");
}

/// Needs root, as only root can become somebody else; says so where it is skipped.
#[tokio::test]
async fn another_user_is_refused_whatever_the_sockets_mode() {
    let daemon = Daemon::start();
    let socket = daemon.socket.clone();
    let asking = tokio::task::spawn_blocking(move || {
        ipc::as_another_user(&socket, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}\n")
    });
    let Some(answer) = within(asking).await.unwrap() else {
        return println!("SKIPPED: another_user_is_refused_whatever_the_sockets_mode (needs root)");
    };
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &(-32007).into()));
    assert_eq!(daemon.tricks.refused.load(Ordering::Relaxed), 1);
    daemon.client().await.echo().await;
}

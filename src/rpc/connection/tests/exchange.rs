//! One message there, one answer back.

use super::*;

async fn asked(tricks: &Arc<Tricks>, body: &str) -> String {
    let service = TestService(tricks.clone());
    let budget = Budget::new(64 * 1024);
    let answer = within(exchange(&service, Peer::default(), body.as_bytes(), &budget)).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_message_or_a_batch_is_answered_when_all_of_it_is() {
    let tricks = Arc::new(Tricks::new());
    let call = |id: u64, method: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\n\"method\":\"{method}\"}}")
    };
    assert_eq!(asked(&tricks, &call(7, "echo")).await, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    tricks.gate.add_permits(1);
    let batch = format!("[{},{}, {}]", call(1, "slow"), call(2, "bulk"), call(3, "nothing"));
    let answers: Value = serde_json::from_str(&asked(&tricks, &batch).await).unwrap();
    let mut ids: Vec<_> =
        answers.as_array().unwrap().iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    assert!(tricks.flushes.load(Ordering::Relaxed) > 0, "what follows an answer follows it here");
}

#[tokio::test]
async fn a_notification_alone_is_not_answered() {
    let tricks = Arc::new(Tricks::new());
    assert_eq!(asked(&tricks, "{\"jsonrpc\":\"2.0\",\"method\":\"release\"}").await, "");
    assert_eq!(tricks.gate.available_permits(), 1, "but done");
}

#[tokio::test]
async fn what_is_no_message_is_told_so_and_streams_have_no_place() {
    let tricks = Arc::new(Tricks::new());
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        ("[]", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"events"}"#, -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"events"}]"#, -32600),
    ] {
        let answer: Value = serde_json::from_str(&asked(&tricks, body).await).unwrap();
        let answer = if answer.is_array() { answer[0].clone() } else { answer };
        assert_eq!(answer["error"]["code"], code, "{body}");
    }
}

#[tokio::test]
async fn who_stops_waiting_stops_the_work() {
    let tricks = Arc::new(Tricks::new());
    let asking = asked(&tricks, r#"{"jsonrpc":"2.0","id":1,"method":"wait"}"#);
    let waited = tokio::time::timeout(Duration::from_millis(50), asking).await;
    assert!(waited.is_err());
    within(async {
        while tricks.dropped.load(Ordering::Relaxed) == 0 {
            tricks.drop_seen.notified().await;
        }
    })
    .await;
}

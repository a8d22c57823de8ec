//! Faults: that what is staged is what a client meets.

use super::*;

#[tokio::test]
async fn a_dropped_answer_is_a_closed_connection_before_or_after_the_work() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("faults", json!({"on": "refresh", "drop": "before"})).await;
    assert!(desk.refresh_raw(&grant).await.unwrap_err().status().is_none());
    assert_eq!(desk.stats().await["refreshes"], 0);
    desk.lever("faults", json!({"on": "refresh", "drop": "after"})).await;
    assert!(desk.refresh_raw(&grant).await.is_err());
    assert_eq!(desk.stats().await["refreshes"], 1);
    let (_, answer) = desk.refresh(&grant).await;
    assert_eq!(answer["error"]["code"], "refresh_token_reused");
}

#[tokio::test]
async fn not_one_byte_of_a_dropped_answer_is_sent() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let desk = Desk::new().await;
    desk.lever("faults", json!({"on": "jwks", "drop": "after"})).await;
    let address = desk.sandbox.url().trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let request = format!("GET /.well-known/jwks.json HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn answers_can_be_garbage_cut_short_or_refusals() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever(
        "faults",
        json!([
            {"on": "refresh", "status": 429, "headers": {"retry-after": "7"}, "times": 2},
            {"on": "refresh", "body": "<html>Please sign in to the hotel's network</html>"},
            {"on": "refresh", "truncate": 10},
        ]),
    )
    .await;
    for _ in 0..2 {
        let answer = desk.refresh_raw(&grant).await.unwrap();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "7");
    }
    let answer = desk.refresh_raw(&grant).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(desk.stats().await["refreshes"], 0, "none of these did the work");
    let mut answer = desk.refresh_raw(&grant).await.unwrap();
    assert!(answer.content_length().unwrap() > 100);
    assert_eq!(answer.chunk().await.unwrap().unwrap().len(), 10);
    assert!(answer.chunk().await.is_err());
    let unknown = desk.post("/_sandbox/faults", json!({"on": "refresh", "lateness": 1})).await;
    assert_eq!(unknown.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_stream_can_break_in_the_middle_of_an_event() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("faults", json!({"on": "responses", "truncate": 30})).await;
    let mut answer = desk.turn(&grant, &question()).await;
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.chunk().await.unwrap().unwrap().len(), 30);
    assert!(answer.chunk().await.is_err());
}

#[tokio::test]
async fn a_stalled_answer_is_seen_in_flight_and_released_when_faults_are_cleared() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("faults", json!({"on": "refresh", "stall": true})).await;
    let (answer, ()) = tokio::join!(desk.refresh(&grant), async {
        let seen = desk.get("/_sandbox/wait?on=refresh&in_flight=1&timeout_ms=5000").await;
        assert_eq!(seen.status(), StatusCode::OK);
        assert_eq!(seen.json::<Value>().await.unwrap()["refreshes"], 0);
        assert_eq!(
            desk.get("/_sandbox/wait?on=refresh&answered=1&timeout_ms=1").await.status(),
            StatusCode::REQUEST_TIMEOUT
        );
        desk.http.delete(desk.at("/_sandbox/faults")).send().await.unwrap();
    });
    assert_eq!(answer.0, StatusCode::OK);
    let stats = desk.stats().await;
    assert_eq!(stats["endpoints"]["refresh"]["in_flight"], 0);
}

#[tokio::test]
async fn a_client_that_leaves_is_no_longer_in_flight() {
    let desk = Desk::new().await;
    desk.lever("faults", json!({"on": "jwks", "stall": true})).await;
    let request = desk.http.get(desk.at("/.well-known/jwks.json")).send();
    tokio::select! {
        _ = request => panic!("a stalled request was answered"),
        seen = desk.get("/_sandbox/wait?on=jwks&in_flight=1") => assert_eq!(seen.status(), StatusCode::OK),
    }
    desk.eventually(|stats| stats["endpoints"]["jwks"]["in_flight"] == 0).await;
}

#[tokio::test]
async fn a_slow_answer_takes_its_time_by_the_sandboxs_clock() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("faults", json!({"on": "refresh", "answer_latency_ms": 3_600_000})).await;
    let (answer, ()) = tokio::join!(desk.refresh(&grant), async {
        desk.eventually(|stats| stats["refreshes"] == 1).await;
        desk.clock.jump(3_600_000);
    });
    assert_eq!(answer.0, StatusCode::OK);
}

#[tokio::test]
async fn a_stopped_sandbox_listens_no_more_and_releases_who_waits() {
    let desk = Desk::new().await;
    desk.lever("faults", json!({"on": "jwks", "stall": true})).await;
    let url = desk.at("/.well-known/jwks.json");
    let waiting = tokio::spawn(desk.http.get(&url).send());
    desk.get("/_sandbox/wait?on=jwks&in_flight=1").await;
    let Desk { sandbox, http, .. } = desk;
    sandbox.stop().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(http.get(&url).send().await.unwrap_err().is_connect());
}

//! What a relay has to survive: streams of every kind, their ends, and who left before those.

use super::*;

/// The kinds of events of a whole stream.
async fn kinds(answer: Response) -> Vec<String> {
    let text = answer.text().await.unwrap();
    text.lines().filter_map(|line| line.strip_prefix("event: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_script_is_played_as_often_as_was_said_and_then_the_usual_turn() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let failed =
        json!({"type": "response.failed", "response": {"error": {"code": "server_is_overloaded"}}});
    let script = json!([": hum\n\n", {"type": "response.created"}, failed]);
    desk.lever("settings", json!({"events": script, "times": 2})).await;
    for _ in 0..2 {
        let answer = desk.turn(&grant, &question()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().contains_key("x-codex-primary-used-percent"));
        let expected = format!(
            ": hum\n\nevent: response.created\ndata: {{\"type\":\"response.created\"}}\n\nevent: response.failed\ndata: {failed}\n\n"
        );
        assert_eq!(answer.text().await.unwrap(), expected);
    }
    let usual = kinds(desk.turn(&grant, &question()).await).await;
    assert_eq!(usual.last().unwrap(), "response.completed");
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_without_its_last_event_and_without_an_end() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("settings", json!({"finish": "cut", "times": 1})).await;
    let mut answer = desk.turn(&grant, &question()).await;
    let mut text = String::new();
    let error = loop {
        match answer.chunk().await {
            Ok(Some(bytes)) => text += std::str::from_utf8(&bytes).unwrap(),
            Ok(None) => panic!("a clean end"),
            Err(error) => break error,
        }
    };
    assert!(error.status().is_none());
    assert!(text.ends_with("\n\n") && text.contains("output_text.done"), "{text}");
    assert!(!text.contains("response.completed"));
    desk.eventually(|stats| stats["endpoints"]["responses"]["streaming"] == 0).await;
    assert_eq!(desk.stats().await["aborted"], 0, "the client stayed to the end");
}

#[tokio::test]
async fn a_client_that_leaves_a_silent_stream_is_noticed_with_the_time() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("settings", json!({"finish": "hang", "times": 1})).await;
    let mut answer = desk.turn(&grant, &question()).await;
    assert!(answer.chunk().await.unwrap().is_some());
    let waited = desk.get("/_sandbox/wait?on=responses&streaming=1").await;
    assert_eq!(waited.status(), StatusCode::OK);
    drop(answer);
    let waited = desk.get("/_sandbox/wait?on=responses&aborted=1").await;
    assert_eq!(waited.status(), StatusCode::OK);
    let stats: Value = waited.json().await.unwrap();
    let count = &stats["endpoints"]["responses"];
    assert_eq!((&count["streaming"], &stats["aborted"]), (&json!(0), &json!(1)));
    assert!(count["aborted_at"].as_u64().unwrap() >= 1_900_000_000_000);
}

#[tokio::test]
async fn a_silent_stream_breaks_when_faults_are_cleared() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.lever("settings", json!({"events": [{"type": "response.created"}], "finish": "hang"}))
        .await;
    let mut answer = desk.turn(&grant, &question()).await;
    assert!(answer.chunk().await.unwrap().is_some());
    desk.http.delete(desk.at("/_sandbox/faults")).send().await.unwrap();
    assert!(answer.chunk().await.is_err());
    desk.eventually(|stats| stats["endpoints"]["responses"]["streaming"] == 0).await;
    assert_eq!(desk.stats().await["aborted"], 0);
}

#[tokio::test]
async fn a_truncated_stream_breaks_as_soon_as_its_bytes_are_sent() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    // By the sandbox's clock, which stands still: the second event never comes.
    desk.lever("settings", json!({"event_delay_ms": 60_000})).await;
    desk.lever("faults", json!({"on": "responses", "truncate": 30})).await;
    let mut answer = desk.turn(&grant, &question()).await;
    assert_eq!(answer.chunk().await.unwrap().unwrap().len(), 30);
    assert!(answer.chunk().await.is_err());
    desk.eventually(|stats| stats["endpoints"]["responses"]["streaming"] == 0).await;
    assert_eq!(desk.stats().await["aborted"], 0, "the sandbox broke off, not the client");
}

#[tokio::test]
async fn faults_meet_completions_as_they_meet_the_rest() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let limit = json!({"error": {"type": "usage_limit_reached", "plan_type": "plus", "resets_at": 1_777_936_568}});
    desk.lever(
        "faults",
        json!([
            {"on": "responses", "status": 429, "body": limit, "headers": {"x-codex-plan-type": "plus"}},
            {"on": "responses", "status": 502, "body": "<html>bad</html>", "work": true},
            {"on": "responses", "headers": {"set-cookie": "a=b"}},
            {"on": "responses", "drop": "before"},
            {"on": "responses", "drop": "after"},
        ]),
    )
    .await;
    let refused = desk.turn(&grant, &question()).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["x-codex-plan-type"], "plus");
    assert_eq!(refused.json::<Value>().await.unwrap(), limit);
    assert_eq!(desk.turn(&grant, &question()).await.status(), StatusCode::BAD_GATEWAY);
    let dressed = desk.turn(&grant, &question()).await;
    assert_eq!(dressed.headers()["set-cookie"], "a=b");
    assert_eq!(kinds(dressed).await.last().unwrap(), "response.completed");
    let token = grant["access_token"].as_str().unwrap();
    for _ in 0..2 {
        let request = desk.http.post(desk.at("/backend-api/codex/responses")).bearer_auth(token);
        assert!(request.json(&question()).send().await.is_err());
    }
    let stats = desk.stats().await;
    assert_eq!((&stats["responses"], &stats["aborted"]), (&json!(3), &json!(0)));
}

#[tokio::test]
async fn what_was_asked_can_be_looked_at_but_for_the_token() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let token = grant["access_token"].as_str().unwrap();
    desk.lever("faults", json!({"on": "responses", "status": 503})).await;
    let request = desk.http.post(desk.at("/backend-api/codex/responses")).bearer_auth(token);
    let answer = request.header("session-id", "s-1").json(&question()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    let text = desk.get("/_sandbox/requests").await.text().await.unwrap();
    assert!(!text.contains(token));
    let seen: Value = serde_json::from_str(&text).unwrap();
    let request = &seen["requests"][0];
    assert_eq!(request["body"], question());
    assert_eq!(request["headers"]["session-id"], "s-1");
    assert_eq!(request["headers"].get("authorization"), None);
}

//! Tokens: how they are signed, how they rotate, how they end.

use super::*;

#[tokio::test]
async fn tokens_are_verified_by_the_published_keys_and_survive_a_rotation() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    assert_eq!(grant["expires_in"], 3600);
    let token = grant["access_token"].as_str().unwrap();
    let claims = desk.verified(token, "https://api.openai.com/v1").await.unwrap();
    assert_eq!(claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap() + 3600);
    assert_eq!(claims["https://api.openai.com/auth"]["chatgpt_plan_type"], "plus");
    let id_token = grant["id_token"].as_str().unwrap();
    let claims = desk.verified(id_token, CODEX_CLIENT_ID).await.unwrap();
    assert_eq!(claims["email"], "pat@example.test");

    desk.lever("rotate_keys", json!({})).await;
    assert!(desk.verified(token, "https://api.openai.com/v1").await.is_ok());
    desk.lever("rotate_keys", json!({"keep": false})).await;
    let refused = desk.verified(token, "https://api.openai.com/v1").await;
    assert_eq!(refused.unwrap_err(), "unknown kid");
}

#[tokio::test]
async fn forged_tokens_do_not_verify() {
    let desk = Desk::new().await;
    for twist in [
        json!({"wrong_key": true}),
        json!({"borrow_kid": true}),
        json!({"wrong_issuer": "https://evil.test"}),
        json!({"algorithm": "none"}),
        json!({"algorithm": "HS256"}),
    ] {
        let mut fault = twist.clone();
        fault["on"] = "token".into();
        desk.lever("faults", fault).await;
        let grant = desk.login().await;
        let token = grant["access_token"].as_str().unwrap();
        assert!(desk.verified(token, "https://api.openai.com/v1").await.is_err(), "{twist}");
    }
    desk.lever(
        "faults",
        json!({"on": "token", "wrong_account": "other", "omit": ["refresh_token"]}),
    )
    .await;
    let grant = desk.login().await;
    assert!(grant.get("refresh_token").is_none());
    let claims =
        desk.verified(grant["access_token"].as_str().unwrap(), "https://api.openai.com/v1").await;
    assert_eq!(claims.unwrap()["https://api.openai.com/auth"]["chatgpt_account_id"], "other");
}

#[tokio::test]
async fn a_replayed_refresh_token_ends_the_whole_family() {
    let desk = Desk::new().await;
    let first = desk.login().await;
    let (status, second) = desk.refresh(&first).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(desk.usage(&second).await.status(), StatusCode::OK);

    let (status, answer) = desk.refresh(&first).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("refresh_token_reused"))
    );
    let (status, answer) = desk.refresh(&second).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("refresh_token_invalidated"))
    );
    let refused = desk.usage(&second).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "token_invalidated");

    let stats = desk.stats().await;
    assert_eq!(
        [&stats["refresh_requests"], &stats["refreshes"], &stats["reuse_detected"]],
        [&json!(3), &json!(1), &json!(1)]
    );
    assert_eq!(stats["families"], json!({"alive": 0, "revoked": 1}));
}

#[tokio::test]
async fn the_date_header_tells_the_sandboxs_time_and_its_skew() {
    let desk = Desk::new().await;
    desk.lever("settings", json!({"date_skew_secs": 3600})).await;
    let answer = desk.get("/.well-known/jwks.json").await;
    let date = answer.headers()["date"].to_str().unwrap();
    let shown = Timestamp::from_system(httpdate::parse_http_date(date).unwrap());
    let ahead = shown.since(desk.clock.now().minus(Duration::from_secs(1)));
    assert!((3595..=3602).contains(&ahead.as_secs()), "{date}");
}

#[tokio::test]
async fn revoking_ends_a_login_and_says_nothing_of_unknown_tokens() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    let body = |token: &Value| json!({"token": token, "token_type_hint": "refresh_token", "client_id": CODEX_CLIENT_ID});
    assert_eq!(
        desk.post("/oauth/revoke", body(&json!("rt_unknown"))).await.status(),
        StatusCode::OK
    );
    assert_eq!(desk.stats().await["revocations"], 0);
    assert_eq!(
        desk.post("/oauth/revoke", body(&grant["refresh_token"])).await.status(),
        StatusCode::OK
    );
    assert_eq!(desk.stats().await["revocations"], 1);
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(desk.refresh(&grant).await.1["error"]["code"], "refresh_token_invalidated");
}

#[tokio::test]
async fn access_tokens_end_by_time_and_by_revocation_while_the_login_lives_on() {
    let desk = Desk::new().await;
    let grant = desk.login().await;
    desk.clock.jump(3_600_000);
    let refused = desk.usage(&grant).await;
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "token_expired");
    let (_, grant) = desk.refresh(&grant).await;
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::OK);
    desk.lever("revoke_access", json!({})).await;
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::UNAUTHORIZED);
    let (status, grant) = desk.refresh(&grant).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::OK);
    let unknown = json!({"access_token": "at-unknown"});
    assert_eq!(desk.usage(&unknown).await.status(), StatusCode::UNAUTHORIZED);
}

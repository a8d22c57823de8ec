//! Signing in: what a code is bound to, what a person sees, how a device waits.

use super::*;

#[tokio::test]
async fn codes_work_once_and_only_for_whom_they_were_made() {
    let desk = Desk::new().await;
    let other = "http://localhost:1455/auth/callback";
    for (verifier, redirect_uri, text) in [
        ("a-different-verifier", REDIRECT, "code_verifier does not match"),
        (VERIFIER, other, "redirect_uri is not"),
    ] {
        let code = desk.code().await;
        let (status, answer) = desk.exchange(&code, verifier, redirect_uri).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &json!("invalid_grant")));
        assert!(answer["error_description"].as_str().unwrap().contains(text), "{answer}");
        let (_, answer) = desk.exchange(&code, VERIFIER, REDIRECT).await;
        assert!(
            answer["error_description"].as_str().unwrap().contains("already been used"),
            "{answer}"
        );
    }
    let code = desk.code().await;
    desk.clock.jump(600_000);
    let (_, answer) = desk.exchange(&code, VERIFIER, REDIRECT).await;
    assert!(answer["error_description"].as_str().unwrap().contains("expired"), "{answer}");

    let code = desk.code().await;
    let (_, grant) = desk.exchange(&code, VERIFIER, REDIRECT).await;
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::OK);
    assert_eq!(desk.exchange(&code, VERIFIER, REDIRECT).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(
        desk.usage(&grant).await.status(),
        StatusCode::UNAUTHORIZED,
        "what a replayed code bought is taken back"
    );
}

#[tokio::test]
async fn the_authorize_page_sends_only_known_clients_anywhere() {
    let desk = Desk::new().await;
    for change in [
        ("client_id", Some("app_other")),
        ("redirect_uri", Some("http://127.0.0.1:1456/auth/callback")),
        ("redirect_uri", Some("https://evil.test/auth/callback")),
        ("redirect_uri", None),
    ] {
        let answer = desk.http.get(desk.authorize_url(&[change])).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
        assert!(answer.headers().get("location").is_none());
    }
    for (change, error) in [
        (("code_challenge_method", Some("plain")), "invalid_request"),
        (("code_challenge", None), "invalid_request"),
        (("code_challenge", Some("short")), "invalid_request"),
        (("state", None), "invalid_request"),
        (("response_type", Some("token")), "unsupported_response_type"),
        (("scope", Some("openid")), "invalid_scope"),
    ] {
        let back = desk.authorize(&[change]).await;
        assert_eq!(value(&back, "error").as_deref(), Some(error), "{change:?}");
        assert_eq!(value(&back, "code"), None);
    }
}

#[tokio::test]
async fn a_person_can_approve_or_deny_and_sees_escaped_text() {
    let desk = Desk::new().await;
    for (decision, member) in [("approve", "code"), ("deny", "error")] {
        let answer = desk.http.get(desk.authorize_url(&[])).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(
            answer.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .contains("default-src 'none'")
        );
        let page = answer.text().await.unwrap();
        assert!(page.contains("&lt;b&gt;valetkey") && !page.contains("<b>valetkey"));
        let handle =
            page.split("name=\"request\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = [("request", handle), ("decision", decision)];
        let click = || desk.http.post(desk.at("/oauth/authorize")).form(&form).send();
        let back = pairs(click().await.unwrap().headers()["location"].to_str().unwrap());
        assert!(value(&back, member).is_some(), "{back:?}");
        assert_eq!(value(&back, "state").as_deref(), Some("st&te"));
        assert_eq!(
            click().await.unwrap().status(),
            StatusCode::BAD_REQUEST,
            "a page is good for one decision"
        );
    }
    desk.http.get(desk.authorize_url(&[])).send().await.unwrap();
    let url = desk.lever("approve", json!({"state": "st&te"})).await["redirect_url"].clone();
    let code = value(&pairs(url.as_str().unwrap()), "code").unwrap();
    assert_eq!(desk.exchange(&code, VERIFIER, REDIRECT).await.0, StatusCode::OK);
}

async fn start_device(desk: &Desk) -> Value {
    let body = json!({"client_id": CODEX_CLIENT_ID});
    let answer = desk.post("/api/accounts/deviceauth/usercode", body).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

async fn poll(desk: &Desk, start: &Value) -> (StatusCode, Value) {
    let body = json!({"device_auth_id": start["device_auth_id"], "user_code": start["user_code"]});
    let answer = desk.post("/api/accounts/deviceauth/token", body).await;
    (answer.status(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_device_login_waits_for_its_person_and_minds_the_interval() {
    let desk = Desk::new().await;
    desk.lever("settings", json!({"interval": "60"})).await;
    let start = start_device(&desk).await;
    assert_eq!(start["interval"], "60");
    assert_eq!(poll(&desk, &start).await.0, StatusCode::FORBIDDEN);
    assert_eq!(poll(&desk, &start).await.0, StatusCode::TOO_MANY_REQUESTS);
    desk.clock.jump(60_000);
    assert_eq!(poll(&desk, &start).await.0, StatusCode::FORBIDDEN);
    assert_eq!(desk.stats().await["polls_too_fast"], 1);

    let typed = start["user_code"].as_str().unwrap().to_lowercase().replace('-', "");
    let form =
        |decision: &'static str| [("user_code", typed.clone()), ("decision", decision.into())];
    let submit = |decision| desk.http.post(desk.at("/codex/device")).form(&form(decision)).send();
    assert!(submit("").await.unwrap().text().await.unwrap().contains("Is this you?"));
    assert!(submit("approve").await.unwrap().text().await.unwrap().contains("Signed in"));
    assert_eq!(submit("approve").await.unwrap().status(), StatusCode::BAD_REQUEST);

    desk.clock.jump(60_000);
    let (status, answer) = poll(&desk, &start).await;
    assert_eq!(status, StatusCode::OK);
    let (code, verifier) =
        (answer["authorization_code"].as_str().unwrap(), answer["code_verifier"].as_str().unwrap());
    assert_eq!(answer["code_challenge"], json!(s256(verifier)));
    let (status, grant) = desk.exchange(code, verifier, &desk.at("/deviceauth/callback")).await;
    assert_eq!(status, StatusCode::OK, "{grant}");
    assert_eq!(desk.usage(&grant).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn device_codes_end_are_denied_or_are_switched_off() {
    let desk = Desk::new().await;
    desk.lever("settings", json!({"interval": 7})).await;
    let start = start_device(&desk).await;
    assert_eq!(start["interval"], 7);
    desk.lever("deny", json!({"user_code": start["user_code"]})).await;
    assert_eq!(poll(&desk, &start).await.0, StatusCode::BAD_REQUEST);
    let start = start_device(&desk).await;
    desk.clock.jump(15 * 60_000);
    assert_eq!(poll(&desk, &start).await.0, StatusCode::NOT_FOUND);
    let late = desk.post("/_sandbox/approve", json!({"user_code": start["user_code"]})).await;
    assert_eq!(late.status(), StatusCode::NOT_FOUND);
    desk.lever("settings", json!({"device_enabled": false})).await;
    let body = json!({"client_id": CODEX_CLIENT_ID});
    let answer = desk.post("/api/accounts/deviceauth/usercode", body).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

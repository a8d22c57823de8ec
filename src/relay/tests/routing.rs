//! Where requests go: asked once a login, followed to the letter, or else nowhere.

use super::*;
use crate::relay::routing::{Route, RouteError, Routing};

async fn route(house: &House, routing: &Routing) -> Result<Route, RouteError> {
    routing.route(&house.vendor(), &house.login, &house.named, &house.clock).await
}

#[tokio::test]
async fn an_account_without_constraints_is_asked_about_once_a_login() {
    let house = House::signed_in().await;
    let routing = Routing::default();
    let (first, second) = tokio::join!(route(&house, &routing), route(&house, &routing));
    let first = first.unwrap();
    assert_eq!(first.api_base, house.vendor().config().api_base);
    assert_eq!(first.override_header, None);
    assert_eq!(second.unwrap(), first);
    house.jump(60 * MINUTE);
    assert_eq!(route(&house, &routing).await.unwrap(), first);
    assert_eq!(house.asked("accounts").await, 1);
    let account = house.endpoint("accounts").await["last_headers"]["chatgpt-account-id"].clone();
    assert_eq!(account, "7c1d3f8e-5a0b-4c7e-9f51-2b6d8e0a4c33");
    let url = house.vendor().responses_url(&first.api_base);
    assert_eq!(url.as_str(), format!("{}/backend-api/codex/responses", house.url));
    // The next login is another one, whoever it is for.
    house.sign_in().await;
    route(&house, &routing).await.unwrap();
    assert_eq!(house.asked("accounts").await, 2);
    routing.forget(&house.named);
    route(&house, &routing).await.unwrap();
    assert_eq!(house.asked("accounts").await, 3);
}

#[tokio::test]
async fn another_origin_and_a_region_are_honoured() {
    let house = House::signed_in().await;
    let there = json!({"workspace_backend_origin": "https://eu.example.test", "account_routing_override": "us_cr"});
    house.settings(there).await;
    let told = route(&house, &Routing::default()).await.unwrap();
    assert_eq!(told.api_base.as_str(), "https://eu.example.test/backend-api");
    assert_eq!(told.override_header.as_deref(), Some("us_cr"));
    // A stand-in has no other origin than its own.
    house.settings(json!({"workspace_backend_origin": house.url})).await;
    let told = route(&house, &Routing::default()).await.unwrap();
    assert_eq!(told.api_base, house.vendor().config().api_base);
}

#[tokio::test]
async fn what_cannot_be_followed_stops_everything_and_is_asked_again_after_a_minute() {
    let house = House::signed_in().await;
    let routing = Routing::default();
    house.settings(json!({"workspace_backend_origin": "http://eu.example.test"})).await;
    for _ in 0..2 {
        let error = route(&house, &routing).await.unwrap_err();
        assert!(
            matches!(error, RouteError::Unusable(_)) && error.to_string().contains("https"),
            "{error}"
        );
    }
    assert_eq!(house.asked("accounts").await, 1);
    house.settings(json!({"workspace_backend_origin": "NO_CONSTRAINT"})).await;
    assert!(route(&house, &routing).await.is_err());
    house.jump(MINUTE);
    assert!(route(&house, &routing).await.is_ok());
    assert_eq!(house.asked("accounts").await, 2);
}

#[tokio::test]
async fn a_refusal_is_told_with_the_words_of_the_api_and_not_repeated_at_once() {
    let house = House::signed_in().await;
    let routing = Routing::default();
    house.fault(json!({"on": "accounts", "times": 0, "status": 403, "body": {"detail": "no such workspace"}})).await;
    for _ in 0..2 {
        let error = route(&house, &routing).await.unwrap_err();
        let RouteError::Refused { status: 403, body, .. } = &error else { panic!("{error:?}") };
        assert!(body.contains("no such workspace"), "{body}");
    }
    assert_eq!(house.asked("accounts").await, 1);
}

#[tokio::test]
async fn trouble_is_not_remembered() {
    let mut house = House::signed_in().await;
    let routing = Routing::default();
    house
        .fault(json!([{"on": "accounts", "status": 502}, {"on": "accounts", "drop": "before"}]))
        .await;
    for _ in 0..2 {
        let error = route(&house, &routing).await.unwrap_err();
        assert!(matches!(error, RouteError::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }
    assert!(route(&house, &routing).await.is_ok());
    // What was settled holds, even when nobody could be asked any more.
    house.cut_off().await;
    assert!(route(&house, &routing).await.is_ok());
    let error = route(&house, &Routing::default()).await.unwrap_err();
    assert!(matches!(error, RouteError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn callers_share_the_one_question_and_its_failure() {
    let house = House::signed_in().await;
    let routing = Routing::default();
    house.fault(json!({"on": "accounts", "status": 503, "latency_ms": 50})).await;
    let (a, b, c) =
        tokio::join!(route(&house, &routing), route(&house, &routing), route(&house, &routing));
    assert!(a.is_err() && b.is_err() && c.is_err(), "{a:?} {b:?} {c:?}");
    assert_eq!(house.asked("accounts").await, 1);
}

#[tokio::test]
async fn an_api_without_the_page_constrains_nothing() {
    let house = House::signed_in().await;
    house.fault(json!({"on": "accounts", "status": 404, "body": "<html>"})).await;
    let told = route(&house, &Routing::default()).await.unwrap();
    assert_eq!(told.api_base, house.vendor().config().api_base);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_renewed_once() {
    let house = House::signed_in().await;
    house.lever("revoke_access", json!({})).await;
    assert!(route(&house, &Routing::default()).await.is_ok());
    assert_eq!((house.asked("accounts").await, house.asked("refresh").await), (2, 1));
    house.fault(json!({"on": "accounts", "times": 0, "status": 401})).await;
    let error = route(&house, &Routing::default()).await.unwrap_err();
    assert!(matches!(error, RouteError::Refused { status: 401, .. }), "{error:?}");
    assert_eq!(house.asked("accounts").await, 4);
}

#[tokio::test]
async fn who_is_not_signed_in_is_told_so() {
    let house = House::signed_out().await;
    let error = route(&house, &Routing::default()).await.unwrap_err();
    assert!(matches!(error, RouteError::Login(_)), "{error:?}");
    assert_eq!(house.asked("accounts").await, 0);
}

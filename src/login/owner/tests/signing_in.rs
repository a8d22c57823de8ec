//! Codes that are typed, or not, or elsewhere; the owner hears only of those that come to something.

use super::super::super::directory::Named;
use super::super::super::pending::{Begun, Way};
use super::*;

fn user_code(begun: &Begun) -> String {
    match &begun.way {
        Way::Device { user_code, .. } => user_code.clone(),
        Way::Browser { .. } => panic!("not a code"),
    }
}

/// A login with a code that nobody has typed yet.
async fn begun() -> (House, Open, Begun) {
    let house = House::new(HOUR).await;
    let open = house.open().await;
    house.lever("settings", json!({"approve": false, "interval": "1"})).await;
    let begun = begin(&open, "default").await.unwrap();
    (house, open, begun)
}

async fn begin(open: &Open, account: &str) -> Result<Begun, LoginError> {
    let named = Named { vendor: "sandbox".into(), account: account.into() };
    let aim = open.logins.aim(&named, false).await.unwrap();
    open.logins.pending().begin_device(aim).await
}

#[tokio::test]
async fn the_issuer_is_never_asked_faster_than_it_allows_however_often_clients_ask() {
    let (house, open, begun) = begun().await;
    assert_eq!(begun.interval, SECOND);
    for polls in 1..=5 {
        for _ in 0..50 {
            let (_, progress) = open.logins.pending().poll(&begun.login_id).unwrap();
            assert_eq!(progress.login, LoginProgress::Pending);
        }
        house.jump(SECOND);
        house.wait(&format!("on=device_token&answered={polls}")).await;
    }
    house.lever("approve", json!({"user_code": user_code(&begun)})).await;
    assert_eq!(house.follow(&open, &begun.login_id).await.login, LoginProgress::Complete);
    assert_eq!(house.stat("polls_too_fast").await, 0);
    // A terminal answer repeats for as long as the handle lives.
    house.jump(5 * MINUTE);
    let (login, progress) = open.logins.pending().poll(&begun.login_id).unwrap();
    assert_eq!((progress.login, login.status().state), (LoginProgress::Complete, State::Active));
}

#[tokio::test]
async fn an_issuer_that_finds_us_too_fast_is_asked_less_often() {
    let (house, open, begun) = begun().await;
    house.fault(json!({"on": "device_token", "status": 429})).await;
    tokio::task::yield_now().await;
    house.jump(SECOND);
    house.wait("on=device_token&answered=1").await;
    house.pause(&open.login).await;
    house.jump(5 * SECOND);
    house.pause(&open.login).await;
    assert_eq!(house.stat("device_polls").await, 1, "five seconds on top of the one");
    house.lever("approve", json!({"user_code": user_code(&begun)})).await;
    assert_eq!(house.follow(&open, &begun.login_id).await.login, LoginProgress::Complete);
}

#[tokio::test]
async fn a_network_that_comes_and_goes_does_not_cost_the_code_being_typed() {
    let (house, open, begun) = begun().await;
    house
        .fault(json!([
            {"on": "device_token", "drop": "before"},
            {"on": "device_token", "status": 502, "body": "<html>bad gateway</html>"},
            {"on": "device_token", "status": 404},
        ]))
        .await;
    house.lever("approve", json!({"user_code": user_code(&begun)})).await;
    assert_eq!(house.follow(&open, &begun.login_id).await.login, LoginProgress::Complete);
    assert_eq!(house.stat("device_polls").await, 4);
}

#[tokio::test]
async fn a_code_that_nobody_types_expires_and_its_handle_with_it() {
    let (house, open, begun) = begun().await;
    let mut waiting = tokio::spawn({
        let (pending, id) = (open.logins.pending().clone(), begun.login_id.clone());
        async move { pending.wait(&id, None).await }
    });
    house.pause(&open.login).await;
    house.jump(14 * MINUTE);
    house.wait("on=device_token&answered=1").await;
    assert!(open.logins.pending().poll(&begun.login_id).is_ok());
    house.jump(MINUTE);
    let waited = tokio::time::timeout(LONG, &mut waiting).await.expect("it ends").unwrap();
    assert_eq!(waited.unwrap().1.login, LoginProgress::Expired);
    assert!(matches!(open.logins.pending().poll(&begun.login_id), Err(LoginError::NotFound)));
    // What was under way at the end arrives yet.
    house.pause(&open.login).await;
    let before = house.stat("device_polls").await;
    house.jump(HOUR);
    house.pause(&open.login).await;
    assert_eq!(house.stat("device_polls").await, before, "nobody asks any more");
}

#[tokio::test]
async fn a_refusal_by_the_person_and_a_switch_that_is_off_are_told() {
    let (house, open, begun) = begun().await;
    house.lever("deny", json!({"user_code": user_code(&begun)})).await;
    let progress = house.follow(&open, &begun.login_id).await;
    assert_eq!(progress.login, LoginProgress::Failed);
    assert!(
        matches!(progress.error, Some(LoginError::Refused { reason, .. }) if reason == "access_denied")
    );
    house.lever("settings", json!({"device_enabled": false})).await;
    assert!(matches!(begin(&open, "default").await, Err(LoginError::DeviceLoginOff)));
}

#[tokio::test]
async fn a_cancelled_code_may_be_typed_and_nothing_comes_of_it() {
    let (house, open, begun) = begun().await;
    let (_, progress) = open.logins.pending().cancel(&begun.login_id).unwrap();
    assert_eq!(progress.login, LoginProgress::Cancelled);
    house.lever("approve", json!({"user_code": user_code(&begun)})).await;
    house.jump(MINUTE);
    house.pause(&open.login).await;
    let (login, progress) = open.logins.pending().cancel(&begun.login_id).unwrap();
    assert_eq!(
        (progress.login, login.status().state),
        (LoginProgress::Cancelled, State::SignedOut)
    );
    assert_eq!(house.stat("code_exchanges").await, 0);
}

#[tokio::test]
async fn handles_are_bounded_and_ended_ones_make_place() {
    let (house, open, first) = begun().await;
    for n in 1..64 {
        begin(&open, &format!("a{n}")).await.unwrap();
    }
    assert!(matches!(begin(&open, "one-more").await, Err(LoginError::Overloaded)));
    open.logins.pending().cancel(&first.login_id).unwrap();
    let last = begin(&open, "one-more").await.unwrap();
    assert!(matches!(open.logins.pending().poll(&first.login_id), Err(LoginError::NotFound)));
    house.lever("approve", json!({"user_code": user_code(&last)})).await;
    assert_eq!(house.follow(&open, &last.login_id).await.login, LoginProgress::Complete);
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_or_with_a_strangers_signature_is_no_login() {
    for fault in [
        json!({"on": "token", "omit": ["refresh_token"]}),
        json!({"on": "token", "omit": ["access_token"]}),
        json!({"on": "token", "wrong_key": true}),
        json!({"on": "token", "wrong_issuer": "https://evil.example"}),
    ] {
        let (house, open, begun) = begun().await;
        house.fault(fault.clone()).await;
        house.lever("approve", json!({"user_code": user_code(&begun)})).await;
        let progress = house.follow(&open, &begun.login_id).await;
        assert!(
            matches!(progress.error, Some(LoginError::Unbelievable(_))),
            "{fault}: {progress:?}"
        );
        assert_eq!((open.login.status().state, house.files().len()), (State::SignedOut, 0));
        if !fault["omit"].as_array().is_some_and(|omit| omit.contains(&json!("refresh_token"))) {
            house.wait("on=revoke&answered=1").await;
            assert_eq!(house.stats().await["families"]["alive"], 0, "{fault}");
        }
    }
}

//! What the issuer answers is kept first and believed only after a look at it.

use super::*;

/// Meets one refresh with a twisted answer.
async fn twisted(fault: Value) -> (House, Open, Status) {
    let (house, open) = House::signed_in(HOUR).await;
    let mut whole = fault;
    whole["on"] = json!("refresh");
    house.fault(whole).await;
    house.jump_to_plan(&open.login);
    let status = until(&open.login, |s| s.state == State::LoginRequired).await;
    (house, open, status)
}

#[tokio::test]
async fn an_answer_for_another_account_is_kept_aside_and_the_old_token_never_shown_again() {
    let (house, open, status) = twisted(json!({"wrong_account": "somebody-else"})).await;
    assert_eq!(reason(&status), "account_mismatch");
    assert_ne!(status.account_id.as_deref(), Some("somebody-else"));
    assert_eq!(
        open.login.lend(USUAL).await.unwrap().generation,
        1,
        "the old one lives out its time"
    );
    assert!(
        house.files().iter().any(|f| f.starts_with("sandbox.json.quarantined-")),
        "{:?}",
        house.files()
    );
    open.close().await;

    let open = house.open().await;
    assert_eq!(reason(&open.login.status()), "account_mismatch");
    house.jump(DAY);
    house.pause(&open.login).await;
    assert!(matches!(open.login.lend(USUAL).await, Err(LoginError::LoginRequired { .. })));
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn answers_that_were_not_signed_by_the_issuer_are_kept_aside() {
    for fault in [
        json!({"wrong_key": true}),
        json!({"wrong_key": true, "borrow_kid": true}),
        json!({"algorithm": "none"}),
        json!({"algorithm": "HS256"}),
        json!({"wrong_issuer": "https://evil.example"}),
    ] {
        let (house, open, status) = twisted(fault.clone()).await;
        assert_eq!(reason(&status), "unbelievable_token", "{fault}");
        assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1, "{fault}");
        house.jump(DAY);
        assert!(open.login.lend(USUAL).await.is_err(), "{fault}");
        assert_eq!(house.asked().await, 1, "{fault}");
        open.close().await;
    }
}

/// A refresh whose new key cannot be fetched.
async fn unchecked() -> (House, Open) {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("rotate_keys", json!({"keep": true})).await;
    house.fault(json!({"on": "jwks", "status": 503, "times": 0})).await;
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
    (house, open)
}

#[tokio::test]
async fn keys_out_of_reach_keep_nobody_waiting_and_are_asked_for_again() {
    let (house, open) = unchecked().await;
    assert_eq!(open.login.status().state, State::Active);
    assert!(open.login.status().account_id.is_some(), "known from before");
    assert!(!open.record(&house).verified);
    house.clear_faults().await;
    house.jump(MINUTE);
    checked(&house, &open).await;
    assert_eq!(house.asked().await, 1);
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
}

#[tokio::test]
async fn keys_out_of_reach_are_no_reason_to_disbelieve_the_next_token() {
    let (_house, open) = unchecked().await;
    // Within the minute in which a known key set would not be asked for again.
    assert_eq!(open.login.reject(2, USUAL).await.unwrap().generation, 3);
    assert_eq!(open.login.status().state, State::Active);
}

#[tokio::test]
async fn an_issuer_that_changes_its_keys_again_and_again_costs_no_login() {
    let (house, open) = House::signed_in(HOUR).await;
    for generation in 1..=5 {
        house.lever("rotate_keys", json!({"keep": false})).await;
        let lent = open.login.reject(generation, USUAL).await.unwrap();
        assert_eq!((lent.generation, open.login.status().state), (generation + 1, State::Active));
    }
    assert!(house.stat("jwks_requests").await <= 3, "an unknown key is looked for once a minute");
    house.jump(MINUTE + SECOND);
    checked(&house, &open).await;
}

#[tokio::test]
async fn a_token_is_checked_again_although_refreshing_has_to_wait() {
    let (house, open) = unchecked().await;
    house.fault(json!({"on": "refresh", "status": 503, "headers": {"retry-after": "1800"}})).await;
    assert_eq!(open.login.reject(2, USUAL).await.unwrap().generation, 2);
    let before = house.stat("jwks_requests").await;
    house.jump(MINUTE + SECOND);
    house.wait(&format!("on=jwks&answered={}", before + 1)).await;
    house.clear_faults().await;
    house.jump(MINUTE + SECOND);
    checked(&house, &open).await;
    assert_eq!(house.asked().await, 2);
}

#[tokio::test]
async fn a_rogue_token_lent_while_keys_were_out_of_reach_is_withdrawn() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!([{"on": "refresh", "wrong_key": true}, {"on": "jwks", "status": 503}])).await;
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
    house.jump(MINUTE + SECOND);
    let status = until(&open.login, |s| s.state == State::LoginRequired).await;
    assert_eq!(reason(&status), "unbelievable_token");
    assert!(open.login.lend(Duration::ZERO).await.is_err());
}

#[tokio::test]
async fn a_token_that_was_never_checked_is_checked_at_the_next_start() {
    let (house, open) = unchecked().await;
    open.close().await;
    house.clear_faults().await;
    let open = house.open().await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
    assert!(open.record(&house).verified);
}

#[tokio::test]
async fn a_token_that_ended_before_it_could_be_checked_is_no_forgery() {
    let (house, open) = unchecked().await;
    house.jump(DAY);
    let lent = open.login.lend(USUAL).await.unwrap();
    assert_eq!((lent.generation, open.login.status().state), (3, State::Active));
    house.clear_faults().await;
    open.close().await;
    house.jump(DAY);
    let open = house.open().await;
    let lent = open.login.lend(USUAL).await.unwrap();
    assert_eq!((lent.generation, open.login.status().state), (4, State::Active));
    checked(&house, &open).await;
}

#[tokio::test]
async fn a_token_that_ends_while_it_is_being_checked_is_no_forgery() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("rotate_keys", json!({"keep": true})).await;
    house.fault(json!({"on": "jwks", "stall": true})).await;
    house.jump_to_plan(&open.login);
    house.wait("on=jwks&in_flight=1").await;
    let waiter = tokio::spawn({
        let login = open.login.clone();
        async move { login.lend(365 * DAY).await }
    });
    house.pause(&open.login).await;
    house.jump(DAY);
    house.clear_faults().await;
    assert_eq!(waiter.await.unwrap().expect("served by the next one").generation, 3);
    checked(&house, &open).await;
    assert_eq!(house.files(), ["sandbox.json"]);
}

#[tokio::test]
async fn a_refresh_cut_off_after_an_unchecked_one_is_not_repeated_at_the_next_start() {
    let (house, open) = unchecked().await;
    house.fault(json!({"on": "refresh", "drop": "after"})).await;
    house.jump_to_plan(&open.login);
    until(&open.login, |s| s.state == State::Degraded).await;
    open.close().await;
    let open = house.open().await;
    until_generation(&open.login, 2).await;
    let status = open.login.status();
    assert_eq!(reason(&status), "outcome_unknown");
    house.jump(5 * SECOND);
    house.pause(&open.login).await;
    assert_eq!((house.asked().await, house.stat("reuse_detected").await), (2, 0));
}

#[tokio::test]
async fn what_an_answer_leaves_out_stays_as_it_was() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("settings", json!({"rotate": false})).await;
    let before = open.login.status();
    for (n, omitted) in [
        json!(["refresh_token"]),
        json!(["id_token", "scope", "token_type"]),
        json!(["expires_in"]),
        json!(["refresh_token", "id_token", "expires_in"]),
    ]
    .into_iter()
    .enumerate()
    {
        house.fault(json!({"on": "refresh", "omit": omitted})).await;
        house.jump_to_plan(&open.login);
        let lent = until_generation(&open.login, n as u64 + 2).await;
        let life = lent.expires_at.since(lent.issued_at);
        assert!((HOUR - 2 * SECOND..=HOUR).contains(&life), "{omitted}: {life:?}");
        let status = open.login.status();
        assert_eq!(
            (&status.account_email, &status.account_id, &status.plan),
            (&before.account_email, &before.account_id, &before.plan)
        );
    }
    assert_eq!(house.asked().await, 4);
}

#[tokio::test]
async fn an_answer_without_an_access_token_keeps_the_old_one_and_is_not_asked_for_in_a_loop() {
    let (house, open) = House::signed_in(HOUR).await;
    let before = open.login.try_lend(USUAL).unwrap();
    house.fault(json!({"on": "refresh", "omit": ["access_token"]})).await;
    let signed_in_at = open.login.status().last_refresh_at;
    house.jump_to_plan(&open.login);
    until(&open.login, |s| s.last_refresh_at > signed_in_at).await;
    let lent = open.login.lend(USUAL).await.unwrap();
    assert!(lent.access_token.matches(before.access_token.expose()));
    assert_eq!(lent.expires_at, before.expires_at);
    house.jump(MINUTE);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
    house.jump_to_plan(&open.login);
    let lent = until_generation(&open.login, 3).await;
    assert!(!lent.access_token.matches(before.access_token.expose()));
}

#[tokio::test]
async fn a_token_ends_by_our_clock_where_the_issuers_is_wrong() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("settings", json!({"date_skew_secs": 1800})).await;
    house.fault(json!({"on": "refresh", "omit": ["expires_in"]})).await;
    house.jump_to_plan(&open.login);
    let lent = until_generation(&open.login, 2).await;
    // The sandbox's tokens follow its clock, only its `Date` is ahead: so the token seems to end early.
    let life = lent.expires_at.since(lent.issued_at);
    assert!(life.abs_diff(HOUR / 2) < 5 * SECOND, "{life:?}");
}

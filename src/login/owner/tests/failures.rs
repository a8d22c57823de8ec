//! What an issuer can do to a refresh, and that none of it costs more than it must.

use super::*;

#[tokio::test]
async fn a_living_token_is_lent_while_refreshing_fails_and_retry_after_is_honoured() {
    let (house, open) = House::signed_in(HOUR).await;
    house
        .fault(
            json!({"on": "refresh", "status": 429, "times": 0, "headers": {"retry-after": "300"}}),
        )
        .await;
    house.jump_to_plan(&open.login);
    let status = until(&open.login, |s| s.state == State::Degraded).await;
    assert_eq!(reason(&status), "refresh_failed");
    assert!(open.login.status().connected);
    assert!(open.login.lend(USUAL).await.is_ok());
    let left = status.refresh_at.unwrap().since(house.clock.now());
    assert!((298 * SECOND..=300 * SECOND).contains(&left), "{left:?}");

    house.jump(290 * SECOND);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1, "not before it said");
    house.jump(10 * SECOND);
    house.wait("on=refresh&answered=2").await;
    house.clear_faults().await;
    until(&open.login, |s| s.refresh_at.unwrap() > house.clock.now()).await;
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
    assert_eq!(open.login.status().last_error, None);
}

#[tokio::test]
async fn without_a_word_from_the_issuer_pauses_double() {
    let (house, open) = House::signed_in(10 * DAY).await;
    house.fault(json!({"on": "refresh", "status": 503, "times": 0})).await;
    house.jump_to_plan(&open.login);
    let mut pauses = Vec::new();
    for attempt in 1..=8 {
        house.wait(&format!("on=refresh&answered={attempt}")).await;
        let now = house.clock.now();
        let status =
            until(&open.login, |s| s.state == State::Degraded && s.refresh_at.unwrap() > now).await;
        pauses.push(status.refresh_at.unwrap().since(status.last_error.unwrap().at).as_millis());
        house.jump_to_plan(&open.login);
    }
    for (n, pause) in pauses.iter().enumerate() {
        let doubled = 1000 << n;
        assert!((doubled * 3 / 4..=doubled).contains(&(*pause).max(1000)), "{pauses:?}");
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_not_asked_about_before_half_of_what_was_left_has_passed() {
    for fault in [
        json!({"drop": "before"}),
        json!({"drop": "after"}),
        json!({"status": 500}),
        json!({"status": 502, "work": true}),
        json!({"status": 408}),
        json!({"truncate": 20}),
        json!({"status": 200, "body": "<html>Please sign in to the hotel's network</html>"}),
        json!({"status": 200, "body": "{\"ok\":true}"}),
    ] {
        let (house, open) = House::signed_in(HOUR).await;
        let mut whole = fault.clone();
        whole["on"] = json!("refresh");
        house.fault(whole).await;
        house.jump_to_plan(&open.login);
        let status = until(&open.login, |s| s.state == State::Degraded).await;
        assert_eq!(reason(&status), "outcome_unknown", "{fault}");
        let (now, end) = (house.clock.now(), status.expires_at.unwrap());
        let (pause, half) = (status.refresh_at.unwrap().since(now), end.since(now) / 2);
        assert!(pause <= half && half - pause < 5 * SECOND, "{fault}: {pause:?} of {half:?}");

        assert!(callers(&open.login, 100, USUAL).await.iter().all(Result::is_ok), "{fault}");
        house.jump_to(status.refresh_at.unwrap().minus(20 * SECOND));
        assert!(open.login.lend(USUAL).await.is_ok());
        house.pause(&open.login).await;
        assert_eq!(house.asked().await, 1, "{fault}");
        open.close().await;
    }
}

#[tokio::test]
async fn while_the_token_lives_an_unknown_outcome_is_tried_six_times_and_then_at_its_end() {
    let (house, open) = House::signed_in(10 * DAY).await;
    house.fault(json!({"on": "refresh", "status": 500, "times": 6})).await;
    let mut gaps = Vec::new();
    for attempt in 1..=6 {
        house.jump_to_plan(&open.login);
        house.wait(&format!("on=refresh&answered={attempt}")).await;
        let now = house.clock.now();
        let status = until(&open.login, |s| s.refresh_at.unwrap() > now).await;
        gaps.push((status.expires_at.unwrap().since(now), status.refresh_at.unwrap().since(now)));
    }
    let (left, last) = gaps.pop().unwrap();
    assert!(
        left > 10 * MINUTE && left.abs_diff(last) < 5 * SECOND,
        "at its end: {left:?}, {last:?}"
    );
    for (left, gap) in gaps {
        assert!((left / 2).abs_diff(gap) < 5 * SECOND, "half of {left:?} is not {gap:?}");
    }
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
    assert_eq!(house.asked().await, 7);
}

#[tokio::test]
async fn an_unknown_outcome_of_a_dead_token_is_tried_again_soon() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "drop": "before"})).await;
    house.jump(2 * HOUR);
    match open.login.lend(USUAL).await {
        Err(LoginError::Unreachable { retry_after, .. }) => assert!(retry_after <= 2 * SECOND),
        other => panic!("{other:?}"),
    }
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
    assert_eq!(house.asked().await, 2);
}

#[tokio::test]
async fn a_lost_answer_costs_the_login_only_near_the_tokens_end() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "drop": "after"})).await;
    house.jump_to_plan(&open.login);
    let status = until(&open.login, |s| s.state == State::Degraded).await;
    // The sandbox, as the real issuer, ends the whole family at the second showing: it is put off.
    house.jump_to(status.refresh_at.unwrap().minus(10 * SECOND));
    assert!(open.login.lend(USUAL).await.is_ok());
    assert_eq!(house.stat("reuse_detected").await, 0);
    house.jump(10 * SECOND);
    let status = until(&open.login, |s| s.state == State::LoginRequired).await;
    assert_eq!(reason(&status), "refresh_token_reused");
    assert_eq!(house.stat("reuse_detected").await, 1);
    assert!(open.login.lend(USUAL).await.is_ok(), "the access token still lives");
    house.jump_to(status.expires_at.unwrap());
    house.pause(&open.login).await;
    assert!(matches!(open.login.lend(USUAL).await, Err(LoginError::LoginRequired { .. })));
    assert_eq!(house.asked().await, 2);
}

#[tokio::test]
async fn a_final_refusal_is_asked_for_once_remembered_and_lent_through() {
    for (status, code) in [
        (400, "invalid_grant"),
        (401, "refresh_token_expired"),
        (401, "refresh_token_reused"),
        (503, "refresh_token_invalidated"),
        (401, "token_expired"),
    ] {
        let (house, open) = House::signed_in(HOUR).await;
        let body = json!({"error": {"code": code, "message": "Please sign in again."}});
        house.fault(json!({"on": "refresh", "status": status, "body": body})).await;
        house.jump_to_plan(&open.login);
        let status = until(&open.login, |s| s.state == State::LoginRequired).await;
        assert_eq!(reason(&status), code);
        assert_eq!(status.refresh_at, None);
        open.close().await;

        let open = house.open().await;
        let status = open.login.status();
        assert_eq!((status.state, reason(&status)), (State::LoginRequired, code));
        assert!(status.connected);
        assert!(open.login.lend(365 * DAY).await.is_ok(), "lent until its end");
        house.jump_to(status.expires_at.unwrap());
        assert!(!open.login.status().connected);
        match open.login.lend(USUAL).await {
            Err(LoginError::LoginRequired { problem }) => assert_eq!(problem.unwrap().reason, code),
            other => panic!("{other:?}"),
        }
        house.jump(DAY);
        house.pause(&open.login).await;
        assert_eq!(house.asked().await, 1, "{code} was asked for again");
        open.close().await;
    }
}

#[tokio::test]
async fn after_a_final_refusal_a_rejected_token_is_lent_no_more() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("revoke_family", json!({})).await;
    assert!(matches!(open.login.reject(1, USUAL).await, Ok(lent) if lent.generation == 1));
    assert_eq!(open.login.status().state, State::LoginRequired);
    assert!(open.login.status().connected);
    let refused = open.login.reject(1, USUAL).await;
    assert!(matches!(refused, Err(LoginError::LoginRequired { .. })), "{refused:?}");
    assert!(!open.login.status().connected);
    assert!(open.login.lend(Duration::ZERO).await.is_err());
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_harmless() {
    let (house, open) = House::signed_in(HOUR).await;
    let House { sandbox, clock, home, http: _ } = house;
    sandbox.stop().await;
    let plan = open.login.status().refresh_at.unwrap();
    clock.jump(i64::try_from(plan.since(clock.now()).as_millis()).unwrap());
    let status = until(&open.login, |s| s.state == State::Degraded).await;
    assert_eq!(reason(&status), "refresh_failed");
    assert!(open.login.lend(USUAL).await.is_ok());
    assert!(!home.path().join("data/credentials/sandbox.spare").exists(), "no mark stands");
}

//! A login ends, another begins, a setting changes: nothing of the one reaches into the other.

use super::super::super::directory::Named;
use super::*;

fn named() -> Named {
    Named { vendor: "sandbox".into(), account: "default".into() }
}

/// A refresh whose answer takes a minute of the issuer's clock, the work being done.
async fn late_answer(house: &House, open: &Open) {
    house.fault(json!({"on": "refresh", "answer_latency_ms": 60_000})).await;
    house.jump_to_plan(&open.login);
    house.wait("on=refresh&in_flight=1").await;
    let done = || async { while house.stat("refreshes").await == 0 {} };
    tokio::time::timeout(LONG, done()).await.expect("the work is done");
}

#[tokio::test]
async fn the_answer_that_comes_after_a_logout_is_dropped_and_revoked() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "revoke", "drop": "before"})).await;
    late_answer(&house, &open).await;
    let waiter = tokio::spawn({
        let login = open.login.clone();
        async move { login.lend(365 * DAY).await }
    });
    house.pause(&open.login).await;
    assert!(!open.logins.logout(&named(), true).await.unwrap(), "the issuer did not confirm");
    assert!(matches!(waiter.await.unwrap(), Err(LoginError::LoginRequired { .. })));
    assert_eq!(open.login.status().state, State::SignedOut);
    house.jump(MINUTE);
    house.wait("on=revoke&answered=2").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 0, "revoked": 1}));
    // The spare of the late refresh goes with it.
    let gone = || async {
        while !house.files().is_empty() {
            tokio::time::sleep(SLICE).await
        }
    };
    tokio::time::timeout(LONG, gone()).await.expect("no file is left");
    assert!(open.login.lend(Duration::ZERO).await.is_err());
    assert_eq!(open.login.status().state, State::SignedOut);
}

#[tokio::test]
async fn a_login_overtakes_the_refresh_of_the_one_before_and_serves_its_callers() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    house.jump(2 * HOUR);
    let waiters = tokio::spawn({
        let login = open.login.clone();
        async move { callers(&login, 50, USUAL).await }
    });
    house.wait("on=refresh&in_flight=1").await;
    house.sign_in(&open).await;
    for lent in waiters.await.unwrap() {
        assert_eq!(lent.expect("served by the new login").generation, 2);
    }
    house.wait("on=revoke&answered=1").await;
    house.clear_faults().await;
    house.wait("on=refresh&answered=1").await;
    house.pause(&open.login).await;
    let lent = open.login.lend(USUAL).await.unwrap();
    assert_eq!((lent.generation, open.login.status().state), (2, State::Active));
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 1}));
    assert_eq!(house.files(), ["sandbox.json"]);
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 3).await;
}

#[tokio::test]
async fn a_login_begun_before_a_logout_comes_to_nothing_and_its_grant_is_revoked() {
    let house = House::new(HOUR).await;
    let open = house.open().await;
    house.lever("settings", json!({"interval": "1"})).await;
    house.fault(json!({"on": "token", "answer_latency_ms": 60_000})).await;
    let aim = open.logins.aim(&named(), false).await.unwrap();
    let begun = open.logins.pending().begin_device(aim).await.unwrap();
    let exchanged = || async {
        while house.stat("code_exchanges").await == 0 {
            house.jump(SECOND);
        }
    };
    tokio::time::timeout(LONG, exchanged()).await.expect("the code is exchanged");
    open.logins.logout(&named(), true).await.unwrap();
    house.jump(MINUTE);
    let progress = house.follow(&open, &begun.login_id).await;
    assert_eq!(progress.login, LoginProgress::Cancelled);
    house.wait("on=revoke&answered=1").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 0, "revoked": 1}));
    assert_eq!(open.login.status().state, State::SignedOut);
    assert!(house.files().is_empty(), "{:?}", house.files());
}

#[tokio::test]
async fn of_two_logins_the_later_wins() {
    let house = House::new(HOUR).await;
    let open = house.open().await;
    house.lever("settings", json!({"interval": "1"})).await;
    let aim = open.logins.aim(&named(), false).await.unwrap();
    let first = open.logins.pending().begin_device(aim.clone()).await.unwrap();
    let second = open.logins.pending().begin_device(aim).await.unwrap();
    assert_eq!(house.follow(&open, &first.login_id).await.login, LoginProgress::Cancelled);
    assert_eq!(house.follow(&open, &second.login_id).await.login, LoginProgress::Complete);
    assert_eq!(house.stat("code_exchanges").await, 1);
    assert_eq!(open.login.status().state, State::Active);
}

#[tokio::test]
async fn a_login_of_another_account_is_refused_and_the_one_held_stays() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("settings", json!({"account_id": "somebody-else"})).await;
    let aim = open.logins.aim(&named(), false).await.unwrap();
    let begun = open.logins.pending().begin_device(aim).await.unwrap();
    let progress = house.follow(&open, &begun.login_id).await;
    assert!(matches!(progress.error, Some(LoginError::AccountMismatch { .. })), "{progress:?}");
    house.wait("on=revoke&answered=1").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 1}));
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1);
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
}

#[tokio::test]
async fn a_sign_in_waits_for_keys_that_are_out_of_reach() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("rotate_keys", json!({"keep": false})).await;
    house.fault(json!({"on": "jwks", "status": 503, "times": 3})).await;
    house.sign_in(&open).await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
}

#[tokio::test]
async fn generations_only_grow() {
    let (house, mut open) = House::signed_in(HOUR).await;
    let mut last = 0;
    for round in 0..3 {
        for _ in 0..2 {
            let lent = open.login.lend(USUAL).await.unwrap();
            assert!(lent.generation > last, "{} after {last} in round {round}", lent.generation);
            last = lent.generation;
            house.jump_to_plan(&open.login);
            last = until_generation(&open.login, last + 1).await.generation;
            open.close().await;
            open = house.open().await;
            assert_eq!(
                open.login.lend(USUAL).await.unwrap().generation,
                last,
                "as before the restart"
            );
            open.logins.logout(&named(), true).await.unwrap();
            open.close().await;
            open = house.open().await;
            assert!(open.login.lend(USUAL).await.is_err());
            house.sign_in(&open).await;
        }
    }
}

#[tokio::test]
async fn a_login_of_another_issuer_or_client_is_shown_to_nobody() {
    let (house, open) = House::signed_in(HOUR).await;
    let elsewhere = House::new(HOUR).await;
    for config in [elsewhere.config(), house.config_with("client_id = \"another\"")] {
        open.logins.configure(&config).await;
        let status = until(&open.login, |s| s.state == State::LoginRequired).await;
        assert_eq!(reason(&status), "issuer_changed");
        assert!(!status.connected && open.login.lend(Duration::ZERO).await.is_err());
        house.jump(2 * HOUR);
        house.pause(&open.login).await;
        assert!(open.login.lend(USUAL).await.is_err());
        assert_eq!(house.asked().await, 0);
        assert_eq!(elsewhere.stats().await["endpoints"], json!({}), "nothing was sent there");
        house.jump_back(2 * HOUR);
        open.logins.configure(&house.config()).await;
        until(&open.login, |s| s.state == State::Active).await;
    }
    open.logins.configure(&elsewhere.config()).await;
    open.close().await;
    let open = house.open_with(&elsewhere.config()).await;
    assert_eq!(reason(&open.login.status()), "issuer_changed");
    open.close().await;
    let open = house.open().await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1);
}

#[tokio::test]
async fn a_sign_in_at_another_issuer_shows_it_nothing_of_the_old_login() {
    let (house, open) = House::signed_in(HOUR).await;
    let elsewhere = House::new(HOUR).await;
    open.logins.configure(&elsewhere.config()).await;
    until(&open.login, |s| s.state == State::LoginRequired).await;
    elsewhere.sign_in(&open).await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
    // The next one replaces a login of the same issuer, which is revoked: the only one ever to be.
    elsewhere.sign_in(&open).await;
    elsewhere.wait("on=revoke&answered=1").await;
    assert_eq!(elsewhere.stat("revocations").await, 1);
    assert_eq!(elsewhere.stats().await["endpoints"]["revoke"]["answered"], 1);
    assert_eq!(house.stat("revocations").await, 0, "nobody there is configured to be told");
}

#[tokio::test]
async fn a_setting_that_changes_while_the_issuer_is_asked_does_not_cost_the_answer() {
    let (house, open) = House::signed_in(HOUR).await;
    let elsewhere = House::new(HOUR).await;
    let signed_in_at = open.login.status().last_refresh_at;
    late_answer(&house, &open).await;
    open.logins.configure(&elsewhere.config()).await;
    house.jump(MINUTE);
    let status = until(&open.login, |s| s.last_refresh_at > signed_in_at).await;
    assert_eq!((status.state, reason(&status)), (State::LoginRequired, "issuer_changed"));
    assert_eq!(elsewhere.stats().await["endpoints"], json!({}), "nothing was sent there");
    open.logins.configure(&house.config()).await;
    until(&open.login, |s| s.state == State::Active).await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
    checked(&house, &open).await;
    assert_eq!(house.files(), ["sandbox.json"]);
}

#[tokio::test]
async fn a_vendor_that_left_the_configuration_lends_no_more_and_its_file_stays() {
    let (house, open) = House::signed_in(HOUR).await;
    open.logins.configure(&Config::default()).await;
    assert!(matches!(open.logins.name(Some("sandbox"), None), Err(LoginError::Invalid(_))));
    house.jump(2 * HOUR);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 0);
    assert_eq!(house.files(), ["sandbox.json"]);
    open.close().await;
    // Loaded while its vendor is unknown, and then known again.
    let open = house.open_with(&Config::default()).await;
    open.logins.configure(&house.config()).await;
    let login = open.logins.login(&named()).await.unwrap();
    let lent = login.lend(USUAL).await.unwrap();
    assert!(lent.headers.iter().any(|(name, _)| *name == "Authorization"), "{:?}", lent.generation);
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn a_vendor_that_comes_back_before_the_token_ends_lends_it_with_its_headers() {
    let (house, open) = House::signed_in(HOUR).await;
    open.close().await;
    let open = house.open_with(&Config::default()).await;
    open.logins.configure(&house.config_with("originator = \"renamed\"")).await;
    let login = open.logins.login(&named()).await.unwrap();
    until(&login, |s| s.state == State::Active).await;
    assert!(login.is_alive().await);
    let lent = login.lend(USUAL).await.unwrap();
    assert!(lent.headers.contains(&("originator", "renamed".to_owned())));
    assert_eq!((lent.generation, house.asked().await), (1, 0));
}

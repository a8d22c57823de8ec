//! Renewed ahead of the end, whatever the clock does.

use super::*;

#[tokio::test]
async fn a_ten_day_token_is_renewed_about_a_day_ahead() {
    let (house, open) = House::signed_in(10 * DAY).await;
    let status = open.login.status();
    let ahead = status.expires_at.unwrap().since(status.refresh_at.unwrap());
    assert!((24 * HOUR..=27 * HOUR).contains(&ahead), "{ahead:?}");

    house.jump_to(status.refresh_at.unwrap().minus(MINUTE));
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 0, "too early");
    house.jump(MINUTE);
    let lent = until_generation(&open.login, 2).await;
    assert!(lent.expires_at > status.expires_at.unwrap());
    assert_eq!(house.asked().await, 1);
    assert!(open.login.status().last_refresh_at > status.last_refresh_at);
}

#[tokio::test]
async fn a_one_hour_token_is_renewed_minutes_ahead() {
    let (house, open) = House::signed_in(HOUR).await;
    let status = open.login.status();
    let ahead = status.expires_at.unwrap().since(status.refresh_at.unwrap());
    assert!((12 * MINUTE..=14 * MINUTE).contains(&ahead), "{ahead:?}");
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 2).await;
}

#[tokio::test]
async fn a_laptop_that_slept_eight_hours_renews_by_itself_and_once() {
    let (house, open) = House::signed_in(HOUR).await;
    house.jump(8 * HOUR);
    let lent = until_generation(&open.login, 2).await;
    assert!(lent.expires_at > house.clock.now());
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn over_eight_hours_in_steps_a_living_token_is_always_at_hand() {
    let (house, open) = House::signed_in(HOUR).await;
    for _ in 0..(8 * 60 / 5) {
        house.jump(5 * MINUTE);
        let lent = open.login.try_lend(Duration::ZERO).expect("alive at every step");
        assert!(lent.expires_at > house.clock.now());
        let now = house.clock.now();
        until(&open.login, |s| s.state == State::Active && s.refresh_at.unwrap() > now).await;
    }
    // Each token serves about 47 of its 60 minutes.
    assert!((9..=11).contains(&house.asked().await), "{}", house.asked().await);
}

#[tokio::test]
async fn a_clock_put_right_by_seconds_is_nobodys_business() {
    let (house, open) = House::signed_in(HOUR).await;
    house.jump_back(Duration::from_secs(30));
    house.pause(&open.login).await;
    assert!(open.login.lend(USUAL).await.is_ok());
    assert_eq!(house.asked().await, 0);
}

#[tokio::test]
async fn a_token_that_came_by_a_wrong_clock_is_renewed_once_by_the_right_one() {
    let (house, open) = House::signed_in(HOUR).await;
    house.jump_back(DAY);
    assert!(open.login.lend(USUAL).await.is_ok());
    until_generation(&open.login, 2).await;
    let status = open.login.status();
    assert!(status.expires_at.unwrap().since(house.clock.now()) <= HOUR);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
    house.jump_to_plan(&open.login);
    until_generation(&open.login, 3).await;
    assert_eq!(house.asked().await, 2);
}

#[tokio::test]
async fn a_clock_set_back_while_the_issuer_fails_is_lived_with() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "status": 503, "times": 1})).await;
    house.jump_to_plan(&open.login);
    until(&open.login, |s| s.state == State::Degraded).await;
    house.jump_back(DAY);
    assert!(open.login.lend(USUAL).await.is_ok());
    // A caller whom the API told that the token is dead is not kept waiting by a clock that was wrong.
    let lent = open.login.reject(1, USUAL).await.unwrap();
    assert_eq!((lent.generation, house.asked().await), (2, 2));
    house.jump(DAY);
    house.pause(&open.login).await;
    assert!(open.login.lend(USUAL).await.is_ok());
}

#[tokio::test]
async fn after_a_jump_past_the_end_the_first_caller_is_served_by_one_refresh() {
    let (house, open) = House::signed_in(HOUR).await;
    house.jump(3 * HOUR);
    assert!(open.login.try_lend(Duration::ZERO).is_none(), "the old token is dead");
    let lent = open.login.lend(USUAL).await.unwrap();
    assert_eq!(lent.generation, 2);
    assert!(lent.expires_at > house.clock.now());
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn tokens_that_are_dead_on_arrival_are_not_asked_for_in_a_loop() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("settings", json!({"access_ttl_secs": 0})).await;
    house.jump(2 * HOUR);
    let began = house.clock.now();
    for _ in 0..200 {
        match open.login.lend(USUAL).await {
            Err(LoginError::Unreachable { retry_after, .. }) => assert!(retry_after <= SECOND),
            other => panic!("nothing can be lent: {other:?}"),
        }
    }
    let seconds = house.clock.now().since(began).as_secs() + 1;
    assert!(house.asked().await <= seconds + 1, "{} in {seconds} s", house.asked().await);
}

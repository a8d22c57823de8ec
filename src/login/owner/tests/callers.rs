//! Any number of callers, one request.

use super::*;

#[tokio::test]
async fn a_thousand_callers_are_served_by_one_refresh() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    house.jump(2 * HOUR);
    let (lent, ()) = tokio::join!(callers(&open.login, 1000, USUAL), async {
        house.wait("on=refresh&in_flight=1").await;
        house.clear_faults().await;
    });
    assert_eq!(lent.len(), 1000);
    assert!(lent.iter().all(|lent| lent.as_ref().is_ok_and(|lent| lent.generation == 2)));
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn a_thousand_callers_are_refused_by_one_refresh_and_nobody_asks_before_the_back_off_is_over()
{
    let (house, open) = House::signed_in(HOUR).await;
    house
        .fault(
            json!({"on": "refresh", "status": 503, "times": 0, "headers": {"retry-after": "20"}}),
        )
        .await;
    house.jump(2 * HOUR);
    for _ in 0..2 {
        for answer in callers(&open.login, 1000, USUAL).await {
            match answer {
                Err(LoginError::Unreachable { retry_after, message }) => {
                    assert!((SECOND..=20 * SECOND).contains(&retry_after), "{retry_after:?}");
                    assert!(message.contains("503"), "{message}");
                }
                other => panic!("the token is dead: {other:?}"),
            }
        }
        assert_eq!(house.asked().await, 1);
    }
    house.clear_faults().await;
    house.jump_to_plan(&open.login);
    assert!(callers(&open.login, 1000, USUAL).await.iter().all(Result::is_ok));
    assert_eq!(house.asked().await, 2);
}

#[tokio::test]
async fn an_issuer_that_hangs_delays_nobody_who_can_be_served_from_memory() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    // Less than a minute is left, so that a usual caller has to wait and a modest one has not.
    house.jump_to(open.login.status().expires_at.unwrap().minus(30 * SECOND));
    house.wait("on=refresh&in_flight=1").await;
    assert_eq!(open.login.status().state, State::Refreshing);
    let patient = tokio::spawn({
        let login = open.login.clone();
        async move { login.lend(USUAL).await }
    });
    for _ in 0..100 {
        assert_eq!(open.login.try_lend(SECOND).expect("from memory").generation, 1);
    }
    assert!(!patient.is_finished());
    house.clear_faults().await;
    assert_eq!(patient.await.unwrap().unwrap().generation, 2);
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn a_caller_may_insist_on_half_a_life_at_most() {
    let (house, open) = House::signed_in(HOUR).await;
    for _ in 0..20 {
        assert_eq!(open.login.lend(365 * DAY).await.unwrap().generation, 1);
    }
    house.jump(31 * MINUTE);
    for _ in 0..20 {
        assert_eq!(open.login.lend(365 * DAY).await.unwrap().generation, 2);
    }
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_for_all_who_met_the_401() {
    let (house, open) = House::signed_in(HOUR).await;
    let old = open.login.try_lend(USUAL).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let (login, old) = (open.login.clone(), Arc::clone(&old));
        tasks.spawn(async move {
            if n % 2 == 0 {
                login.reject(old.generation, USUAL).await
            } else {
                login.reject_token(old.access_token.expose(), USUAL).await
            }
        });
    }
    for lent in tasks.join_all().await {
        assert_eq!(lent.unwrap().generation, 2);
    }
    assert_eq!(house.asked().await, 1);
    // Late comers with the old token, by number or by itself, and strangers' tokens renew nothing.
    for lent in [
        open.login.reject(1, USUAL).await,
        open.login.reject_token(old.access_token.expose(), USUAL).await,
        open.login.reject_token("never-ours", USUAL).await,
    ] {
        assert_eq!(lent.unwrap().generation, 2);
    }
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn rejections_renew_five_times_at_once_and_then_once_a_minute() {
    let (house, open) = House::signed_in(HOUR).await;
    for generation in 1..=5 {
        let lent = open.login.reject(generation, USUAL).await.unwrap();
        assert_eq!(lent.generation, generation + 1);
    }
    for _ in 0..10 {
        assert_eq!(open.login.reject(6, USUAL).await.unwrap().generation, 6, "as it is");
    }
    assert_eq!(house.asked().await, 5);
    house.jump(MINUTE);
    assert_eq!(open.login.reject(6, USUAL).await.unwrap().generation, 7);
    assert_eq!(open.login.reject(7, USUAL).await.unwrap().generation, 7);
    assert_eq!(house.asked().await, 6);
}

#[tokio::test]
async fn a_rejection_waits_for_no_back_off_and_leaves_the_living_token_where_it_fails() {
    let (house, open) = House::signed_in(HOUR).await;
    house
        .fault(
            json!({"on": "refresh", "status": 503, "times": 2, "headers": {"retry-after": "600"}}),
        )
        .await;
    house.jump_to_plan(&open.login);
    until(&open.login, |s| s.state == State::Degraded).await;
    assert_eq!(open.login.reject(1, USUAL).await.unwrap().generation, 1);
    assert_eq!(house.asked().await, 2);
    assert_eq!(open.login.reject(1, USUAL).await.unwrap().generation, 2);
}

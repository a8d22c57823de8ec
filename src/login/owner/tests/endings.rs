//! An orderly end, with a refresh in flight.

use super::*;

#[tokio::test]
async fn a_stop_finishes_the_refresh_in_flight_and_answers_who_waits() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    house.jump(2 * HOUR);
    let waiters = tokio::spawn({
        let login = open.login.clone();
        async move { callers(&login, 50, USUAL).await }
    });
    house.wait("on=refresh&in_flight=1").await;
    house.pause(&open.login).await;
    open.stop.cancel();
    house.clear_faults().await;
    for lent in waiters.await.unwrap() {
        assert_eq!(lent.expect("owed an answer").generation, 2);
    }
    open.close().await;
    let open = house.open().await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 2);
    assert_eq!((house.asked().await, house.files()), (1, vec!["sandbox.json".to_owned()]));
}

#[tokio::test]
async fn nothing_is_begun_after_a_stop() {
    let (house, open) = House::signed_in(HOUR).await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    house.jump_to_plan(&open.login);
    house.wait("on=refresh&in_flight=1").await;
    house.fault(json!({"on": "refresh", "status": 503})).await;
    open.stop.cancel();
    house.jump(2 * HOUR);
    let waiter = tokio::spawn({
        let login = open.login.clone();
        async move { login.lend(USUAL).await }
    });
    house.pause(&open.login).await;
    house.clear_faults().await;
    assert_eq!(waiter.await.unwrap().unwrap().generation, 2);
    open.close().await;
    assert_eq!(house.asked().await, 1);
}

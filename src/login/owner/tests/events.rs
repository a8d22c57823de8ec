//! Whatever happens in whatever order: a login is never left dead with nothing planned, and a used
//! refresh token is shown only where an answer was truly lost.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Event {
    Pass { minutes: u32 },
    SetBack { minutes: u32 },
    Refuse(u16),
    Lose { after: bool },
    Garble,
    KeysAway,
    KeysRotate,
    Lend { secs: u32 },
    Reject,
    Restart,
    Reload,
    SignIn,
    Logout,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1_u32..120).prop_map(|minutes| Event::Pass { minutes }),
        1 => (1_u32..30).prop_map(|minutes| Event::SetBack { minutes }),
        2 => prop_oneof![Just(429_u16), Just(500), Just(503)].prop_map(Event::Refuse),
        2 => any::<bool>().prop_map(|after| Event::Lose { after }),
        1 => Just(Event::Garble),
        1 => Just(Event::KeysAway),
        1 => Just(Event::KeysRotate),
        3 => (0_u32..7200).prop_map(|secs| Event::Lend { secs }),
        2 => Just(Event::Reject),
        2 => Just(Event::Restart),
        1 => Just(Event::Reload),
        1 => Just(Event::SignIn),
        1 => Just(Event::Logout),
    ]
}

async fn meet(house: &House, mut open: Open, event: Event) -> Open {
    let minutes = |minutes: u32| minutes * MINUTE;
    match event {
        Event::Pass { minutes: m } => house.jump(minutes(m)),
        Event::SetBack { minutes: m } => house.jump_back(minutes(m)),
        Event::Refuse(status) => house.fault(json!({"on": "refresh", "status": status})).await,
        Event::Lose { after: true } => house.fault(json!({"on": "refresh", "drop": "after"})).await,
        Event::Lose { after: false } => {
            house.fault(json!({"on": "refresh", "drop": "before"})).await
        }
        Event::Garble => house.fault(json!({"on": "refresh", "body": "<html>"})).await,
        Event::KeysAway => house.fault(json!({"on": "jwks", "status": 503})).await,
        Event::KeysRotate => drop(house.lever("rotate_keys", json!({"keep": true})).await),
        Event::Lend { secs } => drop(open.login.lend(Duration::from_secs(secs.into())).await),
        Event::Reject => {
            let lent = open.login.try_lend(Duration::ZERO);
            drop(open.login.reject(lent.map_or(0, |lent| lent.generation), USUAL).await);
        }
        Event::Restart => {
            open.close().await;
            open = house.open().await;
        }
        Event::Reload => open.logins.configure(&house.config()).await,
        Event::SignIn => {
            house.clear_faults().await;
            house.sign_in(&open).await;
        }
        Event::Logout => {
            let named = open.logins.name(None, None).unwrap();
            open.logins.logout(&named, true).await.unwrap();
        }
    }
    open
}

async fn live_through(events: &[Event]) {
    let (house, mut open) = House::signed_in(HOUR).await;
    let mut generation = 0;
    for (n, event) in events.iter().enumerate() {
        open = meet(&house, open, *event).await;
        let status = until(&open.login, |s| s.state != State::Refreshing).await;
        let told = format!("event {n} of {events:?}: {status:?}");
        match status.state {
            State::Active | State::Degraded => assert!(status.refresh_at.is_some(), "{told}"),
            State::LoginRequired | State::SignedOut => {
                assert!(status.refresh_at.is_none(), "{told}")
            }
            State::Refreshing | State::Locked => unreachable!("{told}"),
        }
        if let Some(lent) = open.login.try_lend(Duration::ZERO) {
            assert!(lent.generation >= generation, "{told}");
            assert!(lent.expires_at > house.clock.now().minus(SECOND), "{told}");
            generation = lent.generation;
        }
    }
    let lost = events.iter().any(|event| matches!(event, Event::Lose { after: true }));
    assert!(lost || house.stat("reuse_detected").await == 0, "{events:?}");
    // Once nothing is wrong any more, every login that is not over lends again by itself.
    house.clear_faults().await;
    house.jump(DAY);
    let settled = until(&open.login, |s| {
        let over = matches!(s.state, State::LoginRequired | State::SignedOut);
        over || (s.state == State::Active && s.expires_at.unwrap() > house.clock.now())
    })
    .await;
    let over = settled.state == State::LoginRequired;
    assert!(!over || lost, "{events:?}: {settled:?}");
}

proptest! {
    // Each case makes an issuer with a key of its own and some hundred requests.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 30, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_events_leaves_a_login_dead_with_nothing_planned(
        events in proptest::collection::vec(event(), 1..25),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(live_through(&events));
    }
}

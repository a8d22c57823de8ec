//! The limits: observed with what passes, asked for rarely; and the counts on the disk.

use super::*;
use crate::login::LoginError;
use crate::relay::usage::{Tokens, Usage, Uses};

fn meter(house: &House) -> Uses {
    Uses::open(house.file("state/usage.json"))
}

async fn usage(house: &House, meter: &Uses) -> Result<Usage, LoginError> {
    meter.usage(&house.logins, &house.clock, &house.named).await
}

fn headers(used: &str) -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-codex-primary-used-percent", used.parse().unwrap());
    headers.insert("x-codex-primary-window-minutes", "300".parse().unwrap());
    headers
}

#[tokio::test]
async fn the_vendor_is_asked_once_and_its_answer_serves_for_some_minutes() {
    let house = House::signed_in().await;
    let meter = meter(&house);
    house.settings(json!({"used_percent": 42})).await;
    let (first, second) = tokio::join!(usage(&house, &meter), usage(&house, &meter));
    let first = first.unwrap();
    assert_eq!(first, second.unwrap());
    assert_eq!(first.plan.as_deref(), Some("plus"));
    let windows: Vec<_> =
        first.windows.iter().map(|w| (w.name.as_str(), w.used_percent, w.window_minutes)).collect();
    assert_eq!(windows, [("primary", 42.0, Some(300)), ("secondary", 4.0, Some(10_080))]);
    assert!(first.windows[0].resets_at.unwrap() > house.clock.now(), "in milliseconds");
    assert_eq!(house.asked("usage").await, 1);
    house.jump(3 * MINUTE);
    assert_eq!(usage(&house, &meter).await.unwrap(), first);
    assert_eq!(house.asked("usage").await, 1);
    house.jump(4 * MINUTE);
    assert!(usage(&house, &meter).await.unwrap().observed_at > first.observed_at);
    assert_eq!(house.asked("usage").await, 2);
}

#[tokio::test]
async fn what_passes_by_tells_the_limits_for_nothing() {
    let house = House::signed_in().await;
    let meter = meter(&house);
    meter.observe_headers(&house.named, &http::HeaderMap::new(), house.clock.now());
    assert!(meter.snapshot().is_empty(), "nothing was told");
    meter.observe_headers(&house.named, &headers("12"), house.clock.now());
    let told = usage(&house, &meter).await.unwrap();
    assert_eq!((told.windows.len(), told.windows[0].used_percent), (1, 12.0));
    assert_eq!(told.plan.as_deref(), Some("plus"), "as the login knows");
    let event = json!({"type": "codex.rate_limits", "rate_limits": {
        "primary": {"used_percent": 13, "window_minutes": 300}, "secondary": {"used_percent": 1, "window_minutes": 60}}});
    let event = serde_json::value::to_raw_value(&event).unwrap();
    meter.observe_event(&house.named, &event, house.clock.now());
    let told = usage(&house, &meter).await.unwrap();
    let windows: Vec<_> = told.windows.iter().map(|w| (w.name.as_str(), w.used_percent)).collect();
    assert_eq!(windows, [("secondary", 1.0), ("primary", 13.0)], "the shortest first");
    assert_eq!(house.asked("usage").await, 0);
    assert_eq!(meter.snapshot()[0].0, house.named);
    meter.forget(&house.named);
    assert!(meter.snapshot().is_empty());
}

#[tokio::test]
async fn a_window_that_began_anew_is_asked_for() {
    let house = House::signed_in().await;
    let meter = meter(&house);
    let mut told = headers("99");
    told.insert("x-codex-primary-reset-after-seconds", "90".parse().unwrap());
    meter.observe_headers(&house.named, &told, house.clock.now());
    house.jump(MINUTE);
    assert_eq!(usage(&house, &meter).await.unwrap().windows[0].used_percent, 99.0);
    house.jump(MINUTE);
    assert_eq!(usage(&house, &meter).await.unwrap().windows[0].used_percent, 0.0);
    assert_eq!(house.asked("usage").await, 1);
}

#[tokio::test]
async fn a_page_that_is_refused_has_a_second_address() {
    let house = House::signed_in().await;
    for status in [403, 404] {
        house.fault(json!({"on": "usage", "status": status})).await;
        let told = usage(&house, &meter(&house)).await.unwrap();
        assert_eq!(told.windows.len(), 2, "{status}");
    }
    assert_eq!(house.asked("usage").await, 4);
    house.fault(json!({"on": "usage", "times": 0, "status": 403})).await;
    let told = usage(&house, &meter(&house)).await.unwrap();
    assert_eq!((told.windows.len(), told.observed_at), (0, None), "it keeps its limits to itself");
}

#[tokio::test]
async fn a_failure_serves_what_is_remembered_and_is_told_where_nothing_is() {
    let house = House::signed_in().await;
    let meter = meter(&house);
    house.fault(json!({"on": "usage", "times": 0, "status": 500})).await;
    for _ in 0..2 {
        let told = usage(&house, &meter).await;
        assert!(matches!(told, Err(LoginError::Refused { status: Some(500), .. })), "{told:?}");
    }
    assert_eq!(house.asked("usage").await, 1, "not again at once");
    meter.observe_headers(&house.named, &headers("7"), house.clock.now());
    house.jump(10 * MINUTE);
    assert_eq!(usage(&house, &meter).await.unwrap().windows[0].used_percent, 7.0);
    assert_eq!(house.asked("usage").await, 2);
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_renewed_once() {
    let house = House::signed_in().await;
    house.lever("revoke_access", json!({})).await;
    assert_eq!(usage(&house, &meter(&house)).await.unwrap().windows.len(), 2);
    assert_eq!((house.asked("usage").await, house.asked("refresh").await), (2, 1));
    house.fault(json!({"on": "usage", "times": 0, "status": 401})).await;
    let told = usage(&house, &meter(&house)).await;
    assert!(matches!(told, Err(LoginError::Refused { status: Some(401), .. })), "{told:?}");
    assert_eq!((house.asked("usage").await, house.asked("refresh").await), (4, 2));
}

#[tokio::test]
async fn who_signs_in_is_told_at_once_what_could_not_be_asked_before() {
    let house = House::signed_out().await;
    let meter = meter(&house);
    let told = usage(&house, &meter).await;
    assert!(matches!(told, Err(LoginError::LoginRequired { .. })), "{told:?}");
    house.sign_in().await;
    assert_eq!(usage(&house, &meter).await.unwrap().windows.len(), 2);
}

#[tokio::test]
async fn another_person_of_the_same_name_is_not_shown_the_first_ones_limits() {
    let house = House::signed_in().await;
    let meter = meter(&house);
    house.settings(json!({"used_percent": 90})).await;
    assert_eq!(usage(&house, &meter).await.unwrap().windows[0].used_percent, 90.0);
    house.settings(json!({"account_id": "another", "used_percent": 5})).await;
    house.sign_in().await;
    assert_eq!(usage(&house, &meter).await.unwrap().windows[0].used_percent, 5.0);
}

#[tokio::test]
async fn counts_by_the_day_outlive_a_restart() {
    let house = House::signed_in().await;
    let first = meter(&house);
    let tokens = Tokens { input: 100, cached: 60, output: 20 };
    first.count("codex", tokens, house.clock.now());
    first.count("codex", tokens, house.clock.now());
    first.save().await;
    let file = house.file("state/usage.json");
    assert!(crate::platform::files::is_private(&file));
    let second = meter(&house);
    second.count("aider", tokens, house.clock.now());
    let told = usage(&house, &second).await.unwrap().clients;
    let shown: Vec<_> =
        told.iter().map(|it| (it.client.as_str(), it.day.is_some(), it.requests)).collect();
    assert_eq!(shown, [("aider", false, 1), ("aider", true, 1), ("codex", true, 2)]);
    std::fs::write(&file, "{").unwrap();
    assert!(meter(&house).clients().is_empty());
}

#[tokio::test(start_paused = true)]
async fn counts_are_saved_a_minute_after_the_first_of_them() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("usage.json");
    let meter = Uses::open(file.clone());
    let began = tokio::time::Instant::now();
    for _ in 0..100 {
        meter.count("codex", Tokens::default(), START);
    }
    assert!(!file.exists());
    while !file.exists() {
        tokio::time::sleep(SECOND).await;
        assert!(began.elapsed() < 10 * MINUTE, "it is saved");
    }
    assert!(began.elapsed() >= MINUTE);
    assert_eq!(Uses::open(file).clients()[0].requests, 100);
}

//! The list of models: asked rarely, remembered well.

use std::sync::Arc;

use super::*;
use crate::login::LoginError;
use crate::relay::models::{Catalogue, Known, ModelsSource};

fn catalogue(house: &House) -> Catalogue {
    Catalogue::new(house.file("data/models"))
}

async fn listed(
    house: &House,
    catalogue: &Catalogue,
    refresh: bool,
) -> (Vec<String>, ModelsSource) {
    let listed = catalogue.models(&house.logins, &house.clock, &house.named, refresh).await;
    let (models, source) = listed.unwrap();
    (models.into_iter().map(|model| model.id).collect(), source)
}

async fn known(house: &House, catalogue: &Catalogue) -> Arc<Known> {
    catalogue.known(&house.logins, &house.clock, &house.named).await.unwrap()
}

/// Asks until the list is another one than `old`, which is renewed behind.
async fn renewed(house: &House, catalogue: &Catalogue, old: &Arc<Known>) -> Arc<Known> {
    let looking = async {
        loop {
            let now = known(house, catalogue).await;
            if !Arc::ptr_eq(&now, old) {
                return now;
            }
            tokio::time::sleep(SLICE).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("it is renewed")
}

/// Another list at the vendor's, for the next question.
async fn another_list(house: &House, slug: &str, etag: &str) {
    let body = json!({"models": [{"slug": slug, "base_instructions": "x"}]});
    house.fault(json!({"on": "models", "body": body, "headers": {"etag": etag}})).await;
}

#[tokio::test]
async fn a_list_that_has_not_changed_is_not_sent_again() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    let (first, source) = listed(&house, &catalogue, false).await;
    assert_eq!(source, ModelsSource::Upstream);
    assert_eq!(house.endpoint("models").await["last_headers"]["if-none-match"], Value::Null);
    house.jump(6 * MINUTE);
    assert_eq!(listed(&house, &catalogue, false).await, (first.clone(), ModelsSource::Upstream));
    let etag = house.endpoint("models").await["last_headers"]["if-none-match"].clone();
    assert_eq!(etag, known(&house, &catalogue).await.etag.clone().unwrap());
    // What was confirmed is fresh again.
    house.jump(4 * MINUTE);
    assert_eq!(listed(&house, &catalogue, false).await, (first, ModelsSource::Cache));
    assert_eq!(house.asked("models").await, 2);
    let agent = house.endpoint("models").await["last_headers"]["originator"].clone();
    assert_eq!(agent, "valetkey");
}

#[tokio::test]
async fn everybody_who_asks_at_once_shares_one_question() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    house.fault(json!({"on": "models", "times": 0, "stall": true})).await;
    let all = async {
        tokio::join!(
            listed(&house, &catalogue, false),
            listed(&house, &catalogue, true),
            known(&house, &catalogue),
            known(&house, &catalogue),
        )
    };
    let letting_go = async {
        let url = format!("{}/_sandbox/wait?on=models&in_flight=1&timeout_ms=20000", house.url);
        assert!(house.http.get(url).send().await.unwrap().status().is_success());
        house.clear_faults().await;
    };
    let ((first, second, third, fourth), ()) = tokio::join!(all, letting_go);
    assert_eq!((first.1, second.1), (ModelsSource::Upstream, ModelsSource::Upstream));
    assert!(Arc::ptr_eq(&third, &fourth));
    assert_eq!(house.asked("models").await, 1);
}

#[tokio::test]
async fn an_offline_start_serves_what_was_kept() {
    let mut house = House::signed_in().await;
    let before = known(&house, &catalogue(&house)).await;
    house.cut_off().await;
    let catalogue = catalogue(&house);
    let after = known(&house, &catalogue).await;
    assert_eq!(after.source, ModelsSource::Cache);
    assert_eq!((&after.body, &after.etag), (&before.body, &before.etag));
    assert!(!after.needs_instructions("gpt-6.1-sol") && after.needs_instructions("gpt-5.5"));
    let (ids, source) = listed(&house, &catalogue, true).await;
    assert_eq!((ids, source), (before.ids.clone(), ModelsSource::Cache));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_just_no_memory() {
    let mut house = House::signed_in().await;
    known(&house, &catalogue(&house)).await;
    house.cut_off().await;
    let file = house.file("data/models/sandbox.json");
    let good = std::fs::read(&file).unwrap();
    let foreign = String::from_utf8(good.clone()).unwrap().replace("7c1d3f8e", "00000000");
    for content in
        [b"{}".to_vec(), b"\xff\xfe".to_vec(), good[..good.len() / 2].to_vec(), foreign.into()]
    {
        std::fs::write(&file, &content).unwrap();
        let source = listed(&house, &catalogue(&house), false).await.1;
        assert_eq!(source, ModelsSource::Builtin);
    }
    std::fs::write(&file, &good).unwrap();
    assert_eq!(listed(&house, &catalogue(&house), false).await.1, ModelsSource::Cache);
}

#[tokio::test]
async fn a_completion_waits_for_the_first_list_only() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    let first = known(&house, &catalogue).await;
    house.jump(10 * MINUTE);
    another_list(&house, "gpt-7", "\"new\"").await;
    let served = known(&house, &catalogue).await;
    assert!(Arc::ptr_eq(&served, &first), "the old one is served at once");
    let next = renewed(&house, &catalogue, &first).await;
    assert_eq!(
        (next.ids.as_slice(), next.etag.as_deref()),
        (&["gpt-7".to_owned()][..], Some("\"new\""))
    );
    assert_eq!(house.asked("models").await, 2);
}

#[tokio::test]
async fn an_answer_that_knows_another_list_makes_ours_due_once() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    catalogue.note_etag(&house.named, "\"nothing is remembered yet\"");
    let first = known(&house, &catalogue).await;
    // The same list, in the other dress: as good as asked for just now.
    house.jump(10 * MINUTE);
    let weak = format!("W/{}", first.etag.clone().unwrap());
    catalogue.note_etag(&house.named, &weak);
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Cache);
    assert_eq!(house.asked("models").await, 1);
    catalogue.note_etag(&house.named, "\"other\"");
    another_list(&house, "gpt-7", "\"newer still\"").await;
    let second = renewed(&house, &catalogue, &first).await;
    // The answers go on to name what the list never came with: that is no reason to ask for ever.
    catalogue.note_etag(&house.named, "\"other\"");
    house.jump(MINUTE);
    assert!(Arc::ptr_eq(&known(&house, &catalogue).await, &second));
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Cache);
    assert_eq!(house.asked("models").await, 2);
}

#[tokio::test]
async fn a_question_that_failed_is_not_repeated_for_a_while_unless_a_person_wants_it() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    house.fault(json!({"on": "models", "times": 0, "status": 500})).await;
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Builtin);
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Builtin);
    assert_eq!(known(&house, &catalogue).await.source, ModelsSource::Builtin);
    assert_eq!(house.asked("models").await, 1);
    assert_eq!(listed(&house, &catalogue, true).await.1, ModelsSource::Builtin);
    assert_eq!(house.asked("models").await, 2);
    house.clear_faults().await;
    house.jump(31 * SECOND);
    assert_eq!(known(&house, &catalogue).await.source, ModelsSource::Builtin, "nobody waits again");
    let looking = async {
        while known(&house, &catalogue).await.source == ModelsSource::Builtin {
            tokio::time::sleep(SLICE).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("it is asked behind");
    assert_eq!(house.asked("models").await, 3);
}

#[tokio::test]
async fn what_is_no_list_is_not_believed() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    for body in [json!("<html>"), json!({}), json!({"models": []})] {
        house.fault(json!({"on": "models", "body": body})).await;
        assert_eq!(listed(&house, &catalogue, true).await.1, ModelsSource::Builtin);
    }
    house.fault(json!({"on": "models", "status": 304})).await;
    assert_eq!(listed(&house, &catalogue, true).await.1, ModelsSource::Builtin, "304 of nothing");
}

#[tokio::test]
async fn a_logout_forgets_the_list_on_the_disk_too_and_the_next_account_sees_none_of_it() {
    let house = House::signed_in().await;
    let catalogue = catalogue(&house);
    let first = known(&house, &catalogue).await;
    let file = house.file("data/models/sandbox.json");
    assert!(crate::platform::files::is_private(&file));
    // Another person signs in under the same name: the list was not theirs.
    house.settings(json!({"account_id": "another"})).await;
    house.sign_in().await;
    house.fault(json!({"on": "models", "times": 0, "status": 500})).await;
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Builtin);
    house.clear_faults().await;
    assert_eq!(listed(&house, &catalogue, true).await, (first.ids.clone(), ModelsSource::Upstream));
    house.logins.logout(&house.named, true).await.unwrap();
    catalogue.forget(&house.named).await;
    assert!(!file.exists());
    assert_eq!(listed(&house, &catalogue, false).await.1, ModelsSource::Builtin);
}

#[tokio::test]
async fn a_name_that_nobody_signed_in_under_is_refused_and_leaves_nothing() {
    let house = House::signed_in().await;
    let named = Named { account: "nobody".into(), ..house.named.clone() };
    let listed = catalogue(&house).known(&house.logins, &house.clock, &named).await;
    assert!(matches!(listed, Err(LoginError::LoginRequired { .. })), "{listed:?}");
    assert!(!house.file("data/models").exists());
}

//! Another program's login: ours and renewed, or given back as if nothing had been.

use super::super::super::directory::Named;
use super::super::super::imported::ImportSource;
use super::*;
use crate::secret::Secret;

fn named() -> Named {
    Named { vendor: "sandbox".into(), account: "default".into() }
}

/// What another program would keep of this record.
fn file_of(record: &Record) -> String {
    json!({"openai": {
        "type": "oauth",
        "refresh": record.refresh_token.expose(),
        "access": record.access_token.expose(),
        "expires": record.expires_at,
    }})
    .to_string()
}

impl House {
    /// Signs somebody in elsewhere, as another program would, and gives that program's file.
    async fn elsewhere(&self) -> String {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("data"), &home.path().join("state")).unwrap();
        let stop = CancellationToken::new();
        let (config, clock) = (self.config(), self.clock.clone());
        let logins = Logins::open(store, &config, clock, stop.clone()).await.unwrap();
        let login = logins.default_login().unwrap();
        let open = Open { logins, login, stop };
        self.sign_in(&open).await;
        let bytes = std::fs::read(home.path().join("data/credentials/sandbox.json")).unwrap();
        open.close().await;
        file_of(&crate::store::format::decode(&bytes).unwrap())
    }

    /// A copy of everything on the disk just now, as a killed process leaves it.
    fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for folder in ["data", "data/credentials", "state", "state/rescue"] {
            let (from, to) = (self.home.path().join(folder), copy.path().join(folder));
            std::fs::create_dir_all(&to).unwrap();
            for entry in std::fs::read_dir(from).unwrap().flatten() {
                if entry.path().is_file() {
                    std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
                }
            }
        }
        copy
    }
}

impl Open {
    async fn import(&self, contents: &str) -> Result<Status, LoginError> {
        self.import_as(contents, false).await
    }

    async fn import_as(&self, contents: &str, replace: bool) -> Result<Status, LoginError> {
        let (named, contents) = (named(), Secret::new(contents.to_owned()));
        let import = self.logins.import(&named, ImportSource::Opencode, &contents, replace);
        tokio::time::timeout(LONG, import).await.expect("it ends")
    }

    fn importing(&self, contents: &str) -> tokio::task::JoinHandle<Result<Status, LoginError>> {
        let (logins, contents) = (self.logins.clone(), Secret::new(contents.to_owned()));
        tokio::spawn(async move {
            logins.import(&named(), ImportSource::Opencode, &contents, true).await
        })
    }
}

#[tokio::test]
async fn it_is_verified_renewed_at_once_and_lent_only_then() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    let open = house.open().await;
    let begun = house.clock.now();
    let status = open.import(&file).await.unwrap();
    assert_eq!((status.state, status.connected), (State::Active, true));
    assert!(status.last_refresh_at.unwrap() >= begun);
    assert_eq!(house.asked().await, 1);
    assert_eq!(house.files(), ["sandbox.json"]);
    let record = open.record(&house);
    assert!(!file.contains(record.refresh_token.expose()), "the other copy is worth nothing");
    assert!(record.verified);
    let lent = open.login.lend(USUAL).await.unwrap();
    assert_eq!(lent.generation, record.generation);
    assert!(!file.contains(lent.access_token.expose()));
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 0}));
    house.jump_to_plan(&open.login);
    until_generation(&open.login, record.generation + 1).await;
    let refreshes = open.logins.meter().read().refreshes;
    assert_eq!(refreshes[crate::meter::Outcome::Granted as usize], 2, "counted as any refresh");
}

#[tokio::test]
async fn an_access_token_that_has_ended_is_no_obstacle() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    house.jump(3 * DAY);
    let open = house.open().await;
    let status = open.import(&file).await.unwrap();
    assert_eq!((status.state, status.connected), (State::Active, true));
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn an_issuer_that_cannot_answer_leaves_all_as_it_was_and_it_can_be_tried_again() {
    for fault in [json!({"status": 503}), json!({"status": 429, "headers": {"retry-after": "7"}})] {
        let house = House::new(HOUR).await;
        let file = house.elsewhere().await;
        let open = house.open().await;
        let mut whole = fault.clone();
        whole["on"] = json!("refresh");
        house.fault(whole).await;
        match open.import(&file).await {
            Err(LoginError::Unreachable { retry_after, .. }) => {
                assert!(fault["headers"].is_null() || retry_after == 7 * SECOND);
            }
            other => panic!("{fault}: {other:?}"),
        }
        assert_eq!(open.login.status().state, State::SignedOut, "{fault}");
        assert!(house.files().is_empty(), "{:?}", house.files());
        assert!(open.login.lend(USUAL).await.is_err());
        open.close().await;
        let open = house.open().await;
        assert_eq!(open.login.status().state, State::SignedOut, "{fault}");
        assert_eq!(open.import(&file).await.unwrap().state, State::Active);
        assert_eq!(house.asked().await, 2);
        open.close().await;
    }
}

#[tokio::test]
async fn keys_out_of_reach_are_an_error_before_anything_is_shown() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    let open = house.open().await;
    house.fault(json!({"on": "jwks", "status": 503, "times": 0})).await;
    assert!(matches!(open.import(&file).await, Err(LoginError::Unreachable { .. })));
    assert_eq!((house.asked().await, house.files().len()), (0, 0));
}

#[tokio::test]
async fn what_was_held_before_is_lent_meanwhile_and_held_again_where_it_comes_to_nothing() {
    for (fault, refused) in [
        (json!({"stall": true, "status": 503}), false),
        (json!({"stall": true, "status": 400, "body": {"error": "invalid_grant"}}), true),
    ] {
        let (house, open) = House::signed_in(HOUR).await;
        let file = house.elsewhere().await;
        let before = std::fs::read(house.home.path().join("data/credentials/sandbox.json"));
        let mut whole = fault.clone();
        whole["on"] = json!("refresh");
        house.fault(whole).await;
        let importing = open.importing(&file);
        house.wait("on=refresh&in_flight=1").await;
        assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1);
        assert_eq!(open.login.status().state, State::Active);
        assert!(matches!(open.import(&file).await, Err(LoginError::Overloaded)), "one at a time");
        house.clear_faults().await;
        let ended = importing.await.unwrap();
        match (&ended, refused) {
            (Err(LoginError::LoginRequired { problem: Some(problem) }), true) => {
                assert_eq!(problem.reason, "invalid_grant");
            }
            (Err(LoginError::Unreachable { .. }), false) => {}
            (other, _) => panic!("{fault}: {other:?}"),
        }
        assert_eq!(open.login.status().state, State::Active);
        assert_eq!(house.files(), ["sandbox.json"]);
        let after = std::fs::read(house.home.path().join("data/credentials/sandbox.json"));
        assert_eq!(before.unwrap(), after.unwrap(), "{fault}");
        assert_eq!(house.stats().await["families"]["revoked"], 0, "{fault}");
        house.clear_faults().await;
        house.jump_to_plan(&open.login);
        until_generation(&open.login, 2).await;
        open.close().await;
    }
}

#[tokio::test]
async fn a_token_that_the_issuer_refuses_is_no_login_of_ours() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    let open = house.open().await;
    house.lever("revoke_family", json!({})).await;
    match open.import(&file).await {
        Err(LoginError::LoginRequired { problem: Some(problem) }) => {
            assert_eq!(problem.reason, "refresh_token_invalidated");
            assert!(problem.message.contains("valetkey login"), "{problem:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((open.login.status().state, house.files().len()), (State::SignedOut, 0));
    // A sign-in that was begun before is not disturbed.
    house.sign_in(&open).await;
    assert_eq!(open.login.status().state, State::Active);
}

#[tokio::test]
async fn a_token_that_may_be_used_up_stays_with_us_and_is_not_shown_again_soon() {
    let (house, open) = House::signed_in(HOUR).await;
    let file = house.elsewhere().await;
    house.fault(json!({"on": "refresh", "drop": "after"})).await;
    let status = open.import(&file).await.unwrap();
    assert_eq!((status.state, reason(&status)), (State::Degraded, "outcome_unknown"));
    assert!(status.connected, "its access token lives");
    assert_eq!(house.files(), ["sandbox.json", "sandbox.spare"]);
    assert_eq!(house.stats().await["families"]["revoked"], 0, "the one before is only let go");
    // The same file again is what is held.
    assert_eq!(open.import(&file).await.unwrap().state, State::Degraded);
    house.pause(&open.login).await;
    open.close().await;

    let open = house.open().await;
    assert_eq!(reason(&open.login.status()), "outcome_unknown");
    house.jump(10 * MINUTE);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1, "not before half of its life");
}

#[tokio::test]
async fn another_account_needs_leave_and_the_grant_before_is_revoked_only_when_all_is_safe() {
    let (house, open) = House::signed_in(HOUR).await;
    house.lever("settings", json!({"account_id": "somebody-else"})).await;
    let file = house.elsewhere().await;
    match open.import(&file).await {
        Err(LoginError::AccountMismatch { seen, .. }) => assert_eq!(seen, "somebody-else"),
        other => panic!("{other:?}"),
    }
    assert_eq!((house.asked().await, open.login.lend(USUAL).await.unwrap().generation), (0, 1));

    house.fault(json!({"on": "refresh", "stall": true})).await;
    let importing = open.importing(&file);
    house.wait("on=refresh&in_flight=1").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 2, "revoked": 0}));
    house.clear_faults().await;
    let status = importing.await.unwrap().unwrap();
    assert_eq!(status.account_id.as_deref(), Some("somebody-else"));
    house.wait("on=revoke&answered=1").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 1}));
    open.close().await;
    let open = house.open().await;
    assert_eq!(open.login.status().account_id.as_deref(), Some("somebody-else"));
}

#[tokio::test]
async fn the_grant_that_is_held_already_is_neither_shown_nor_revoked() {
    let (house, open) = House::signed_in(HOUR).await;
    let file = file_of(&open.record(&house));
    assert_eq!(open.import_as(&file, true).await.unwrap().state, State::Active);
    house.pause(&open.login).await;
    assert_eq!((house.asked().await, house.stat("revocations").await), (0, 0));
}

#[tokio::test]
async fn a_file_that_was_adopted_before_is_not_shown_to_the_issuer_again() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    let open = house.open().await;
    open.import(&file).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(open.import_as(&file, true).await, Err(LoginError::Invalid(_))));
    }
    let other = Named { account: "work".into(), ..named() };
    let contents = Secret::new(file.clone());
    let again = open.logins.import(&other, ImportSource::Opencode, &contents, true);
    assert!(matches!(again.await, Err(LoginError::Invalid(_))), "not for another account either");
    open.close().await;
    let open = house.open().await;
    assert!(matches!(open.import_as(&file, true).await, Err(LoginError::Invalid(_))));
    assert_eq!((house.asked().await, house.stat("reuse_detected").await), (1, 0));
    assert_eq!(open.login.status().state, State::Active);
}

#[tokio::test]
async fn a_logout_meanwhile_ends_it_and_what_was_granted_is_revoked() {
    let (house, open) = House::signed_in(HOUR).await;
    let file = house.elsewhere().await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    let importing = open.importing(&file);
    house.wait("on=refresh&in_flight=1").await;
    open.logins.logout(&named(), true).await.unwrap();
    // Wine removes what is open (the room for the answer) when it is closed; Windows 10 and Unix at once.
    assert!(house.files().is_empty() || cfg!(windows), "{:?}", house.files());
    house.clear_faults().await;
    assert!(matches!(importing.await.unwrap(), Err(LoginError::Cancelled)));
    house.wait("on=revoke&answered=2").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 0, "revoked": 2}));
    assert_eq!(open.login.status().state, State::SignedOut);
    assert!(house.files().is_empty(), "{:?}", house.files());
    open.close().await;
    let open = house.open().await;
    assert_eq!(open.login.status().state, State::SignedOut);
}

#[tokio::test]
async fn a_sign_in_meanwhile_wins() {
    let house = House::new(HOUR).await;
    let file = house.elsewhere().await;
    let open = house.open().await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    let importing = open.importing(&file);
    house.wait("on=refresh&in_flight=1").await;
    house.sign_in(&open).await;
    house.clear_faults().await;
    assert!(matches!(importing.await.unwrap(), Err(LoginError::Cancelled)));
    house.wait("on=revoke&answered=1").await;
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 1}));
    let held = open.login.lend(USUAL).await.unwrap().generation;
    open.close().await;
    let open = house.open().await;
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, held);
    house.jump_to_plan(&open.login);
    until_generation(&open.login, held + 1).await;
}

#[tokio::test]
async fn it_waits_for_a_refresh_under_way_whose_answer_must_not_be_lost() {
    let (house, open) = House::signed_in(HOUR).await;
    let file = house.elsewhere().await;
    house.fault(json!({"on": "refresh", "stall": true})).await;
    house.jump_to_plan(&open.login);
    house.wait("on=refresh&in_flight=1").await;
    let importing = open.importing(&file);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
    house.clear_faults().await;
    assert_eq!(importing.await.unwrap().unwrap().state, State::Active);
    house.wait("on=revoke&answered=1").await;
    assert_eq!(house.asked().await, 2);
    assert_eq!(house.stats().await["families"], json!({"alive": 1, "revoked": 1}));
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 4);
}

#[tokio::test]
async fn tokens_that_the_issuer_did_not_sign_or_granted_to_others_are_not_shown_to_it() {
    let house = House::new(HOUR).await;
    let good = house.elsewhere().await;
    let open = house.open().await;
    house.fault(json!({"on": "token", "wrong_key": true})).await;
    let mut forged: Value = serde_json::from_str(&good).unwrap();
    let access = forged["openai"]["access"].as_str().unwrap().to_owned();
    let at = access.rfind('.').unwrap() + 5;
    let other = if &access[at..=at] == "A" { "B" } else { "A" };
    forged["openai"]["access"] = json!(format!("{}{other}{}", &access[..at], &access[at + 1..]));
    let refused = open.import(&forged.to_string()).await;
    assert!(matches!(refused, Err(LoginError::Unbelievable(_))), "{refused:?}");
    forged["openai"]["access"] = json!("opaque");
    let refused = open.import(&forged.to_string()).await;
    assert!(matches!(refused, Err(LoginError::Unbelievable(_))), "{refused:?}");

    let good: Value = serde_json::from_str(&good).unwrap();
    let codex = json!({"tokens": {
        "access_token": good["openai"]["access"],
        "refresh_token": good["openai"]["refresh"],
        "oauth_provenance": {"issuer": house.sandbox.url(), "client_id": "another-client"},
    }});
    let contents = Secret::new(codex.to_string());
    let refused = open.logins.import(&named(), ImportSource::Codex, &contents, false).await;
    assert!(matches!(refused, Err(LoginError::Invalid(_))), "{refused:?}");
    assert_eq!((house.asked().await, house.files().len()), (0, 0));
}

#[tokio::test]
async fn a_renewed_token_that_cannot_be_believed_costs_nothing_that_was_held() {
    for fault in [json!({"wrong_key": true}), json!({"wrong_account": "somebody-else"})] {
        let (house, open) = House::signed_in(HOUR).await;
        let file = house.elsewhere().await;
        let mut whole = fault.clone();
        whole["on"] = json!("refresh");
        house.fault(whole.clone()).await;
        let refused = open.import(&file).await;
        assert!(matches!(refused, Err(LoginError::Unbelievable(_))), "{fault}: {refused:?}");
        assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1);
        assert!(house.files().iter().any(|file| file.contains("quarantined")), "{fault}");
        assert_eq!(house.stats().await["families"]["revoked"], 0, "{fault}");
        open.close().await;

        // Where nothing was held, it is as with any refresh.
        let house = House::new(HOUR).await;
        let file = house.elsewhere().await;
        let open = house.open().await;
        house.fault(whole).await;
        let refused = open.import(&file).await;
        assert!(matches!(refused, Err(LoginError::LoginRequired { .. })), "{fault}: {refused:?}");
        assert!(open.login.lend(USUAL).await.is_err());
        open.close().await;
    }
}

#[tokio::test]
async fn whatever_ends_the_process_one_of_the_two_is_left_with_its_mark() {
    let (mut house, open) = House::signed_in(HOUR).await;
    let file = house.elsewhere().await;
    let before = house.copy();
    house.fault(json!({"on": "refresh", "stall": true})).await;
    let importing = open.importing(&file);
    house.wait("on=refresh&in_flight=1").await;
    let asked = house.copy();
    house.clear_faults().await;
    importing.await.unwrap().unwrap();
    house.wait("on=revoke&answered=1").await;
    open.close().await;
    let at = |copy: &tempfile::TempDir, file: &str| copy.path().join("data/credentials").join(file);

    // While the issuer was being asked: the adopted one, of which nobody knows.
    assert!(at(&asked, "sandbox.spare").exists());
    house.home = asked;
    let open = house.open().await;
    let status = open.login.status();
    assert_eq!((status.state, reason(&status)), (State::Degraded, "outcome_unknown"));
    assert!(file.contains(open.login.lend(USUAL).await.unwrap().access_token.expose()));
    assert_eq!(open.import(&file).await.unwrap().state, State::Degraded, "it is held already");
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
    open.close().await;

    // Before anything of it was written: the one held before.
    house.home = before;
    let open = house.open().await;
    assert!(!file.contains(open.login.lend(USUAL).await.unwrap().access_token.expose()));
}

#[tokio::test]
async fn one_that_was_kept_but_never_renewed_is_renewed_at_the_next_start() {
    let (house, open) = House::signed_in(HOUR).await;
    let record = open.record(&house);
    open.close().await;
    // As a process leaves it that was killed before the mark was written: the issuer was not asked.
    let kept = crate::store::format::encode(&Record { last_refresh_at: None, ..record });
    std::fs::write(house.home.path().join("data/credentials/sandbox.json"), kept).unwrap();
    let open = house.open().await;
    let status = until(&open.login, |s| s.last_refresh_at.is_some()).await;
    assert!(status.connected);
    house.pause(&open.login).await;
    assert_eq!(house.asked().await, 1);
}

#[tokio::test]
async fn the_mark_of_an_unknown_outcome_of_our_own_is_there_again_after_an_import_in_vain() {
    let (house, open) = House::signed_in(HOUR).await;
    let file = house.elsewhere().await;
    house.fault(json!({"on": "refresh", "drop": "before"})).await;
    house.jump_to_plan(&open.login);
    until(&open.login, |s| s.state == State::Degraded).await;
    house.fault(json!({"on": "refresh", "status": 503})).await;
    assert!(matches!(open.import(&file).await, Err(LoginError::Unreachable { .. })));
    assert_eq!(reason(&open.login.status()), "outcome_unknown");
    open.close().await;
    let open = house.open().await;
    assert_eq!(reason(&open.login.status()), "outcome_unknown");
    assert_eq!(open.login.lend(USUAL).await.unwrap().generation, 1);
}

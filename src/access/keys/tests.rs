//! Keys as they live and end, over real files.

use super::*;
use crate::platform::files::is_private;

const START: Timestamp = Timestamp(1_800_000_000_000);

fn clock() -> Clock {
    Clock::virtual_at(START, Duration::from_secs(30))
}

fn bound() -> Bound {
    Bound { vendor: "openai".into(), account: "default".into() }
}

fn invalid<T: std::fmt::Debug>(result: Result<T, KeysError>) -> String {
    match result {
        Err(KeysError::Invalid(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_opens_until_it_ends_and_leaves_nothing_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let keys = Keys::open(dir.path(), clock.clone());
    let (first, ends) = keys.lease("codex", Some(60), bound()).unwrap();
    assert_eq!(ends, START.plus(Duration::from_secs(60)));
    let (second, _) = keys.lease("codex", None, bound()).unwrap();
    assert!(first.expose().starts_with("vk_") && first.expose().len() == 46);
    assert!(!first.matches(second.expose()), "each is another");
    let holder = keys.check(first.expose()).expect("it opens");
    assert_eq!((holder.name.as_str(), &holder.bound), ("codex", &bound()));
    assert!(holder.scopes.is_empty());
    clock.jump(60_000);
    assert!(keys.check(first.expose()).is_none(), "its time is over to the millisecond");
    assert!(keys.check(second.expose()).is_some(), "the other's is not");
    assert!(keys.list().is_empty() && !dir.path().join("keys.json").exists());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_of_ours_opens_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path(), clock());
    let (lease, _) = keys.lease("x", None, bound()).unwrap();
    let good = lease.expose();
    for bad in ["", "vk_", &good[..45], &format!("{good}x"), &good[3..], &good.to_uppercase()] {
        assert!(keys.check(bad).is_none(), "{bad}");
    }
    let mut other = good.to_owned();
    let last = if other.ends_with('A') { 'B' } else { 'A' };
    other.pop();
    other.push(last);
    assert!(keys.check(&other).is_none());
    assert!(keys.check(good).is_some());
}

#[tokio::test(start_paused = true)]
async fn leases_are_bounded_in_number_and_in_life() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let keys = Keys::open(dir.path(), clock.clone());
    for ttl in [0, 59, 86_401, u64::MAX] {
        assert!(invalid(keys.lease("x", Some(ttl), bound())).contains("from 60 to 86400"));
    }
    for client in [String::new(), "x".repeat(65), "a\nb".into()] {
        assert!(invalid(keys.lease(&client, None, bound())).contains("`client`"));
    }
    let leases: Vec<_> =
        (0..MOST_LEASES).map(|_| keys.lease("x", Some(100), bound()).unwrap().0).collect();
    clock.jump(1000);
    assert!(keys.check(leases[0].expose()).is_some(), "it is in use");
    match keys.lease("y", None, bound()) {
        Err(KeysError::TooMany { retry_after, .. }) => {
            assert_eq!(retry_after, Some(Duration::from_secs(99)));
        }
        other => panic!("{other:?}"),
    }
    keys.lease("x", Some(100), bound()).expect("who has taken them all pays with one of its own");
    let alive = leases.iter().filter(|lease| keys.check(lease.expose()).is_some()).count();
    assert_eq!(alive, MOST_LEASES - 1);
    assert!(keys.check(leases[0].expose()).is_some(), "with one that nobody used for longest");
    clock.jump(100_000);
    keys.lease("y", None, bound()).expect("those that ended have made room");
}

#[tokio::test(start_paused = true)]
async fn a_key_outlives_a_restart_and_its_file_does_not_hold_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let keys = Keys::open(dir.path(), clock.clone());
    let work = Bound { vendor: "openai".into(), account: "work".into() };
    let scopes = vec![Scope::Subscription, Scope::Metrics];
    let key = keys.add("editor", Some(3600), scopes.clone(), work.clone()).await.unwrap();
    let other = keys.add("agent", None, Vec::new(), bound()).await.unwrap();
    let file = dir.path().join("keys.json");
    assert!(is_private(&file));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&key.expose()[3..]) && text.contains("editor"), "{text}");

    let again = Keys::open(dir.path(), clock.clone());
    let holder = again.check(key.expose()).expect("it still opens");
    assert_eq!((&holder.bound, &holder.scopes), (&work, &scopes));
    let names: Vec<_> = again.list().into_iter().map(|key| (key.name, key.expires_at)).collect();
    let end = START.plus(Duration::from_secs(3600));
    assert_eq!(names, [("agent".to_owned(), None), ("editor".to_owned(), Some(end))]);
    clock.jump(3_600_000);
    assert!(again.check(key.expose()).is_none() && again.check(other.expose()).is_some());
    again.add("editor", None, Vec::new(), bound()).await.expect("the name is free again");
}

#[tokio::test]
async fn names_are_checked_and_taken_once() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path(), Clock::System);
    for name in ["", "Upper", "con", "a/b"] {
        let why = invalid(keys.add(name, None, Vec::new(), bound()).await.map(drop));
        assert!(why.contains("cannot name a key"), "{why}");
    }
    keys.add("one", None, Vec::new(), bound()).await.unwrap();
    let why = invalid(keys.add("one", None, Vec::new(), bound()).await.map(drop));
    assert!(why.contains("already"), "{why}");
    let why = invalid(keys.add("two", Some(5), Vec::new(), bound()).await.map(drop));
    assert!(why.contains("not 5"), "{why}");
    assert!(invalid(keys.revoke("two").await).contains("no key"));
}

#[tokio::test]
async fn a_revoked_key_ends_at_once_with_what_it_opened_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path(), Clock::System);
    let key = keys.add("agent", None, Vec::new(), bound()).await.unwrap();
    let (lease, _) = keys.lease("agent", None, bound()).unwrap();
    let (stays, _) = keys.lease("other", None, bound()).unwrap();
    let opened = keys.check(key.expose()).unwrap();
    keys.revoke("agent").await.unwrap();
    assert!(opened.ended.is_cancelled());
    for ended in [&key, &lease] {
        assert!(keys.check(ended.expose()).is_none());
    }
    assert!(keys.check(stays.expose()).is_some());
    assert!(Keys::open(dir.path(), Clock::System).check(key.expose()).is_none());
}

#[tokio::test(start_paused = true)]
async fn times_of_use_are_saved_once_a_minute_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let keys = Keys::open(dir.path(), clock());
    let key = keys.add("agent", None, Vec::new(), bound()).await.unwrap();
    let saved = || Keys::open(dir.path(), clock()).list()[0].last_used_at;
    let stop = CancellationToken::new();
    let keeping = tokio::spawn({
        let (keys, stop) = (keys.clone(), stop.clone());
        async move { keys.keep_up(stop).await }
    });
    keys.check(key.expose()).unwrap();
    assert_eq!(keys.list()[0].last_used_at, Some(START), "it is told at once");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(saved(), None, "and written later");
    stop.cancel();
    keeping.await.unwrap();
    assert_eq!(saved(), Some(START));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_kept_aside_and_never_written_over() {
    for (content, kind) in [
        ("{", "damaged"),
        (r#"{"version":2,"vault":1}"#, "newer"),
        (r#"{"version":1,"keys":[{"name":"a"}]}"#, "damaged"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("keys.json"), content).unwrap();
        let keys = Keys::open(dir.path(), Clock::System);
        keys.add("new", None, Vec::new(), bound()).await.unwrap();
        let aside = std::fs::read_dir(dir.path()).unwrap().flatten().find(|entry| {
            entry.file_name().to_string_lossy().starts_with(&format!("keys.json.{kind}-"))
        });
        let aside = aside.unwrap_or_else(|| panic!("no {kind} file"));
        assert_eq!(std::fs::read_to_string(aside.path()).unwrap(), content);
        assert_eq!(keys.list().len(), 1);
    }
}

#[tokio::test]
async fn a_disk_that_takes_no_key_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let keys = Keys::open(&gone, Clock::System);
    let failed = keys.add("agent", None, Vec::new(), bound()).await.unwrap_err();
    assert!(matches!(failed, KeysError::Storage { .. }), "{failed:?}");
    assert!(keys.list().is_empty());
    std::fs::create_dir(&gone).unwrap();
    let key = keys.add("agent", None, Vec::new(), bound()).await.unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    assert!(matches!(keys.revoke("agent").await, Err(KeysError::Storage { .. })));
    assert!(keys.check(key.expose()).is_none(), "it is ended all the same");
}

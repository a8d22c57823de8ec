use super::*;
use crate::rpc::{State, Window};

/// Sunday, 22 November 2026, 15:16 UTC.
const NOW: Timestamp = Timestamp(1_795_360_560_000);

fn model() -> Model {
    let mut model = Model::new(NOW);
    model.hear(Heard::Linked(Box::new(info(NOW))), NOW);
    model
}

fn info(started_at: Timestamp) -> Info {
    Info {
        name: "valetkey".into(),
        version: "0.1.0".into(),
        protocol: 1,
        pid: 42,
        started_at,
        uptime: 0,
        socket: "/run/vk.sock".into(),
        http: None,
        vendors: vec!["openai".into()],
    }
}

fn held(account: &str) -> Status {
    Status {
        connected: true,
        state: State::Active,
        expires_at: Some(NOW.plus(Duration::from_secs(3600))),
        last_refresh_at: Some(NOW),
        ..Status::signed_out("openai", account)
    }
}

fn used(client: &str, day: Option<&str>, requests: u64, tokens: u64, streams: u64) -> ClientUse {
    ClientUse {
        client: client.into(),
        day: day.map(str::to_owned),
        requests,
        input_tokens: tokens,
        streams,
        ..ClientUse::default()
    }
}

fn usage(clients: Vec<ClientUse>) -> Heard {
    let usage = Usage { clients, ..Usage::default() };
    Heard::Usage("openai".into(), "default".into(), Ok(Box::new(usage)))
}

fn entry(
    at: Timestamp,
    client: &str,
    method: &str,
    outcome: &str,
    count: Option<u64>,
) -> AuditEntry {
    AuditEntry {
        at,
        client: crate::rpc::ClientId {
            pid: Some(7),
            exe: Some(format!("/bin/{client}")),
            ..crate::rpc::ClientId::default()
        },
        method: method.into(),
        vendor: Some("openai".into()),
        account: Some("default".into()),
        outcome: outcome.into(),
        generation: None,
        count,
    }
}

fn names(model: &Model) -> Vec<String> {
    model.borrowers().into_iter().map(|borrower| borrower.name).collect()
}

#[test]
fn a_borrower_is_one_row_by_whatever_way_it_borrows() {
    let mut model = model();
    model.hear(
        usage(vec![
            used("codex", None, 3, 900, 2),
            used("codex", Some("2026-11-22"), 1, 400, 0),
            used("codex", Some("2026-11-21"), 2, 500, 0),
            used("ci", None, 9, 5_000, 0),
        ]),
        NOW,
    );
    let lent = vec![
        entry(NOW, "codex", "token", "ok", None),
        entry(NOW, "codex", "token", "ok", Some(4)),
        entry(NOW, "codex", "token", "login_required", None),
        entry(NOW.plus(Duration::from_secs(1)), "aider", "token", "ok", None),
        entry(NOW.minus(Duration::from_secs(1)), "aider", "token", "ok", None),
    ];
    model.hear(Heard::Trail(lent), NOW);
    assert_eq!(names(&model), ["codex", "ci", "aider"], "those at work, then the greediest");
    let codex = &model.borrowers()[0];
    assert_eq!((codex.streams, codex.requests, codex.tokens, codex.tokens_today), (2, 3, 900, 400));
    assert_eq!((codex.lent, codex.last_at, codex.pid), (5, Some(NOW), Some(7)));
    let aider = &model.borrowers()[2];
    assert_eq!(aider.lent, 1, "what was lent before the daemon started is another daemon's");
}

#[test]
fn calls_and_tokens_are_seen_in_the_slice_of_their_time() {
    let mut model = model();
    model.hear(usage(vec![used("codex", None, 3, 900, 0)]), NOW);
    assert_eq!(model.tokens.last(1), [0.0], "what was used before has no place in these minutes");
    model.hear(usage(vec![used("codex", None, 4, 1_000, 0)]), NOW);
    model.hear(usage(vec![used("codex", None, 4, 1_000, 0)]), NOW);
    assert_eq!(model.tokens.last(1), [100.0], "the same told of two logins is counted once");
    let minute_ago = NOW.minus(Duration::from_secs(60));
    model.hear(
        Heard::Trail(vec![
            entry(minute_ago, "codex", "responses.create", "ok", None),
            entry(NOW, "codex", "token", "ok", Some(12)),
            entry(NOW, "codex", "login.start", "ok", None),
        ]),
        NOW,
    );
    let calls = model.calls.last(31);
    assert_eq!((calls[0], calls[30], calls[25]), (1.0, 2.0, 2.0));
}

#[test]
fn a_daemon_that_goes_and_another_that_comes_are_told_and_counts_begin_anew() {
    let mut model = model();
    model.hear(usage(vec![used("codex", None, 3, 900, 1)]), NOW);
    model.hear(Heard::Trail(vec![entry(NOW, "codex", "token", "ok", None)]), NOW);
    for _ in 0..3 {
        let again_at = NOW.plus(Duration::from_secs(1));
        model.hear(Heard::Lost { why: "it hung up".into(), again_at }, NOW);
    }
    assert!(matches!(model.link, Link::Down { .. }));
    assert_eq!(model.recent().len(), 1, "told once, however often it is looked for");
    let later = NOW.plus(Duration::from_secs(5));
    model.hear(Heard::Linked(Box::new(info(later))), later);
    assert_eq!((names(&model), &model.link), (vec![], &Link::Up));
    model.hear(usage(vec![used("codex", None, 1, 70, 0)]), later);
    assert_eq!(model.tokens.last(1), [70.0]);
    assert_eq!(model.recent()[0].what, "is back, started anew");
    model.hear(Heard::Linked(Box::new(info(later))), later);
    assert_eq!(model.recent().len(), 2, "a look at the whole of it is no news");
}

#[test]
fn logins_come_and_go_with_what_is_known_of_them() {
    let mut model = model();
    model.hear(Heard::Logins("openai".into(), vec![held("default"), held("work")]), NOW);
    let window = Window {
        name: "primary".into(),
        used_percent: 40.0,
        window_minutes: Some(300),
        resets_at: None,
    };
    let windows = vec![window.clone(), Window { name: "secondary".into(), ..window }];
    let told = Usage { windows, ..Usage::default() };
    model.hear(Heard::Usage("openai".into(), "work".into(), Ok(Box::new(told))), NOW);
    assert_eq!((model.count(Pane::Logins), model.count(Pane::Limits)), (2, 2));
    model.hear(Heard::Usage("openai".into(), "work".into(), Err("No.".into())), NOW);
    assert_eq!(model.limits()[0].trouble.as_deref(), Some("No."));
    assert_eq!(model.count(Pane::Limits), 2, "what was known is still shown");
    let out = Status::signed_out("openai", "work");
    model.hear(Heard::Changed(Box::new(out)), NOW);
    assert_eq!((model.count(Pane::Logins), model.count(Pane::Limits)), (2, 0));
    assert_eq!(model.recent()[0].what, "signed out");
    model.hear(Heard::Logins("openai".into(), vec![held("default")]), NOW);
    assert_eq!(model.count(Pane::Logins), 1);
}

#[test]
fn a_filter_goes_by_client_method_and_account() {
    let mut model = model();
    model.hear(Heard::Logins("openai".into(), vec![held("default"), held("work")]), NOW);
    model.hear(usage(vec![used("codex", None, 1, 1, 0), used("aider", None, 1, 1, 0)]), NOW);
    let calls = vec![
        entry(NOW, "codex", "token", "ok", None),
        entry(NOW, "aider", "logout", "ok", None),
        entry(NOW, "aider", "responses.create", "overloaded", None),
    ];
    model.hear(Heard::Trail(calls), NOW);
    let mut look_for = |text: &str| {
        model.act(Act::Back);
        model.act(Act::Filter);
        for letter in text.chars() {
            model.act(Act::Type(letter));
        }
        model.act(Act::Done);
        (model.logins().len(), model.borrowers().len(), model.recent().len())
    };
    assert_eq!(look_for("AIDER"), (0, 1, 2));
    assert_eq!(look_for("responses"), (0, 0, 1));
    assert_eq!(look_for("openai/work"), (1, 0, 1));
    assert_eq!(look_for("codex"), (0, 1, 0), "everyday calls are not asked for");
    model.act(Act::All);
    assert_eq!(model.recent().len(), 1);
}

#[test]
fn names_that_are_invented_are_summed() {
    let mut model = model();
    let calls = (0..1000).map(|n| entry(NOW, &format!("client-{n}"), "token", "ok", None));
    model.hear(Heard::Trail(calls.collect()), NOW);
    assert_eq!(model.borrowers().len(), MOST_CLIENTS + 1);
    assert_eq!(model.borrowers()[0].lent, 1000 - MOST_CLIENTS as u64);
}

#[test]
fn asking_again_is_shown_until_it_is_done() {
    let mut model = model();
    assert_eq!(model.act(Act::Ask), Then::Ask);
    assert!(model.asking);
    model.hear(Heard::Asked, NOW);
    assert!(!model.asking);
}

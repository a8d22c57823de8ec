//! Whole screens, as files: what a person sees is reviewed as a picture and not as assertions.
//! `BLESS=1` writes them anew.

use std::path::Path;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::super::keys::Act;
use super::super::model::Heard;
use super::*;
use crate::clock::Timestamp;
use crate::rpc::{AuditEntry, ClientUse, Info, Status, Usage};

/// Sunday, 22 November 2026, 15:16 UTC.
const NOW: Timestamp = Timestamp(1_795_360_560_000);
const PLAIN: Theme = Theme { colour: false, ascii: false };

fn ago(secs: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(secs))
}

fn ahead(secs: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(secs))
}

fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn login(account: &str, state: &str, email: &str, problem: Option<&str>) -> Status {
    read(serde_json::json!({
        "vendor": "openai", "account": account, "connected": true, "state": state,
        "account_email": email, "account_id": "acc", "plan": "plus",
        "expires_at": ahead(7 * 86_400), "refresh_at": ahead(5 * 86_400), "last_refresh_at": ago(3 * 86_400),
        "last_error": problem.map(|message| serde_json::json!({"reason": "x", "message": message, "at": ago(40)})),
    }))
}

fn used(client: &str, day: Option<&str>, requests: u64, tokens: u64, streams: u64) -> ClientUse {
    read(serde_json::json!({
        "client": client, "day": day, "requests": requests, "input_tokens": tokens,
        "cached_tokens": 0, "output_tokens": 0, "streams": streams,
    }))
}

fn usage(used_percent: [f64; 2], clients: Vec<ClientUse>) -> Usage {
    let window = |name: &str, percent: f64, minutes: u64, resets_at: Timestamp| {
        read(serde_json::json!({
            "name": name, "used_percent": percent, "window_minutes": minutes, "resets_at": resets_at,
        }))
    };
    let windows = vec![
        window("primary", used_percent[0], 300, ahead(2 * 3600 + 14 * 60)),
        window("secondary", used_percent[1], 10_080, ahead(5 * 86_400 + 3600)),
    ];
    Usage { plan: Some("plus".into()), windows, observed_at: Some(ago(75)), clients }
}

fn entry(
    secs_ago: u64,
    client: &str,
    method: &str,
    outcome: &str,
    count: Option<u64>,
) -> AuditEntry {
    read(serde_json::json!({
        "at": ago(secs_ago), "client": {"pid": 4711, "uid": 1000, "exe": format!("/usr/bin/{client}")},
        "method": method, "vendor": "openai", "account": "default", "outcome": outcome, "count": count,
    }))
}

/// A model of an ordinary afternoon, with so many logins and clients.
fn afternoon(logins: usize, clients: usize) -> Model {
    let mut model = Model::new(NOW);
    let info: Info = read(serde_json::json!({
        "name": "valetkey", "version": "0.1.0", "protocol": 1, "pid": 4242, "started_at": ago(4 * 86_400),
        "uptime": 345_600, "socket": "/run/user/1000/valetkey/valetkey.sock", "http": "127.0.0.1:8459",
        "vendors": ["openai"],
    }));
    model.hear(Heard::Linked(Box::new(info)), NOW);
    let problem = Some(
        "The issuer could not be reached: connection refused (os error 111); it is tried again.",
    );
    let all = [
        login("default", "active", "ann@example.org", None),
        login("work", "degraded", "ann@work.example", problem),
        Status::signed_out("openai", "spare"),
    ];
    model.hear(Heard::Logins("openai".into(), all[..logins].to_vec()), NOW);
    let mut uses = Vec::new();
    for at in 0..clients {
        let name =
            ["codex", "aider", "opencode", "editor", "ci", "litellm-a-rather-long-name"][at % 6];
        let (name, at) = (if at < 6 { name.to_owned() } else { format!("{name}-{at}") }, at as u64);
        uses.push(used(&name, None, 40 / (at + 1), 345_678 / (at + 1), u64::from(at == 1)));
        uses.push(used(&name, Some("2026-11-22"), 4, 12_345 / (at + 1), 0));
    }
    for (account, percent) in
        [("default", [34.4, 91.0]), ("work", [72.0, 3.0])].into_iter().take(logins)
    {
        let usage = usage(percent, uses.clone());
        model.hear(Heard::Usage("openai".into(), account.into(), Ok(Box::new(usage))), NOW);
    }
    model.hear(
        Heard::Usage("openai".into(), "spare".into(), Err("nobody is signed in".into())),
        NOW,
    );
    let mut trail = vec![
        entry(90_000, "valetkey", "login.start", "ok", None),
        entry(3_700, "editor", "token", "login_required", None),
        entry(600, "valetkey", "accounts.use", "ok", None),
        entry(302, "aider", "responses.create", "upstream_error", None),
        entry(301, "aider", "responses.create", "upstream_error", None),
        entry(4, "aider", "chat.completions.create", "ok", None),
        entry(2, "bot", "token", "ok", None),
        entry(1, "bot", "token", "ok", Some(37)),
    ];
    trail.extend(
        (0..40).map(|at| entry(400 - at * 9, "codex", "responses.create", "ok", Some(1 + at % 5))),
    );
    trail.sort_by_key(|entry| entry.at);
    model.hear(Heard::Trail(trail), NOW);
    for (secs_ago, tokens) in [(200, 0), (150, 9_000), (100, 4_000), (60, 30_000), (20, 12_000)] {
        model.tokens.add(ago(secs_ago), f64::from(tokens), Duration::ZERO);
    }
    model.tick(NOW);
    model
}

fn drawn(model: &Model, theme: Theme, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, model, theme)).unwrap();
    terminal.backend().buffer().clone()
}

/// The characters of a screen, line by line, without the blanks at their ends.
fn text(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width);
    let lines = buffer.content.chunks(columns).map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    lines.collect()
}

#[track_caller]
fn is_golden(name: &str, model: &Model, theme: Theme, columns: u16, rows: u16) {
    let shown = text(&drawn(model, theme, columns, rows));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/watch/{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        return std::fs::write(file, shown).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(shown == golden, "{name} is now:\n{shown}\nand was:\n{golden}");
}

#[test]
fn an_ordinary_afternoon_on_a_small_and_on_a_large_screen() {
    is_golden("80x24", &afternoon(1, 4), PLAIN, 80, 24);
    is_golden("80x24-crowded", &afternoon(3, 30), PLAIN, 80, 24);
    is_golden("200x50", &afternoon(1, 4), PLAIN, 200, 50);
    is_golden("200x50-crowded", &afternoon(3, 30), PLAIN, 200, 50);
    is_golden("60x16", &afternoon(1, 4), PLAIN, 60, 16);
}

#[test]
fn in_a_locale_without_more_every_character_is_ascii() {
    let ascii = Theme { colour: false, ascii: true };
    let mut model = afternoon(2, 4);
    model.hear(Heard::Changed(Box::new(login("default", "active", "änn@exämple.org", None))), NOW);
    is_golden("80x24-ascii", &model, ascii, 80, 24);
    for act in [Act::Help, Act::Filter] {
        model.act(act);
        for (columns, rows) in [(80, 24), (200, 50)] {
            let shown = text(&drawn(&model, ascii, columns, rows));
            assert!(shown.is_ascii(), "{shown}");
        }
        model.act(Act::Back);
    }
}

#[test]
fn what_can_be_asked_for_is_shown() {
    let mut model = afternoon(1, 4);
    model.act(Act::Help);
    is_golden("80x24-help", &model, PLAIN, 80, 24);
    model.act(Act::Back);
    model.act(Act::All);
    model.act(Act::Filter);
    for letter in "aider".chars() {
        model.act(Act::Type(letter));
    }
    is_golden("80x24-filter", &model, PLAIN, 80, 24);
    model.act(Act::Done);
    assert!(text(&drawn(&model, PLAIN, 80, 24)).contains("filter: aider (Esc clears)"));
    model.act(Act::PreviousPane);
    assert!(text(&drawn(&model, PLAIN, 80, 24)).contains("› 15:"), "the chosen row has a mark");
}

#[test]
fn the_chosen_line_of_what_happened_is_shown_whole() {
    let mut model = afternoon(2, 4);
    assert!(!text(&drawn(&model, PLAIN, 80, 24)).contains("tried again."));
    model.act(Act::PreviousPane);
    for _ in 0..9 {
        let shown = text(&drawn(&model, PLAIN, 80, 30));
        if shown.contains("tried again.") {
            return;
        }
        model.act(Act::Down);
    }
    panic!("{}", text(&drawn(&model, PLAIN, 80, 30)));
}

#[test]
fn before_the_first_word_and_after_the_last_the_screen_says_so() {
    let model = Model::new(NOW);
    is_golden("80x24-connecting", &model, PLAIN, 80, 24);
    let mut model = afternoon(1, 2);
    let why =
        "no daemon answers at /run/user/1000/valetkey/valetkey.sock: No such file or directory";
    model.hear(Heard::Lost { why: why.into(), again_at: ahead(4) }, NOW);
    is_golden("80x24-gone", &model, PLAIN, 80, 24);
}

#[test]
fn a_window_of_any_size_is_drawn_and_one_that_is_too_small_says_so() {
    let model = afternoon(3, 30);
    for columns in [0, 1, 7, 59, 60, 61, 79, 80, 119, 120, 121, 250] {
        for rows in [0, 1, 2, 15, 16, 17, 23, 24, 25, 60] {
            drawn(&model, PLAIN, columns, rows);
        }
    }
    let shown = text(&drawn(&model, PLAIN, 59, 30));
    assert!(
        shown.starts_with("This window is 59 by 30.\nThere is room from 60 by 16 on.\n"),
        "{shown}"
    );
}

#[test]
fn colours_are_an_addition_that_can_be_declined() {
    let mut model = afternoon(3, 30);
    let coloured = |model: &Model, theme| {
        let buffer = drawn(model, theme, 120, 40);
        buffer
            .content
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert_eq!(coloured(&model, PLAIN), 0);
    assert!(coloured(&model, Theme { colour: true, ascii: false }) > 50);
    model.act(Act::Help);
    assert_eq!(coloured(&model, PLAIN), 0);
}

#[test]
fn foreign_words_cannot_drive_the_terminal() {
    let mut model = afternoon(1, 1);
    let evil = "\u{1b}[2J\u{7}\r\nx\u{202e}";
    model.hear(Heard::Changed(Box::new(login("default", "degraded", evil, Some(evil)))), NOW);
    model.hear(Heard::Trail(vec![entry(0, evil, evil, evil, None)]), NOW);
    let mut usage = usage([1.0, 1.0], vec![used(evil, None, 1, 1, 1)]);
    usage.windows[1].used_percent = f64::NAN;
    usage.windows[0].name = evil.to_owned();
    let told = Heard::Usage("openai".into(), "default".into(), Ok(Box::new(usage)));
    model.hear(told, NOW);
    for (columns, rows) in [(80, 24), (200, 50)] {
        let shown = text(&drawn(&model, PLAIN, columns, rows));
        assert!(
            !shown.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{shown:?}"
        );
    }
}

//! What stands in each pane, as lines.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::super::look::Pane;
use super::super::model::{Borrower, Limits, Model};
use super::super::recent::{Happening, Level};
use super::super::series::SLICE;
use super::paint::{Content, Painter, Row};
use super::words::{age, countdown, cut, left, right, time_or_day, width};
use super::{Theme, one};
use crate::cli::usage::{ERROR_PERCENT, WARN_PERCENT, label};
use crate::cli::words::{count, life_left, until, wrapped};
use crate::clock::Timestamp;
use crate::rpc::{State, Status, Window};

/// From here on there is room for what is only good to know.
const ROOMY: u16 = 76;
/// The width of a login's bar where there is room, so that a twentieth of its life can be seen, and else.
const LIFE_WIDTH: (usize, usize) = (20, 8);
/// What is said of limits that nobody has told yet.
const UNKNOWN: &str = "nothing is known yet; the first completion brings it";
/// What is said where the filter leaves nothing.
const FILTERED: &str = "none that the filter lets through";
/// From here down the life of a token is shown as running out.
const LITTLE_LIFE: f64 = 0.25;
/// The width of a limit's bar, where there is room, and at least.
const LIMIT_WIDTH: (usize, usize) = (30, 10);
/// What a limit's line needs beside its bar and its label: a percentage, and when it resets.
const LIMIT_REST: usize = 55;
/// What a borrower's line needs to name the process as well.
const PID_COLUMNS: u16 = 92;
/// What a sparkline's title needs to tell of its time.
const TITLE_COLUMNS: u16 = 36;
/// The width of a client's name; the rest of a longer one tells little.
const NAME_WIDTH: usize = 20;
/// The width of a number.
const NUMBER_WIDTH: usize = 8;

/// Who is signed in, and how long each token lives.
pub(super) fn logins(model: &Model, theme: Theme, columns: u16) -> Content {
    let rows =
        model.logins().into_iter().map(|status| login(status, model.now, theme, columns)).collect();
    let empty = if model.logins.is_empty() { "none" } else { FILTERED };
    Content { title: "Logins".into(), header: None, rows, empty: empty.into() }
}

fn login(status: &Status, now: Timestamp, theme: Theme, columns: u16) -> Row {
    let (state, style) = match status.state {
        State::SignedOut => ("signed out", theme.faint()),
        State::Active => ("connected", theme.good()),
        State::Refreshing => ("refreshing", theme.good()),
        State::Degraded => ("degraded", theme.warn()),
        State::LoginRequired => ("login required", theme.error()),
        State::Locked => ("locked", theme.warn()),
    };
    let mut head = vec![
        Span::styled(format!("{} {state}", theme.dot()), style),
        Span::styled(
            format!("  {}/{}", theme.shown(&status.vendor), status.account),
            theme.strong(),
        ),
    ];
    for fact in [&status.account_email, &status.plan].into_iter().flatten() {
        head.push(Span::raw(format!("  {}", theme.shown(fact))));
    }
    let mut lines = vec![Line::from(head), life(status, now, theme, columns)];
    if let Some(problem) = &status.last_error {
        let text = format!("  {}", theme.shown(&problem.message));
        lines.push(Line::styled(text, theme.warn()));
    }
    Row { lines }
}

fn life(status: &Status, now: Timestamp, theme: Theme, columns: u16) -> Line<'static> {
    let Some(ends) = status.expires_at else {
        return Line::styled("  no token; `valetkey login` gets one", theme.faint());
    };
    if ends <= now {
        return Line::styled(format!("  ended {} ago", countdown(now.since(ends))), theme.error());
    }
    let mut spans = vec![Span::raw("  ")];
    if let Some(began) = status.last_refresh_at {
        let share = life_left(began, ends, now);
        let style = if share > LITTLE_LIFE { theme.good() } else { theme.warn() };
        let width = if columns >= ROOMY { LIFE_WIDTH.0 } else { LIFE_WIDTH.1 };
        spans.extend(bar(share, width, style, theme));
    }
    spans.push(Span::raw(format!("  ends in {}", countdown(ends.since(now)))));
    if let Some(refresh_at) = status.refresh_at {
        let words = match refresh_at > now {
            true => format!("  renews in {}", countdown(refresh_at.since(now))),
            false => "  renews now".to_owned(),
        };
        spans.push(Span::styled(words, theme.faint()));
    }
    Line::from(spans)
}

/// A share as a bar and in percent.
fn bar(share: f64, width: usize, style: Style, theme: Theme) -> Vec<Span<'static>> {
    let (full, empty) = theme.bar(share, width);
    let share = if share.is_finite() { share.max(0.0) } else { 0.0 };
    vec![
        Span::styled(full, style),
        Span::styled(empty, theme.faint()),
        Span::styled(format!(" {:3.0} %", share * 100.0), style),
    ]
}

/// What is left of each subscription.
pub(super) fn limits(model: &Model, theme: Theme, columns: u16) -> Content {
    let limits = model.limits();
    let several = limits.len() > 1;
    let name = |of: &Limits| match several {
        true => format!("{}/{}  ", theme.shown(&of.vendor), of.account),
        false => String::new(),
    };
    let label = |of: &Limits, window: &Window| name(of) + &theme.shown(&label(window));
    let labels =
        limits.iter().flat_map(|of| of.usage.windows.iter().map(|it| width(&label(of, it))));
    let label_width = labels.max().unwrap_or_default();
    let mut rows = Vec::new();
    for of in &limits {
        if of.usage.windows.is_empty() {
            let (text, style) = match &of.trouble {
                Some(trouble) => (theme.shown(trouble), theme.warn()),
                None => (UNKNOWN.to_owned(), theme.faint()),
            };
            rows.push(one(Line::styled(name(of) + &text, style)));
        }
        for window in &of.usage.windows {
            let label = left(&label(of, window), label_width);
            rows.push(one(limit(window, label, model.now, theme, columns)));
        }
    }
    let seen = limits.iter().filter_map(|of| of.usage.observed_at).min();
    let title = match seen {
        Some(at) => format!("Limits, as of {}", age(model.now.since(at))),
        None => "Limits".to_owned(),
    };
    let empty = if model.look.filter.is_empty() { "nobody is signed in" } else { FILTERED };
    Content { title, header: None, rows, empty: empty.into() }
}

fn limit(
    window: &Window,
    label: String,
    now: Timestamp,
    theme: Theme,
    columns: u16,
) -> Line<'static> {
    let percent = window.used_percent;
    let style = match percent {
        percent if percent >= ERROR_PERCENT => theme.error(),
        percent if percent >= WARN_PERCENT => theme.warn(),
        _ => theme.good(),
    };
    let (most, least) = LIMIT_WIDTH;
    let room = usize::from(columns).saturating_sub(LIMIT_REST + width(&label)).clamp(least, most);
    let mut spans = vec![Span::raw(format!("{label}  "))];
    spans.extend(bar(percent / 100.0, room, style, theme));
    if let Some(at) = window.resets_at {
        let mut when = until(at, now);
        if columns < ROOMY {
            // Without the date.
            when.truncate(when.find(" (").unwrap_or(when.len()));
        }
        spans.push(Span::styled(format!("  resets {when}"), theme.faint()));
    }
    Line::from(spans)
}

/// Who uses it.
pub(super) fn borrowers(model: &Model, theme: Theme, width: u16) -> Content {
    let columns = ["streams", "requests", "tokens", "today", "lent"];
    let mut header = left("client", NAME_WIDTH);
    columns.iter().for_each(|name| header.push_str(&right(name, NUMBER_WIDTH + 1)));
    header.push_str("  last call");
    let rows: Vec<Row> = model
        .borrowers()
        .iter()
        .map(|borrower| one(of_borrower(borrower, model.now, theme, width)))
        .collect();
    let empty = if model.look.filter.is_empty() { "nobody yet" } else { FILTERED };
    let header = Some(Line::raw(header));
    Content { title: "Borrowers".into(), header, rows, empty: empty.into() }
}

fn of_borrower(borrower: &Borrower, now: Timestamp, theme: Theme, columns: u16) -> Line<'static> {
    let at_work = if borrower.streams > 0 { theme.good() } else { Style::new() };
    let number = |number: u64| right(&count(number), NUMBER_WIDTH + 1);
    let pid = borrower.pid.filter(|_| columns >= PID_COLUMNS);
    let last = match (borrower.last_at, pid) {
        (Some(at), Some(pid)) => format!("  {}, pid {pid}", age(now.since(at))),
        (Some(at), None) => format!("  {}", age(now.since(at))),
        (None, _) => String::new(),
    };
    let numbers = [borrower.requests, borrower.tokens, borrower.tokens_today, borrower.lent]
        .map(number)
        .concat();
    Line::from(vec![
        Span::styled(left(&theme.shown(&borrower.name), NAME_WIDTH), at_work),
        Span::styled(number(borrower.streams), at_work),
        Span::raw(numbers),
        Span::styled(last, theme.faint()),
    ])
}

/// What happened, the latest first; the chosen one in full where it is looked at.
pub(super) fn recent(model: &Model, theme: Theme, columns: u16) -> Content {
    let told = model.recent();
    let chosen =
        (model.look.pane == Pane::Recent).then(|| model.look.row(Pane::Recent, told.len()));
    let rows = told
        .into_iter()
        .enumerate()
        .map(|(at, happening)| {
            of_happening(happening, model.now, theme, columns, chosen == Some(at))
        })
        .collect();
    let title = if model.look.all {
        "Recent calls, refreshes and errors"
    } else {
        "Recent refreshes and errors"
    };
    let empty = match (model.look.filter.is_empty(), model.look.all) {
        (true, false) => "nothing yet; `a` shows every call",
        (true, true) => "nothing yet",
        (false, _) => FILTERED,
    };
    Content { title: title.into(), header: None, rows, empty: empty.into() }
}

fn of_happening(of: &Happening, now: Timestamp, theme: Theme, columns: u16, whole: bool) -> Row {
    let style = match of.level {
        Level::Everyday => theme.faint(),
        Level::Good => theme.good(),
        Level::Warn => theme.warn(),
        Level::Error => theme.error(),
    };
    let mut what = theme.shown(&of.what);
    if of.count > 1 {
        what.push_str(&format!(" {}{}", theme.times(), count(of.count)));
    }
    if let Some(login) = of.login.as_ref().filter(|login| **login != of.who) {
        what.push_str(&format!("  {}", theme.shown(login)));
    }
    // Before it: the mark, the time, the name, and what sets them apart.
    let before = 2 + 8 + 2 + NAME_WIDTH + 2;
    let room = usize::from(columns).saturating_sub(before);
    let mut texts = if whole { wrapped(&what, room) } else { vec![cut(&what, room)] }.into_iter();
    let first = Line::from(vec![
        Span::styled(format!("{}  ", time_or_day(of.at, now)), theme.faint()),
        Span::raw(format!("{}  ", left(&theme.shown(&of.who), NAME_WIDTH))),
        Span::styled(texts.next().unwrap_or_default(), style),
    ]);
    let more = texts
        .map(|text| Line::from(vec![Span::raw(" ".repeat(before - 2)), Span::styled(text, style)]));
    Row { lines: std::iter::once(first).chain(more).collect() }
}

/// How much happens, as two sparklines.
pub(super) fn traffic(painter: &mut Painter<'_, '_>, calls: Rect, tokens: Rect) {
    let model = painter.model;
    let values = model.calls.last(usize::from(calls.width));
    // The last slice has only begun, so the one before counts as well.
    let latest = values.iter().rev().take(2).copied().fold(0.0, f64::max);
    let a_second = format!(" {:.1}/s ", latest / SLICE.as_secs_f64());
    painter.title(calls, &title("Calls", calls), &a_second, false);
    sparkline(painter, calls, &values);
    let values = model.tokens.last(usize::from(tokens.width));
    // Whole and not negative, being a sum of counts.
    let sum = format!(" {} ", count(values.iter().sum::<f64>().round() as u64));
    painter.title(tokens, &title("Tokens", tokens), &sum, false);
    sparkline(painter, tokens, &values);
}

/// What is shown, and of which time where there is room.
fn title(what: &str, area: Rect) -> String {
    if area.width < TITLE_COLUMNS {
        return what.to_owned();
    }
    format!("{what}, {}", minutes(area.width.into()))
}

/// What so many slices cover.
fn minutes(slices: usize) -> String {
    let secs = slices as u64 * SLICE.as_secs();
    match secs / 60 {
        0 | 1 => format!("last {secs} s"),
        minutes => format!("last {minutes} min"),
    }
}

/// Fills the area below its first line, a column for each value, the highest as high as there is room.
fn sparkline(painter: &mut Painter<'_, '_>, area: Rect, values: &[f64]) {
    let rows = area.height.saturating_sub(1);
    let most = values.iter().copied().fold(0.0, f64::max);
    let theme = painter.theme;
    for row in 0..rows {
        let line: String = values
            .iter()
            .map(|value| theme.eighths()[eighth(*value, most, rows, rows - 1 - row)])
            .collect();
        painter.line(area, 1 + row, Line::styled(line, theme.hint()));
    }
}

/// How many eighths of a row, counted from the floor, a value fills. What is there at all can be seen.
fn eighth(value: f64, most: f64, rows: u16, row: u16) -> usize {
    if value <= 0.0 || most <= 0.0 {
        return 0;
    }
    let height = (value / most * f64::from(rows) * 8.0).round().max(1.0);
    // At most eight, which no cast can cut.
    (height - f64::from(row) * 8.0).clamp(0.0, 8.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_is_as_high_as_its_room_and_hides_nothing() {
        assert_eq!(eighth(0.0, 5.0, 1, 0), 0);
        assert_eq!(eighth(5.0, 5.0, 1, 0), 8);
        assert_eq!(eighth(0.001, 5.0, 1, 0), 1);
        assert_eq!((eighth(3.0, 4.0, 2, 0), eighth(3.0, 4.0, 2, 1)), (8, 4));
        assert_eq!(eighth(1.0, 0.0, 1, 0), 0);
        assert_eq!(eighth(1.0, f64::NAN, 1, 0), 1);
        assert_eq!((minutes(40), minutes(200)), ("last 80 s".into(), "last 6 min".into()));
    }
}

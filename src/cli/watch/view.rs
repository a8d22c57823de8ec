//! The model as a screen: which pane stands where, and what frames them. Pure but for the buffer it fills.
//!
//! On 80 columns the panes stand on each other and give way to what has more to tell; from
//! [`WIDE_COLUMNS`] on logins and borrowers stand beside limits and traffic. Nothing depends on colour.

mod paint;
mod panes;
mod theme;
pub(super) mod words;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::keys::KEYS;
use super::look::Pane;
use super::model::{Link, Model};
use paint::{Painter, Row};
pub(super) use theme::Theme;
use words::{clock_of, countdown};

/// What the least that is worth showing takes.
pub(super) const LEAST: (u16, u16) = (60, 16);
/// From here on there is room for two panes beside each other.
const WIDE_COLUMNS: u16 = 120;
/// The width of the longest line of the help, and its frame.
const HELP_COLUMNS: u16 = 68;
/// Rows of a sparkline on a large screen.
const TALL_TRAFFIC: u16 = 6;

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, model: &Model, theme: Theme) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, area);
    }
    let [head, middle, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)])
            .areas(area);
    frame.render_widget(header(model, theme, head.width), head);
    let columns = if area.width >= WIDE_COLUMNS { area.width / 2 - 1 } else { area.width };
    let panes = Panes {
        logins: panes::logins(model, theme, columns),
        limits: panes::limits(model, theme, columns),
        borrowers: panes::borrowers(model, theme, columns),
    };
    let places =
        if area.width >= WIDE_COLUMNS { wide(middle, &panes) } else { narrow(middle, &panes) };
    let mut painter = Painter { frame, model, theme };
    painter.pane(Pane::Logins, places.logins, panes.logins);
    painter.pane(Pane::Limits, places.limits, panes.limits);
    painter.pane(Pane::Borrowers, places.borrowers, panes.borrowers);
    painter.pane(Pane::Recent, places.recent, panes::recent(model, theme, places.recent.width));
    panes::traffic(&mut painter, places.calls, places.tokens);
    frame.render_widget(footer(model, theme, foot.width), foot);
    if model.look.help {
        help(frame, area, theme);
    }
}

/// What the panes hold whose length decides on the room that they get.
struct Panes {
    logins: paint::Content,
    limits: paint::Content,
    borrowers: paint::Content,
}

/// Where each pane stands.
struct Places {
    logins: Rect,
    limits: Rect,
    borrowers: Rect,
    recent: Rect,
    calls: Rect,
    tokens: Rect,
}

/// On each other. The lower a pane stands the more it gets of what the others leave.
fn narrow(area: Rect, panes: &Panes) -> Places {
    // Titles included, the least of each: 3 logins, 3 limits, 2 traffic, 3 borrowers, 3 happenings.
    let spare = area.height.saturating_sub(14);
    let logins = panes.logins.height().min(3 + spare / 4);
    let spare = spare + 3 - logins;
    let limits = panes.limits.height().min(3 + spare / 3);
    let spare = spare + 3 - limits;
    let borrowers = panes.borrowers.height().min(3 + spare / 2);
    let [logins, limits, traffic, borrowers, recent] = Layout::vertical([
        Constraint::Length(logins),
        Constraint::Length(limits),
        Constraint::Length(2),
        Constraint::Length(borrowers),
        Constraint::Min(0),
    ])
    .areas(area);
    let [calls, tokens] = halves(traffic);
    Places { logins, limits, borrowers, recent, calls, tokens }
}

/// Two columns, and what happened below them.
fn wide(area: Rect, panes: &Panes) -> Places {
    let traffic = (area.height / 8).clamp(2, TALL_TRAFFIC);
    let left = panes.logins.height() + panes.borrowers.height();
    let right = panes.limits.height() + 2 * traffic;
    let upper = left.max(right).clamp(11, 11.max(area.height * 2 / 3));
    let [upper, recent] =
        Layout::vertical([Constraint::Length(upper), Constraint::Min(3)]).areas(area);
    let [left, right] = halves(upper);
    let logins = panes.logins.height().min(3.max(left.height / 2));
    let [logins, borrowers] =
        Layout::vertical([Constraint::Length(logins), Constraint::Min(3)]).areas(left);
    let limits = panes.limits.height().min(3.max(right.height.saturating_sub(2 * traffic)));
    let [limits, calls, tokens] =
        Layout::vertical([Constraint::Length(limits), Constraint::Fill(1), Constraint::Fill(1)])
            .areas(right);
    Places { logins, limits, borrowers, recent, calls, tokens }
}

/// With a column between them.
fn halves(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2).areas(area)
}

fn too_small(frame: &mut Frame<'_>, area: Rect) {
    let (columns, rows) = LEAST;
    let text = [
        format!("This window is {} by {}.", area.width, area.height),
        format!("There is room from {columns} by {rows} on."),
    ];
    frame.render_widget(Paragraph::new(text.map(Line::from).to_vec()), area);
}

/// One line: who is watched, or that nobody is there.
fn header(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    let mut left = vec![Span::styled("valetkey", theme.strong())];
    if let Some(info) = &model.info {
        left.push(Span::raw(format!(" {}", theme.shown(&info.version))));
    }
    match (&model.link, &model.info) {
        (Link::Up, Some(info)) => {
            let up = countdown(model.now.since(info.started_at));
            let mut facts = format!("  pid {}  up {up}", info.pid);
            if let Some(door) = &info.http {
                facts.push_str(&format!("  http {}", theme.shown(door)));
            }
            left.push(Span::styled(facts, theme.faint()));
        }
        (Link::Down { why, again_at }, _) => {
            let left_to_wait = again_at.since(model.now).as_secs();
            let text = format!("  The daemon is gone; looked for again in {left_to_wait} s. ");
            left.push(Span::styled(text, theme.error()));
            left.push(Span::styled(theme.shown(why), theme.faint()));
        }
        _ => left.push(Span::styled("  connecting", theme.warn())),
    }
    let right = format!("{} UTC", clock_of(model.now));
    words::spread(left, Span::styled(right, theme.faint()), width)
}

/// One line: what can be done, or what is being typed.
fn footer(model: &Model, theme: Theme, width: u16) -> Line<'static> {
    let look = &model.look;
    let filter = theme.shown(&look.filter);
    if look.typing {
        let cursor = Span::styled(" ", theme.cursor());
        let hint = Span::styled("  Enter keeps it, Esc clears it", theme.faint());
        return Line::from(vec![
            Span::styled("filter: ", theme.hint()),
            Span::raw(filter),
            cursor,
            hint,
        ]);
    }
    let mut keys = Vec::new();
    for (key, what) in [
        ("q", "quit"),
        ("Tab", "pane"),
        ("j/k", "row"),
        ("/", "filter"),
        ("a", "all"),
        ("r", "ask"),
        ("?", "help"),
    ] {
        keys.push(Span::styled(key, theme.hint()));
        keys.push(Span::styled(format!(" {what}  "), theme.faint()));
    }
    let right = match (filter.is_empty(), model.asking) {
        (false, _) => Span::styled(format!("filter: {filter} (Esc clears)"), theme.warn()),
        (true, true) => Span::styled("asking".to_owned(), theme.hint()),
        (true, false) => Span::raw(""),
    };
    words::spread(keys, right, width)
}

/// The keys, over everything else.
fn help(frame: &mut Frame<'_>, area: Rect, theme: Theme) {
    let mut lines = vec![Line::default()];
    for (key, what) in KEYS {
        let key = Span::styled(format!("  {key:18}"), theme.hint());
        lines.push(Line::from(vec![key, Span::raw(what)]));
    }
    for text in [
        "",
        "  streams: completions under way now; requests: those that ended",
        "  tokens: since the daemon started; today: since midnight UTC",
        "  lent: how often a token was lent, as the audit trail tells",
    ] {
        lines.push(Line::styled(text, theme.faint()));
    }
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = HELP_COLUMNS.min(area.width);
    let middle = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let block = Block::bordered().border_set(theme.borders()).title(" Keys ").style(Style::reset());
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(lines).block(block), middle);
}

/// A row of a single line.
fn one(line: Line<'static>) -> Row {
    Row { lines: vec![line] }
}

#[cfg(test)]
mod tests;

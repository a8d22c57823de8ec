//! `valetkey usage`: the subscription's limits as bars, and who has used how much of it.

use std::io;

use anstyle::Style;
use serde_json::value::to_raw_value;

use crate::clock::{Clock, Timestamp};
use crate::rpc::{ClientUse, Usage, Window};

use super::Done;
use super::args;
use super::connect::Context;
use super::output::{self, ERROR, FAINT, GOOD, STRONG, WARN, beyond_ascii, columns_of_stdout, say};
use super::words::{bar, count, day_of, moment, plain, until};

/// The bar's width in characters, where there is room: a percent or two can be seen.
const BAR_WIDTH_MAX: usize = 40;
/// Where not even this much is left, what stands behind the bar goes below it.
const BAR_WIDTH_MIN: usize = 12;

/// From here on a limit is worth a look.
pub(super) const WARN_PERCENT: f64 = 70.0;
/// From here on it is about to be reached.
pub(super) const ERROR_PERCENT: f64 = 90.0;

pub(super) fn run(context: &Context, verb: &args::Usage) -> Done {
    let mut client = context.client()?;
    let which = verb.target.which();
    if verb.json {
        let params = to_raw_value(&which).map_err(io::Error::from)?;
        return Ok(output::json(&client.call_raw("usage", &params, &mut |_, _| {})?)?);
    }
    let usage: Usage = client.call("usage", &which)?;
    let page = Page { columns: columns_of_stdout(), ascii: !beyond_ascii() };
    for line in lines(&usage, Clock::System.now(), page) {
        say(line)?;
    }
    Ok(())
}

/// What the lines are made for.
#[derive(Clone, Copy)]
struct Page {
    columns: usize,
    ascii: bool,
}

fn lines(usage: &Usage, now: Timestamp, page: Page) -> Vec<String> {
    let mut lines = Vec::new();
    if usage.windows.is_empty() {
        lines.push(match usage.observed_at {
            Some(at) => format!("No limit was told when it was asked, {}.", moment(at, now)),
            None => {
                "Nothing is known of the limits yet; the first completion brings it.".to_owned()
            }
        });
    } else {
        lines.push(heading(usage, now));
        lines.extend(windows(&usage.windows, now, page));
    }
    lines.extend(clients(&usage.clients, &day_of(now)));
    lines
}

fn heading(usage: &Usage, now: Timestamp) -> String {
    let plan = usage.plan.as_deref().map_or_else(|| "subscription".to_owned(), plain);
    match usage.observed_at {
        Some(at) => format!("{STRONG}{plan}{STRONG:#}  {FAINT}as of {}{FAINT:#}", moment(at, now)),
        None => format!("{STRONG}{plan}{STRONG:#}"),
    }
}

/// A window's length says more than `primary` does; a limit with a name of its own keeps it.
pub(super) fn label(window: &Window) -> String {
    let length = window.window_minutes.map(|minutes| match minutes {
        minutes if minutes >= 1440 && minutes % 1440 == 0 => format!("{} d", minutes / 1440),
        minutes if minutes >= 60 && minutes % 60 == 0 => format!("{} h", minutes / 60),
        minutes => format!("{minutes} min"),
    });
    match (window.name.as_str(), length) {
        ("primary" | "secondary", Some(length)) => length,
        (name, Some(length)) => format!("{}, {length}", plain(name)),
        (name, None) => plain(name),
    }
}

/// A line for each window, with bars of one width; two where the terminal is too narrow for one.
fn windows(windows: &[Window], now: Timestamp, page: Page) -> Vec<String> {
    let labels: Vec<String> = windows.iter().map(label).collect();
    let resets: Vec<Option<String>> = windows
        .iter()
        .map(|window| window.resets_at.map(|at| format!("resets {}", until(at, now))))
        .collect();
    let widest = |texts: &mut dyn Iterator<Item = &String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or_default()
    };
    let (label_width, behind) = (widest(&mut labels.iter()), widest(&mut resets.iter().flatten()));
    // Set in, and set apart from the bar; behind it ` 100 %`.
    let before = 2 + label_width + 2;
    let left = page.columns.saturating_sub(before + 6);
    let beside = left.saturating_sub(2 + behind) >= BAR_WIDTH_MIN;
    let width = if beside { left - 2 - behind } else { left };
    let width = width.clamp(BAR_WIDTH_MIN, BAR_WIDTH_MAX);
    let mut lines = Vec::new();
    for ((window, label), resets) in windows.iter().zip(&labels).zip(resets) {
        let mut line =
            format!("  {label:label_width$}  {}", drawn(window.used_percent, width, page));
        let resets = resets.map(|resets| format!("{FAINT}{resets}{FAINT:#}"));
        if let (Some(resets), true) = (&resets, beside) {
            line = format!("{line}  {resets}");
        }
        lines.push(line);
        if let (Some(resets), false) = (resets, beside) {
            lines.push(format!("{:before$}{resets}", ""));
        }
    }
    lines
}

/// A share as a bar and a number, in the colour of how pressing it is.
fn drawn(percent: f64, width: usize, page: Page) -> String {
    let percent = if percent.is_finite() { percent.max(0.0) } else { 0.0 };
    let (mut full, mut empty) = bar(percent / 100.0, width);
    if page.ascii {
        (full, empty) = ("#".repeat(full.chars().count()), "-".repeat(empty.chars().count()));
    }
    let style = level(percent);
    format!("{style}{full}{style:#}{FAINT}{empty}{FAINT:#} {style}{percent:3.0} %{style:#}")
}

fn level(percent: f64) -> Style {
    if percent >= ERROR_PERCENT {
        ERROR
    } else if percent >= WARN_PERCENT {
        WARN
    } else {
        GOOD
    }
}

/// Who has used how much, since the daemon started and today; the greediest first.
fn clients(uses: &[ClientUse], today: &str) -> Vec<String> {
    let mut names: Vec<&str> = uses
        .iter()
        .filter(|used| used.day.as_deref().is_none_or(|day| day == today))
        .map(|used| used.client.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    let find = |name: &str, day: Option<&str>| {
        uses.iter().find(|used| used.client == name && used.day.as_deref() == day)
    };
    names.sort_by_key(|name| std::cmp::Reverse(find(name, None).map_or(0, tokens)));
    if names.is_empty() {
        return Vec::new();
    }
    let cells = |name: &str| {
        let (sum, day) = (find(name, None), find(name, Some(today)));
        let requests = |used: Option<&ClientUse>| count(used.map_or(0, |used| used.requests));
        let tokens = |used: Option<&ClientUse>| count(used.map_or(0, tokens));
        [plain(name), requests(sum), tokens(sum), requests(day), tokens(day)]
    };
    let title = ["client", "requests", "tokens", "today", "tokens"].map(str::to_owned);
    let rows: Vec<[String; 5]> =
        std::iter::once(title).chain(names.into_iter().map(cells)).collect();
    let wide =
        |cell: usize| rows.iter().map(|row| row[cell].chars().count()).max().unwrap_or_default();
    let widths = [wide(0), wide(1), wide(2), wide(3), wide(4)];
    let mut lines = vec![String::new()];
    for (at, row) in rows.iter().enumerate() {
        let style = if at == 0 { FAINT } else { Style::new() };
        let [client, numbers @ ..] = row;
        let mut line = format!("  {style}{client:0$}", widths[0]);
        for (number, width) in numbers.iter().zip(&widths[1..]) {
            line.push_str(&format!("  {number:>width$}"));
        }
        lines.push(format!("{line}{style:#}"));
    }
    lines
}

fn tokens(used: &ClientUse) -> u64 {
    used.input_tokens.saturating_add(used.output_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 22 November 2026, 15:16 UTC.
    const NOW: Timestamp = Timestamp(1_795_360_560_000);

    fn window(
        name: &str,
        used_percent: f64,
        minutes: Option<u64>,
        resets_in: Option<i64>,
    ) -> Window {
        Window {
            name: name.to_owned(),
            used_percent,
            window_minutes: minutes,
            resets_at: resets_in.map(|secs| NOW.shifted(secs * 1000)),
        }
    }

    fn shown(usage: &Usage, columns: usize, ascii: bool) -> Vec<String> {
        lines(usage, NOW, Page { columns, ascii })
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect()
    }

    fn plus() -> Usage {
        Usage {
            plan: Some("plus".into()),
            windows: vec![
                window("primary", 34.4, Some(300), Some(2 * 3600 + 14 * 60)),
                window("secondary", 91.0, Some(10_080), Some(5 * 86_400 + 3600)),
            ],
            observed_at: Some(NOW.shifted(-120_000)),
            clients: Vec::new(),
        }
    }

    #[test]
    fn each_window_has_a_bar_and_tells_when_it_resets() {
        assert_eq!(
            shown(&plus(), 80, false),
            [
                "plus  as of 2 minutes ago",
                "  5 h  ━━━━━━━━━──────────────────  34 %  resets in 2 h 14 min (today 17:30 UTC)",
                "  7 d  ━━━━━━━━━━━━━━━━━━━━━━━━━──  91 %  resets in 5 d 1 h (27 Nov 16:16 UTC)",
            ]
            .map(|line| line.to_owned())
        );
    }

    #[test]
    fn a_narrow_window_puts_the_time_below_and_a_plain_one_gets_plain_bars() {
        let narrow = shown(&plus(), 48, true);
        assert!(narrow[1].starts_with("  5 h  ####") && narrow[1].contains('-'), "{narrow:?}");
        assert_eq!(narrow[2], "       resets in 2 h 14 min (today 17:30 UTC)");
        assert!(narrow.iter().all(|line| line.is_ascii() && line.len() <= 48), "{narrow:?}");
    }

    #[test]
    fn nothing_known_is_a_sentence() {
        let shown = shown(&Usage::default(), 80, false);
        assert_eq!(shown, ["Nothing is known of the limits yet; the first completion brings it."]);
    }

    #[test]
    fn a_limit_of_its_own_keeps_its_name_and_numbers_of_any_kind_are_shown() {
        let usage = Usage {
            windows: vec![
                window("spark\u{1b}", f64::NAN, Some(90), None),
                window("primary", 250.0, None, Some(-5)),
            ],
            ..Usage::default()
        };
        let shown = shown(&usage, 60, true);
        assert_eq!(shown[0], "subscription");
        assert!(
            shown[1].starts_with("  spark , 90 min  ----") && shown[1].ends_with("   0 %"),
            "{shown:?}"
        );
        assert!(shown[2].contains("# 250 %  resets now"), "{shown:?}");
    }

    #[test]
    fn clients_are_counted_since_the_start_and_today_the_greediest_first() {
        let used = |client: &str, day: Option<&str>, requests, input_tokens| ClientUse {
            client: client.to_owned(),
            day: day.map(str::to_owned),
            requests,
            input_tokens,
            cached_tokens: 0,
            output_tokens: 50,
            streams: 0,
        };
        let usage = Usage {
            clients: vec![
                used("bot", None, 2, 900),
                used("codex", None, 12, 345_000),
                used("codex", Some("2026-11-22"), 3, 50_000),
                used("codex", Some("2026-11-21"), 9, 295_000),
                used("gone", Some("2026-11-20"), 1, 1),
            ],
            ..Usage::default()
        };
        assert_eq!(
            shown(&usage, 80, false)[1..],
            [
                "",
                "  client  requests  tokens  today  tokens",
                "  codex         12   345 k      3    50 k",
                "  bot            2     950      0       0",
            ]
        );
    }
}

//! Times and texts as they stand in columns. Pure.

use std::time::Duration;

use ratatui::text::{Line, Span};

use crate::clock::Timestamp;

/// A length of time that can be seen to pass: `7 d 12 h`, `2 h 14 min`, `3 min 5 s`, `45 s`.
pub(in super::super) fn countdown(span: Duration) -> String {
    let secs = span.as_secs();
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", secs % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// The time of day in UTC, as `17:30:12`.
pub(super) fn clock_of(at: Timestamp) -> String {
    let written = at.compact();
    let time = written.split_once('T').map_or("", |(_, time)| time);
    let part = |from, to| time.get(from..to).unwrap_or("--");
    format!("{}:{}:{}", part(0, 2), part(2, 4), part(4, 6))
}

/// When something happened: the time on the same day, else the date.
pub(super) fn time_or_day(at: Timestamp, now: Timestamp) -> String {
    let day = crate::cli::words::day_of(at);
    if day == crate::cli::words::day_of(now) {
        return clock_of(at);
    }
    // Without the century, so that it is as wide as a time.
    day.get(2..).unwrap_or(&day).to_owned()
}

/// How wide a text is on the screen, in columns.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// How long ago something was, as short as it can be told.
pub(super) fn age(span: Duration) -> String {
    match span.as_secs() {
        secs @ 0..60 => format!("{secs} s ago"),
        secs @ 60..3600 => format!("{} min ago", secs / 60),
        secs @ 3600..86_400 => format!("{} h ago", secs / 3600),
        secs => format!("{} d ago", secs / 86_400),
    }
}

/// The beginning of a text in at most `columns`, marked where something is missing.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    if columns < 2 {
        return ".".repeat(columns);
    }
    let mut short = String::new();
    for letter in text.chars() {
        short.push(letter);
        if width(&short) + 2 > columns {
            short.pop();
            break;
        }
    }
    short + ".."
}

/// A text in exactly `columns`, from the left.
pub(super) fn left(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let missing = columns.saturating_sub(width(&text));
    text + &" ".repeat(missing)
}

/// The same, from the right.
pub(super) fn right(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    " ".repeat(columns.saturating_sub(width(&text))) + &text
}

/// A line with one text at each end; where there is no room for both, the right one wins.
pub(super) fn spread(
    left: Vec<Span<'static>>,
    right: Span<'static>,
    columns: u16,
) -> Line<'static> {
    let mut room = usize::from(columns).saturating_sub(right.width() + 1);
    let mut spans = Vec::new();
    for span in left {
        if span.width() > room {
            let beginning = cut(&span.content, room);
            room = room.saturating_sub(width(&beginning));
            spans.push(Span::styled(beginning, span.style));
            break;
        }
        room -= span.width();
        spans.push(span);
    }
    spans.push(Span::raw(" ".repeat(room + 1)));
    spans.push(right);
    Line::from(spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_countdown_shows_two_units() {
        for (secs, words) in [
            (0, "0 s"),
            (59, "59 s"),
            (125, "2 min 5 s"),
            (8_040, "2 h 14 min"),
            (648_000, "7 d 12 h"),
        ] {
            assert_eq!(countdown(Duration::from_secs(secs)), words);
        }
    }

    #[test]
    fn a_happening_of_another_day_has_its_date() {
        // Sunday, 22 November 2026, 15:16 UTC.
        let now = Timestamp(1_795_360_560_000);
        assert_eq!(time_or_day(now.minus(Duration::from_secs(61)), now), "15:14:59");
        assert_eq!(time_or_day(now.minus(Duration::from_secs(86_400)), now), "26-11-21");
        assert_eq!(clock_of(Timestamp(u64::MAX)).len(), 8);
    }

    #[test]
    fn columns_hold_whatever_is_put_into_them() {
        assert_eq!(left("codex", 7), "codex  ");
        assert_eq!(right("12", 4), "  12");
        assert_eq!(left("a-long-name", 7), "a-lon..");
        assert_eq!(cut("日本語テキスト", 7), "日本..");
        assert_eq!(width(&left("日本語テキスト", 8)), 8);
        assert_eq!(
            (cut("abc", 2), cut("abc", 1), cut("abc", 0)),
            ("..".into(), ".".into(), String::new())
        );
        let line = spread(vec![Span::raw("left"), Span::raw("middle")], Span::raw("right"), 12);
        assert_eq!(line.to_string(), "left.. right");
        let line = spread(vec![Span::raw("left")], Span::raw("right"), 12);
        assert_eq!(line.to_string(), "left   right");
        for columns in 7..30 {
            let left = vec![Span::raw("one"), Span::raw("two"), Span::raw("three")];
            assert_eq!(spread(left, Span::raw("right"), columns).width(), usize::from(columns));
        }
        let ages = [59, 60, 7_300, 90_000].map(|secs| age(Duration::from_secs(secs)));
        assert_eq!(ages, ["59 s ago", "1 min ago", "2 h ago", "1 d ago"]);
    }
}

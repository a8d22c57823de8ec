//! Times, bars and foreign text as people read them. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// A length of time in its largest fitting unit, as `9 days` or `40 seconds`.
pub(crate) fn span(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] =
        [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let secs = duration.as_secs();
    // Two of a unit before it is used, so that nobody reads "1 day" at 47 hours.
    let (unit, name) =
        UNITS.into_iter().find(|(unit, _)| secs >= 2 * unit).unwrap_or((1, "second"));
    let count = secs / unit;
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

/// A moment relative to `now`: `in 9 days`, `3 minutes ago`, `just now`.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now), now.since(at));
    if ahead.as_secs() > 0 {
        format!("in {}", span(ahead))
    } else if behind.as_secs() > 0 {
        format!("{} ago", span(behind))
    } else {
        "just now".to_owned()
    }
}

/// A moment ahead in words that a plan can be made by: `in 2 h 14 min (today 17:30 UTC)`.
pub(crate) fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.since(now).as_secs();
    if left == 0 {
        return "now".to_owned();
    }
    let (days, hours, minutes) = (left / 86_400, left / 3600 % 24, left / 60 % 60);
    let left = match (days, hours, minutes) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    };
    format!("in {left} ({})", date(at, now))
}

/// `today 17:30 UTC`, `tomorrow 09:05 UTC`, else with the day of the month.
fn date(at: Timestamp, now: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let [_, month, day, hour, minute] = written(at);
    let time = format!("{hour}:{minute} UTC");
    let day_number = |time: Timestamp| time.as_secs() / 86_400;
    match day_number(at).saturating_sub(day_number(now)) {
        0 => format!("today {time}"),
        1 => format!("tomorrow {time}"),
        _ => {
            let index = month.parse::<usize>().unwrap_or_default().saturating_sub(1);
            let month = MONTHS.get(index).copied().unwrap_or_default();
            format!("{} {month} {time}", day.trim_start_matches('0'))
        }
    }
}

/// The UTC day of a moment, as `2026-11-22`.
pub(crate) fn day_of(at: Timestamp) -> String {
    let [year, month, day, ..] = written(at);
    format!("{year}-{month}-{day}")
}

/// Year, month, day, hour and minute. The year is as long as it is; the others have two digits.
fn written(at: Timestamp) -> [String; 5] {
    let written = at.compact();
    let (date, time) = written.split_once('T').unwrap_or_default();
    let year = date.len().saturating_sub(4);
    let part = |text: &str, from, to| text.get(from..to).unwrap_or_default().to_owned();
    [
        part(date, 0, year),
        part(date, year, year + 2),
        part(date, year + 2, year + 4),
        part(time, 0, 2),
        part(time, 2, 4),
    ]
}

/// A number as it is said: `12`, `3.4 k`, `120 k`, `1.2 M`.
pub(crate) fn count(number: u64) -> String {
    let (unit, name) = match number {
        0..1_000 => return number.to_string(),
        1_000..1_000_000 => (1_000, "k"),
        1_000_000..1_000_000_000 => (1_000_000, "M"),
        _ => (1_000_000_000, "G"),
    };
    match (number / unit, number % unit * 10 / unit) {
        (whole @ 0..10, tenth) => format!("{whole}.{tenth} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
}

/// A bar of `width` characters, of which the share `full` (0 to 1) is filled, as its two parts.
pub(crate) fn bar(full: f64, width: usize) -> (String, String) {
    let full = if full.is_finite() { full.clamp(0.0, 1.0) } else { 0.0 };
    // Counting up instead of casting: `as` would be silent about what does not fit.
    // A character is filled from its middle on, so that a bar just begun does not look used.
    let filled = (1..=width).filter(|n| share(2 * n - 1, 2 * width) <= full + f64::EPSILON).count();
    ("━".repeat(filled), "─".repeat(width - filled))
}

fn share(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(whole.max(1)).unwrap_or(u32::MAX))
}

/// What is left of the life that began at `from` and ends at `to`, as a share of 0 to 1.
pub(crate) fn life_left(from: Timestamp, to: Timestamp, now: Timestamp) -> f64 {
    let whole = to.since(from).as_secs_f64();
    if whole > 0.0 { (to.since(now).as_secs_f64() / whole).min(1.0) } else { 0.0 }
}

/// A foreign text without control characters and without those that turn the direction of writing, so
/// that no issuer's message can drive a terminal or show other words than it holds.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown = |c: char| if c.is_control() || turns(c) { ' ' } else { c };
    text.trim().chars().map(shown).collect()
}

/// `text` in lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_are_read_at_a_glance() {
        for (secs, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_800, "2 days"),
            (864_000, "10 days"),
        ] {
            assert_eq!(span(Duration::from_secs(secs)), words);
        }
    }

    #[test]
    fn moments_know_their_direction() {
        let now = Timestamp::from_secs(1_000_000);
        assert_eq!(moment(Timestamp::from_secs(1_000_000 + 9 * 86_400), now), "in 9 days");
        assert_eq!(moment(Timestamp::from_secs(1_000_000 - 180), now), "3 minutes ago");
        assert_eq!(moment(now.shifted(400), now), "just now");
    }

    #[test]
    fn what_is_ahead_is_told_with_its_date() {
        // Sunday, 22 November 2026, 15:16 UTC.
        let now = Timestamp::from_secs(1_795_360_560);
        let ahead = |secs| until(now.plus(Duration::from_secs(secs)), now);
        assert_eq!(ahead(0), "now");
        assert_eq!(ahead(20), "in less than a minute (today 15:16 UTC)");
        assert_eq!(ahead(14 * 60), "in 14 min (today 15:30 UTC)");
        assert_eq!(ahead(2 * 3600 + 14 * 60), "in 2 h 14 min (today 17:30 UTC)");
        assert_eq!(ahead(10 * 3600), "in 10 h 0 min (tomorrow 01:16 UTC)");
        assert_eq!(ahead(11 * 86_400 + 3600), "in 11 d 1 h (3 Dec 16:16 UTC)");
        assert_eq!(until(Timestamp(0), now), "now");
        assert_eq!(day_of(now), "2026-11-22");
    }

    #[test]
    fn numbers_are_short() {
        for (number, words) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.0 k"),
            (3_450, "3.4 k"),
            (120_999, "120 k"),
            (1_234_567, "1.2 M"),
            (5_000_000_000, "5.0 G"),
        ] {
            assert_eq!(count(number), words);
        }
    }

    #[test]
    fn bars_fill_from_the_left() {
        assert_eq!(bar(0.5, 4), ("━━".to_owned(), "──".to_owned()));
        assert_eq!(bar(1.0, 3).0, "━━━");
        assert_eq!(bar(0.999, 3).0, "━━━");
        assert_eq!(bar(0.0, 3).1, "───");
        assert_eq!(bar(f64::NAN, 2).1, "──");
        assert_eq!(bar(7.0, 2).0, "━━");
    }

    #[test]
    fn what_is_left_of_a_life() {
        let at = Timestamp::from_secs;
        assert!((life_left(at(0), at(100), at(25)) - 0.75).abs() < 1e-9);
        assert!(life_left(at(0), at(100), at(200)).abs() < 1e-9);
        assert!(life_left(at(100), at(100), at(0)).abs() < 1e-9);
    }

    #[test]
    fn foreign_text_cannot_drive_the_terminal() {
        assert_eq!(plain("\u{1b}[2Jgone\r\nnow\n"), " [2Jgone  now");
        assert_eq!(plain("moc.live\u{202e}"), "moc.live ");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("https://example.org/ is long", 8), ["https://example.org/", "is long"]);
        assert!(wrapped(" ", 8).is_empty());
    }

    proptest! {
        #[test]
        fn no_moment_is_too_strange_to_be_told(at in any::<u64>(), now in any::<u64>()) {
            let (at, now) = (Timestamp(at), Timestamp(now));
            let told = until(at, now);
            prop_assert!(told == "now" || told.ends_with(" UTC)"), "{told}");
            prop_assert_eq!(day_of(at).matches('-').count(), 2);
            prop_assert!(!count(at.0).is_empty());
        }

        #[test]
        fn a_bar_is_always_as_wide_as_asked(full in -1.0_f64..2.0, width in 0_usize..80) {
            let (filled, empty) = bar(full, width);
            prop_assert_eq!(filled.chars().count() + empty.chars().count(), width);
        }
    }
}

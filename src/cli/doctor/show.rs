//! The report, for a person and for a program.

use serde::Serialize;

use anstyle::Style;

use super::super::output::{ERROR, FAINT, GOOD, HINT, STRONG, WARN};
use super::super::words::wrapped;
use super::judge::{Finding, Verdict};

/// The longest name of a check, and a space.
const NAME_WIDTH: usize = 10;
/// What stands before a message: two spaces, the sign, a space, the name.
const MARGIN: usize = 4 + NAME_WIDTH;
/// Messages are wrapped at no less, however narrow the window.
const MESSAGE_MIN: usize = 24;

/// What `--json` prints.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    checks: Vec<&'a Finding>,
    ok: bool,
}

impl<'a> Report<'a> {
    pub(super) fn of(groups: &'a [Vec<Finding>]) -> Self {
        Self { checks: groups.iter().flatten().collect(), ok: !has_failed(groups) }
    }
}

/// Whether anything is wrong.
pub(super) fn has_failed(groups: &[Vec<Finding>]) -> bool {
    groups.iter().flatten().any(|finding| finding.verdict == Verdict::Fail)
}

/// The lines for a person, in a window of so many columns.
pub(super) fn lines(groups: &[Vec<Finding>], columns: usize, beyond_ascii: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for group in groups.iter().filter(|group| !group.is_empty()) {
        for finding in group {
            of_finding(finding, columns, beyond_ascii, &mut lines);
        }
        lines.push(String::new());
    }
    lines.push(summary(groups));
    lines
}

fn of_finding(finding: &Finding, columns: usize, beyond_ascii: bool, lines: &mut Vec<String>) {
    let (sign, style) = sign(finding.verdict, beyond_ascii);
    let faint = if finding.verdict == Verdict::Skip { FAINT } else { Style::new() };
    let width = columns.saturating_sub(MARGIN).max(MESSAGE_MIN);
    for (at, line) in wrapped(&finding.message, width).into_iter().enumerate() {
        lines.push(if at == 0 {
            let name = finding.name;
            format!("  {style}{sign}{style:#} {name:NAME_WIDTH$}{faint}{line}{faint:#}")
        } else {
            format!("{:MARGIN$}{faint}{line}{faint:#}", "")
        });
    }
    if let Some(fix) = &finding.fix {
        // Never wrapped, so that it can be taken as a whole.
        lines.push(format!("{:MARGIN$}{HINT}fix:{HINT:#} {STRONG}{fix}{STRONG:#}", ""));
    }
}

fn sign(verdict: Verdict, beyond_ascii: bool) -> (&'static str, Style) {
    match (verdict, beyond_ascii) {
        (Verdict::Ok, true) => ("✓", GOOD),
        (Verdict::Ok, false) => ("+", GOOD),
        (Verdict::Warn, _) => ("!", WARN),
        (Verdict::Fail, true) => ("✗", ERROR),
        (Verdict::Fail, false) => ("x", ERROR),
        (Verdict::Skip, true) => ("–", FAINT),
        (Verdict::Skip, false) => ("-", FAINT),
    }
}

fn summary(groups: &[Vec<Finding>]) -> String {
    let count = |verdict| groups.iter().flatten().filter(|f| f.verdict == verdict).count();
    let (wrong, odd) = (count(Verdict::Fail), count(Verdict::Warn));
    let (fine, skipped) = (count(Verdict::Ok), count(Verdict::Skip));
    let skipped = match skipped {
        0 => String::new(),
        skipped => format!(", {skipped} skipped"),
    };
    let odd_words = match odd {
        0 => String::new(),
        odd => format!(", {WARN}{odd} to look at{WARN:#}"),
    };
    match (wrong, odd) {
        (0, 0) => format!("{GOOD}All is well{GOOD:#}: {fine} fine{skipped}."),
        (0, _) => format!("{WARN}{odd} to look at{WARN:#}, {fine} fine{skipped}."),
        _ => format!("{ERROR}{wrong} wrong{ERROR:#}{odd_words}, {fine} fine{skipped}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(verdict: Verdict, message: &str, fix: Option<&str>) -> Finding {
        Finding { name: "files", verdict, message: message.into(), fix: fix.map(str::to_owned) }
    }

    fn shown(groups: &[Vec<Finding>], columns: usize, beyond_ascii: bool) -> Vec<String> {
        let lines = lines(groups, columns, beyond_ascii);
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn lines_are_aligned_wrapped_and_followed_by_what_repairs_them() {
        let long = "one two three four five six seven eight nine ten";
        let groups = [
            vec![
                finding(Verdict::Ok, "fine", None),
                finding(Verdict::Fail, long, Some("chmod 600 a b")),
            ],
            vec![],
            vec![finding(Verdict::Skip, "no daemon", None), finding(Verdict::Warn, "x", Some("y"))],
        ];
        assert_eq!(
            shown(&groups, 40, true),
            [
                "  ✓ files     fine",
                "  ✗ files     one two three four five",
                "              six seven eight nine ten",
                "              fix: chmod 600 a b",
                "",
                "  – files     no daemon",
                "  ! files     x",
                "              fix: y",
                "",
                "1 wrong, 1 to look at, 1 fine, 1 skipped.",
            ]
        );
        assert!(shown(&groups, 40, false).iter().all(|line| line.is_ascii()));
        assert!(shown(&groups, 0, true).len() > 8, "the narrowest window panics nobody");
    }

    #[test]
    fn the_last_line_says_how_it_stands() {
        let last = |verdicts: &[Verdict]| {
            let group = verdicts.iter().map(|verdict| finding(*verdict, "x", None)).collect();
            shown(&[group], 80, true).pop().expect("a summary")
        };
        use Verdict::{Fail, Ok, Skip, Warn};
        assert_eq!(last(&[Ok, Ok, Skip]), "All is well: 2 fine, 1 skipped.");
        assert_eq!(last(&[Ok, Warn]), "1 to look at, 1 fine.");
        assert_eq!(last(&[Fail, Ok]), "1 wrong, 1 fine.");
    }

    #[test]
    fn programs_get_every_member_of_every_check() {
        let groups =
            [vec![finding(Verdict::Fail, "m", Some("f")), finding(Verdict::Ok, "n", None)]];
        let report = serde_json::to_value(Report::of(&groups)).expect("it is JSON");
        assert_eq!(
            report,
            serde_json::json!({
                "checks": [
                    {"name": "files", "verdict": "fail", "message": "m", "fix": "f"},
                    {"name": "files", "verdict": "ok", "message": "n", "fix": null},
                ],
                "ok": false,
            })
        );
        assert!(!has_failed(&[vec![finding(Verdict::Warn, "", None)]]));
    }
}

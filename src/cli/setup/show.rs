//! What is shown of a change before it is made, and the question whether to make it.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use similar::{ChangeTag, TextDiff};

use super::super::failure::{Exit, Failure};
use super::super::output::{ERROR, FAINT, GOOD, HINT, STRONG, can_ask, say};

/// Unchanged lines around a change.
const LINES_AROUND: usize = 3;

/// How keys begin that may stand in a configuration: ours, and those of APIs.
const KEYS_BEGIN: [&str; 2] = ["vk_", "sk-"];

/// Shorter words only look like one.
const KEY_CHARS_MIN: usize = 16;

/// The longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 64;

/// The unified diff of a file's two texts, without colours.
pub(super) fn diff(file: &str, before: &str, after: &str) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_diff(&mut text, file, before, after);
    anstream::adapter::strip_bytes(&text).into_vec().try_into().unwrap_or_default()
}

/// The same to standard output, coloured where somebody can see it.
pub(super) fn show_diff(file: &str, before: &str, after: &str) -> io::Result<()> {
    write_diff(&mut anstream::stdout().lock(), file, before, after)
}

fn write_diff(out: &mut dyn io::Write, file: &str, before: &str, after: &str) -> io::Result<()> {
    let name = |text: &str| if text.is_empty() { "/dev/null".to_owned() } else { file.to_owned() };
    writeln!(out, "{STRONG}--- {}{STRONG:#}", name(before))?;
    writeln!(out, "{STRONG}+++ {}{STRONG:#}", name(after))?;
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let diff = TextDiff::from_slices(&old, &new);
    for hunk in diff.unified_diff().context_radius(LINES_AROUND).iter_hunks() {
        writeln!(out, "{HINT}{}{HINT:#}", hunk.header().to_string().trim_end())?;
        for change in hunk.iter_changes() {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', ERROR),
                ChangeTag::Insert => ('+', GOOD),
                ChangeTag::Equal => (' ', FAINT),
            };
            let whole: &str = change.value();
            let line = whole.trim_end_matches(['\r', '\n']);
            let line = harmless(line);
            writeln!(out, "{style}{sign}{line}{style:#}")?;
            if !whole.ends_with('\n') {
                writeln!(out, "{FAINT}\\ no line end at the end of the file{FAINT:#}")?;
            }
        }
    }
    Ok(())
}

/// A line that neither drives a terminal nor shows a key, whoever's it is.
fn harmless(line: &str) -> String {
    let plain = |c: char| if c.is_control() && c != '\t' { '·' } else { c };
    let line: String = line.chars().map(plain).collect();
    let mut shown = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(at) = KEYS_BEGIN.iter().filter_map(|begin| rest.find(begin)).min() {
        let (before, key) = rest.split_at(at);
        let length = key
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
            .unwrap_or(key.len());
        let (key, after) = key.split_at(length);
        shown.push_str(before);
        shown.push_str(if length < KEY_CHARS_MIN { key } else { &key[..3] });
        shown.push_str(if length < KEY_CHARS_MIN { "" } else { "…" });
        rest = after;
    }
    shown + rest
}

/// Asks whether to go on, on a terminal; without one, what was asked for is done.
pub(super) fn agreed(question: &str) -> Result<(), Failure> {
    if !can_ask() || !io::stdout().is_terminal() {
        return Ok(());
    }
    write!(anstream::stderr(), "\n{question} {FAINT}[Y/n]{FAINT:#} ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer)?;
    // The end of input is no agreement.
    if read > 0 && is_agreement(&answer) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was changed"))
}

fn is_agreement(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "" | "y" | "yes")
}

/// Lines to standard output as they are, set in.
pub(super) fn say_block(lines: &str) -> io::Result<()> {
    say("")?;
    for line in lines.lines() {
        say(format_args!("    {line}").to_string().trim_end())?;
    }
    say("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_reads_as_usual_and_cannot_drive_the_terminal() {
        assert_eq!(
            diff("f", "a\nb", "a\nb\r\nc\u{1b}[2J\n"),
            "--- f\n+++ f\n@@ -1,2 +1,3 @@\n a\n-b\n\\ no line end at the end of the file\n+b\n+c·[2J\n"
        );
        assert!(diff("f", "", "a\n").starts_with("--- /dev/null\n+++ f\n@@ -0,0 +1 @@\n+a\n"));
    }

    #[test]
    fn no_key_is_shown_whoevers_it_is() {
        let line = r#"{"api_key":"sk-proj-0123456789abcdef","other":"vk_0123456789abcdef","risk-free":"vk_x"}"#;
        assert_eq!(harmless(line), r#"{"api_key":"sk-…","other":"vk_…","risk-free":"vk_x"}"#);
        assert_eq!(harmless("sk-"), "sk-");
    }

    #[test]
    fn only_a_plain_yes_or_the_return_key_is_agreement() {
        assert!(is_agreement("\n") && is_agreement(" Yes\n") && is_agreement("y"));
        for no in ["n\n", "no", "yeah", "1"] {
            assert!(!is_agreement(no), "{no:?}");
        }
    }
}

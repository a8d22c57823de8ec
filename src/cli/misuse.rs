//! A command line that makes no sense, told as every other failure is: one sentence and the next step.
//!
//! The library that parses it says what is wrong in several paragraphs; what matters of them is kept.

use std::ffi::OsString;

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use super::args::Args;
use super::failure::{Exit, Failure};

/// Whether somebody mistyped, rather than asked for help or for nothing at all.
pub(super) fn is_mistake(error: &clap::Error) -> bool {
    let help = ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    error.use_stderr() && error.kind() != help
}

/// The mistake in `words` (the program's name first) that the parser found.
pub(super) fn failure(error: &clap::Error, words: &[OsString]) -> Failure {
    let told = error.render().to_string();
    let (sentence, hint) = told_briefly(&told, &verb(words));
    Failure::new(Exit::Usage, sentence).hint(hint)
}

/// What is wrong, from the parser's paragraphs: the first of them, and from the others what it suggests
/// and how the verb is used.
fn told_briefly(told: &str, verb: &str) -> (String, String) {
    let joined = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = told.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let sentence = joined(first.strip_prefix("error:").unwrap_or(first));
    let mut steps: Vec<String> = Vec::new();
    for paragraph in paragraphs {
        let paragraph = paragraph.trim();
        if let Some(tip) = paragraph.strip_prefix("tip:") {
            steps.push(joined(tip));
        } else if let Some(usage) = paragraph.strip_prefix("Usage:") {
            // One that takes nothing of its own says nothing.
            let usage = joined(usage);
            if usage.contains('<') {
                steps.push(format!("as in: {usage}"));
            }
        }
    }
    steps.push(match verb {
        "" => "`valetkey help` lists verbs and topics".to_owned(),
        verb => format!("`valetkey {verb} --help` shows what it takes"),
    });
    (sentence, steps.join("; "))
}

/// The verb that was meant, as `key add`; empty where there is none among the words.
fn verb(words: &[OsString]) -> String {
    let tree = Args::command();
    let (mut command, mut verb) = (&tree, Vec::new());
    for word in words.iter().skip(1).filter_map(|word| word.to_str()) {
        match command.find_subcommand(word) {
            Some(below) => {
                verb.push(below.get_name());
                command = below;
            }
            None if verb.is_empty() => {}
            None => break,
        }
    }
    verb.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &[&str]) -> (String, String) {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        let error = Args::command().try_get_matches_from(&words).expect_err("a mistake");
        assert!(is_mistake(&error), "{words:?}");
        told_briefly(&error.render().to_string(), &verb(&words))
    }

    #[test]
    fn a_mistake_is_told_in_one_sentence_with_the_next_step() {
        for (words, sentence, hint) in [
            (&["valetkey", "lgin"][..], "'lgin'", "'login'"),
            (&["valetkey", "lgin"], "unrecognized", "valetkey help"),
            (&["valetkey", "token", "--jsn"], "'--jsn'", "'--json'"),
            (&["valetkey", "token", "--jsn"], "unexpected", "valetkey token --help"),
            (&["valetkey", "rpc"], "<METHOD>", "as in: valetkey rpc"),
            (&["valetkey", "--socket", "/s", "key", "add"], "<NAME>", "valetkey key add --help"),
            (&["valetkey", "status", "--account", "../up"], "lower-case letters", "status --help"),
            (&["valetkey", "completions", "tcsh"], "possible values", "completions --help"),
            (&["valetkey", "token", "--json", "--header"], "cannot be used with", "token --help"),
        ] {
            let (said, next) = told(words);
            assert!(said.contains(sentence) && !said.contains('\n'), "{words:?}: {said}");
            assert!(next.contains(hint) && !next.contains('\n'), "{words:?}: {next}");
        }
    }

    #[test]
    fn whoever_asks_for_help_has_made_no_mistake() {
        for words in [&["valetkey"][..], &["valetkey", "--help"], &["valetkey", "--version"]] {
            let error = Args::command().try_get_matches_from(words).expect_err("not to be run");
            assert!(!is_mistake(&error), "{words:?}");
        }
    }
}

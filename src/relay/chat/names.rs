//! Names that the API would refuse for their length, shortened so that the answer can be put right again.
//!
//! Tools of MCP servers are often called `mcp__server__tool` with long servers. The API takes 64 characters.
//! A name is shortened by itself alone, not by its place among others: the same conversation is sent the
//! same way each time, which the vendor's prompt cache rewards.

use std::borrow::Cow;
use std::collections::HashMap;

/// Characters of a tool's name or a call's id at most, by OpenAI's API reference.
const LONGEST: usize = 64;

/// How much of each end is kept: `mcp__` at the front says what it is, the tool's own name is at the back.
const END: usize = 27;

/// The names that were shortened, by what was sent instead.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<String, String>);

impl Names {
    /// The name to send.
    pub(super) fn sent<'n>(&mut self, name: &'n str) -> Cow<'n, str> {
        let Cow::Owned(mut short) = shortened(name) else { return Cow::Borrowed(name) };
        // Two names with the same ends and the same hash: unlikely, but they are two tools.
        while self.0.get(&short).is_some_and(|known| known != name) {
            short = shortened(&format!("{name}{short}")).into_owned();
        }
        self.0.entry(short.clone()).or_insert_with(|| name.to_owned());
        Cow::Owned(short)
    }

    /// The name that the client knows.
    pub(super) fn original<'n>(&'n self, sent: &'n str) -> &'n str {
        self.0.get(sent).map_or(sent, String::as_str)
    }

    /// Whether every name was sent as it is.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Both ends of what is too long, with a hash of the whole between them.
pub(super) fn shortened(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST {
        return Cow::Borrowed(name);
    }
    let count = name.chars().count();
    if count <= LONGEST {
        return Cow::Borrowed(name);
    }
    let front: String = name.chars().take(END).collect();
    let back: String = name.chars().skip(count - END).collect();
    Cow::Owned(format!("{front}_{:08x}_{back}", hash(name)))
}

/// FNV-1a: the same in every release of the compiler, which the standard library's hashes need not be.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Names, shortened};

    #[test]
    fn what_is_short_enough_stays() {
        let longest = "a".repeat(LONGEST);
        assert_eq!(shortened(&longest), longest);
        let mut names = Names::default();
        assert_eq!(names.sent(&longest), longest);
        assert!(names.is_empty());
    }

    #[test]
    fn what_is_too_long_comes_back_whole() {
        let mut names = Names::default();
        let long = |end: &str| format!("mcp__{}__{end}", "server".repeat(20));
        let sent: Vec<String> =
            ["read_file", "write_file"].map(|end| names.sent(&long(end)).into_owned()).to_vec();
        assert_ne!(sent[0], sent[1]);
        for (sent, end) in sent.iter().zip(["read_file", "write_file"]) {
            assert_eq!(sent.chars().count(), LONGEST);
            assert!(sent.starts_with("mcp__server") && sent.ends_with(end), "{sent}");
            assert_eq!(names.original(sent), long(end));
        }
        // In the next turn it is called the same.
        assert_eq!(Names::default().sent(&long("read_file")), sent[0]);
    }

    #[test]
    fn names_that_differ_in_the_middle_only_stay_apart() {
        let mut names = Names::default();
        let long = |middle: char| format!("{0}{middle}{0}", "x".repeat(40));
        let sent: std::collections::BTreeSet<String> =
            ('a'..='z').map(|middle| names.sent(&long(middle)).into_owned()).collect();
        assert_eq!(sent.len(), 26);
    }

    #[test]
    fn characters_are_not_cut() {
        let sent = shortened(&"ä".repeat(65)).into_owned();
        assert_eq!(sent.chars().count(), LONGEST);
    }
}

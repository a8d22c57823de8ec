//! What may be shown: findings are made to be pasted where everybody can read them.
//!
//! The daemon has taken everything secret out of what it tells. What is left is personal: who is signed in,
//! and the name in the path of a home directory. Neither helps anybody who reads a report.

use std::path::{Path, PathBuf};

use crate::platform::shell::Shell;

use super::super::words::plain;

/// What stands where an address or an id stood.
const HIDDEN: &str = "(not shown)";

/// The person's home directory, and the shell in which they name it.
#[derive(Clone, Debug)]
pub(super) struct Home(Option<PathBuf>, Shell);

impl Home {
    pub(super) fn of_this_user() -> Self {
        let home = directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
        // A home that is the root of everything would be no abbreviation.
        Self(home.filter(|home| home.components().count() > 1), Shell::NATIVE)
    }

    #[cfg(test)]
    pub(super) fn at(path: &str) -> Self {
        Self(Some(path.into()), Shell::Posix)
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }

    /// A path as a person reads it.
    pub(super) fn short(&self, path: &Path) -> String {
        match self.below(path) {
            Some(rest) if rest.as_os_str().is_empty() => "~".to_owned(),
            Some(rest) => format!("~{}{}", self.1.separator(), rest.display()),
            None => path.display().to_string(),
        }
    }

    /// A path as a shell reads it.
    pub(super) fn word(&self, path: &Path) -> String {
        match self.below(path) {
            Some(rest) => self.1.below_home(&rest.to_string_lossy()),
            None => self.1.quoted(&path.to_string_lossy()),
        }
    }

    /// A text that may hold paths, such as an error's.
    pub(super) fn shorten(&self, text: &str) -> String {
        match self.path().and_then(Path::to_str) {
            Some(home) => {
                let separator = self.1.separator();
                text.replace(&format!("{home}{separator}"), &format!("~{separator}"))
            }
            None => text.to_owned(),
        }
    }

    fn below<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(self.path()?).ok()
    }
}

/// A foreign sentence without addresses of people and without any of `names`.
pub(super) fn discreet(text: &str, names: &[&str]) -> String {
    let mut text = plain(text);
    for name in names.iter().filter(|name| !name.is_empty()) {
        text = text.replace(name, HIDDEN);
    }
    let is_address = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.split_once('@').is_some_and(|(who, at)| !who.is_empty() && at.contains('.'))
    };
    let words: Vec<&str> =
        text.split(' ').map(|word| if is_address(word) { HIDDEN } else { word }).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_directory_is_not_named() {
        let home = Home::at("/home/pat");
        assert_eq!(home.short(Path::new("/home/pat/.config/x")), "~/.config/x");
        assert_eq!(home.short(Path::new("/home/pat")), "~");
        assert_eq!(home.short(Path::new("/home/patricia/x")), "/home/patricia/x");
        assert_eq!(
            home.shorten("no /home/pat/a and /home/patricia/b"),
            "no ~/a and /home/patricia/b"
        );
        assert_eq!(Home(None, Shell::Posix).short(Path::new("/x")), "/x");
    }

    #[test]
    fn a_path_in_a_command_is_one_word_that_a_shell_understands() {
        let home = Home::at("/home/pat");
        assert_eq!(home.word(Path::new("/home/pat")), "~");
        assert_eq!(home.word(Path::new("/home/pat/my files/x")), "~/'my files/x'");
        assert_eq!(home.word(Path::new("/a/it's")), "'/a/it'\\''s'");
        let home = Home(home.0, Shell::PowerShell);
        assert_eq!(home.word(Path::new("/home/pat/x")), "$HOME\\x");
        assert_eq!(home.short(Path::new("/home/pat/x")), "~\\x");
    }

    #[test]
    fn people_are_not_named_in_what_others_said() {
        let told =
            discreet("No plan for <pat@example.test>, account 7c1d, x@work.json!", &["7c1d", ""]);
        assert_eq!(told, "No plan for (not shown) account (not shown), (not shown)");
        assert_eq!(discreet("HTTP 503 @ issuer", &[]), "HTTP 503 @ issuer");
        assert_eq!(discreet("a\u{1b}[2Jb", &[]), "a [2Jb");
    }
}

//! What a person types on this system: commands in advice, which can be pasted.

/// A shell, and the programs that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Any of Unix.
    Posix,
    /// PowerShell on Windows, of any version.
    PowerShell,
}

/// Signs that a word need not be quoted for, in either.
const PLAIN_SIGNS: &str = "/._-+@,:=%";

impl Shell {
    /// The one of this system.
    pub const NATIVE: Self = if cfg!(windows) { Self::PowerShell } else { Self::Posix };

    fn choose<T>(self, posix: T, power_shell: T) -> T {
        match self {
            Self::Posix => posix,
            Self::PowerShell => power_shell,
        }
    }

    /// What stands between the parts of a path.
    #[must_use]
    pub fn separator(self) -> char {
        self.choose('/', '\\')
    }

    /// One word.
    #[must_use]
    pub fn quoted(self, text: &str) -> String {
        if self.is_plain(text) {
            return text.to_owned();
        }
        format!("'{}'", text.replace('\'', self.choose("'\\''", "''")))
    }

    fn is_plain(self, text: &str) -> bool {
        let separator = self.separator();
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || c == separator || PLAIN_SIGNS.contains(c);
        !text.is_empty() && text.chars().all(is_plain)
    }

    /// One word: this place below the person's home directory.
    #[must_use]
    pub fn below_home(self, rest: &str) -> String {
        match self {
            Self::Posix if rest.is_empty() => "~".to_owned(),
            Self::Posix => format!("~/{}", self.quoted(rest)),
            // `~` is the home directory to PowerShell's own commands alone.
            Self::PowerShell if rest.is_empty() => "$HOME".to_owned(),
            Self::PowerShell if self.is_plain(rest) => format!("$HOME\\{rest}"),
            Self::PowerShell => {
                format!("\"$HOME\\{}\"", rest.replace('`', "``").replace('$', "`$"))
            }
        }
    }

    /// Does the second where the first works, or, where that cannot be said in one line, after it.
    #[must_use]
    pub fn then(self, first: &str, second: &str) -> String {
        format!("{first}{} {second}", self.choose(" &&", ";"))
    }

    /// Tells a process to end. On Windows nothing without a window can be told: it is ended.
    #[must_use]
    pub fn end(self, pid: u32) -> String {
        self.choose(format!("kill {pid}"), format!("taskkill /F /PID {pid}"))
    }

    /// Ends a process that does not listen.
    #[must_use]
    pub fn end_at_once(self, pid: u32) -> String {
        self.choose(format!("kill -9 {pid}"), self.end(pid))
    }

    /// Moves a file out of the way.
    #[must_use]
    pub fn set_aside(self, word: &str) -> String {
        let renamed = match word.strip_suffix(['"', '\'']) {
            Some(open) if self == Self::PowerShell => {
                format!("{open}.aside{}", &word[open.len()..])
            }
            _ => format!("{word}.aside"),
        };
        format!("{} {word} {renamed}", self.choose("mv", "Move-Item"))
    }

    /// Shows whose a file is, and who may open it.
    #[must_use]
    pub fn show_rights(self, word: &str) -> String {
        format!("{} {word}", self.choose("ls -ld", "icacls"))
    }

    /// Makes a file this user's. It takes the rights of an administrator.
    #[must_use]
    pub fn take(self, word: &str) -> String {
        self.choose(format!("sudo chown -R \"$(id -un)\" {word}"), format!("takeown /F {word}"))
    }

    /// Lets nobody else open a file.
    #[must_use]
    pub fn restrict_file(self, word: &str) -> String {
        self.choose(format!("chmod 600 {word}"), restricted(word, "F"))
    }

    /// Lets nobody else look into a folder.
    #[must_use]
    pub fn restrict_folder(self, word: &str) -> String {
        self.choose(format!("chmod 700 {word}"), restricted(word, "(OI)(CI)F"))
    }

    /// Opens a text for editing.
    #[must_use]
    pub fn edit(self, word: &str) -> String {
        format!("{} {word}", self.choose("${EDITOR:-vi}", "notepad"))
    }

    /// Takes a variable out of the environment.
    #[must_use]
    pub fn unset(self, variable: &str) -> String {
        format!("{}{variable}", self.choose("unset ", "Remove-Item Env:"))
    }

    /// Looks for a program.
    #[must_use]
    pub fn find(self, program: &str) -> String {
        format!("{} {}", self.choose("command -v", "where.exe"), self.quoted(program))
    }

    /// Shows what is left of a disk.
    #[must_use]
    pub fn show_room(self, word: &str) -> String {
        self.choose(format!("df -h {word}"), "Get-PSDrive -PSProvider FileSystem".to_owned())
    }

    /// Asks an address for its headers. In old PowerShells a plain `curl` is another program.
    #[must_use]
    pub fn ask(self, url: &str) -> String {
        format!("{} -sSI {url}", self.choose("curl", "curl.exe"))
    }
}

/// Gives an object an access list of one entry, this user's.
fn restricted(word: &str, rights: &str) -> String {
    format!("icacls {word} /inheritance:r /grant:r \"${{env:USERNAME}}:{rights}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_that_its_shell_understands() {
        for (shell, rest, word) in [
            (Shell::Posix, "", "~"),
            (Shell::Posix, ".local/a.json", "~/.local/a.json"),
            (Shell::Posix, "my files/x", "~/'my files/x'"),
            (Shell::PowerShell, "", "$HOME"),
            (Shell::PowerShell, r"AppData\a.json", r"$HOME\AppData\a.json"),
            (Shell::PowerShell, r"my `files\$x", r#""$HOME\my ``files\`$x""#),
        ] {
            assert_eq!(shell.below_home(rest), word);
        }
        for (shell, text, word) in [
            (Shell::Posix, "/a/it's", r"'/a/it'\''s'"),
            (Shell::Posix, r"a\b", r"'a\b'"),
            (Shell::Posix, "/a;rm -r b", "'/a;rm -r b'"),
            (Shell::PowerShell, r"C:\a\it's", r"'C:\a\it''s'"),
            (Shell::PowerShell, r"C:\a", r"C:\a"),
        ] {
            assert_eq!(shell.quoted(text), word);
        }
    }

    #[test]
    fn what_is_set_aside_stays_one_word() {
        let aside = |word| Shell::PowerShell.set_aside(word);
        assert_eq!(aside(r"C:\a"), r"Move-Item C:\a C:\a.aside");
        assert_eq!(aside(r#""$HOME\a b""#), r#"Move-Item "$HOME\a b" "$HOME\a b.aside""#);
        assert_eq!(aside("'a b'"), "Move-Item 'a b' 'a b.aside'");
        assert_eq!(Shell::Posix.set_aside("~/'a b'"), "mv ~/'a b' ~/'a b'.aside");
    }

    #[test]
    fn nobody_on_windows_is_told_a_command_of_unix() {
        let shell = Shell::PowerShell;
        assert_eq!(shell.end(7), "taskkill /F /PID 7");
        assert_eq!(shell.end_at_once(7), shell.end(7));
        assert_eq!(shell.then(&shell.end(7), "x"), "taskkill /F /PID 7; x");
        let restricted = r#"icacls C:\a /inheritance:r /grant:r "${env:USERNAME}:(OI)(CI)F""#;
        assert_eq!(shell.restrict_folder(r"C:\a"), restricted);
        assert_eq!(shell.unset("X"), "Remove-Item Env:X");
    }
}

//! What an agent is to `valetkey setup`: where its configuration lies, and how that text changes.
//!
//! An agent is a file of its own beside this one that says these few things; reading, writing, backing
//! up, showing and taking back is the same for all and happens elsewhere. The edits are pure functions
//! of the text, so that they can be tested by the thousand.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::platform::process;
use crate::rpc::ImportSource;
use crate::secret::Secret;

/// What stands for a key in a text that is only shown.
const KEY_SHOWN: &str = "vk_…";

/// How a text changes so that it has us in it, and back. Pure.
pub(crate) trait Edit {
    /// The text with us in it. A text that has all of `wants` already comes back as it is; one that has
    /// us with other values is brought up to date. A file that is not there is an empty text.
    ///
    /// # Errors
    /// [`Refused`]; nothing is written then.
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused>;

    /// The text without us, with the values in `replaced` back in their places. Only asked where the
    /// lines that [`Edit::plug`] wrote are not all there as it wrote them. A text without us comes back as
    /// it is, and what the person has made of our values since stays.
    ///
    /// # Errors
    /// [`Refused`]; nothing is written then.
    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused>;

    /// Whether the text makes the program use us, by whomever it was written.
    ///
    /// # Errors
    /// [`Refused::Broken`].
    fn is_plugged(&self, text: &str) -> Result<bool, Refused>;
}

/// An agent that can be plugged in.
pub(crate) trait Agent: Edit + Sync {
    /// What a person types: `codex`.
    fn name(&self) -> &'static str;

    /// What it is called in a sentence: `the Codex CLI`.
    fn title(&self) -> &'static str;

    /// Programs of which one on the PATH shows that it is installed.
    fn programs(&self) -> &'static [&'static str];

    /// Its configuration file on this machine, by its own rules; need not exist. Nothing where it has
    /// none that could be written.
    fn file(&self, around: &Around) -> Option<PathBuf>;

    /// Whether it is installed: one of its programs, or its configuration, is there.
    fn is_installed(&self, around: &Around) -> bool {
        self.programs().iter().any(|program| around.finds(program).is_some())
            || self.file(around).is_some_and(|file| file.is_file())
    }

    /// How it comes by what opens the door.
    fn key(&self) -> KeyUse {
        KeyUse::Command
    }

    /// Whether the models of the login stand in its configuration, so that a daemon has to be asked.
    fn lists_models(&self) -> bool {
        false
    }

    /// The source of a login of its own, where it can hold one.
    fn own_login(&self) -> Option<ImportSource> {
        None
    }

    /// Where the lines of [`Agent::by_hand`] go, as the end of a sentence; nothing where that is its file.
    fn place(&self) -> Option<&'static str> {
        None
    }

    /// What to put into the file (or the program, or the terminal) by hand; lines, without a last line feed.
    fn by_hand(&self, wants: &Wants) -> String;

    /// What else there is to know, a sentence each. `text` is the configuration as it is now.
    fn notes(&self, _text: &str, _wants: &Wants) -> Vec<String> {
        Vec::new()
    }
}

/// How an agent comes by what opens the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyUse {
    /// It runs a command for it, or its person does: nothing is stored.
    Command,
    /// Its configuration names a file that holds the key ([`Wants::key_file`]).
    File,
    /// The key itself stands in its configuration ([`Wants::key_text`]), which is made private.
    Embedded,
}

/// What an agent's configuration is to say.
#[derive(Clone, Debug)]
pub(crate) struct Wants {
    /// The absolute path of this program.
    pub(crate) program: String,
    /// Flags by which it reaches this very daemon from anywhere, to stand before the verb; empty where
    /// it is the usual one.
    pub(crate) reach: Vec<String>,
    /// The door: `http://127.0.0.1:8459/v1`.
    pub(crate) base_url: String,
    /// The models that the login has, the best first; empty where no daemon could tell.
    pub(crate) models: Vec<String>,
    /// The model that the person asked for with `--model`.
    pub(crate) model: Option<String>,
    /// The person's shell: `bash`, `zsh`, `fish`, or `sh` for any other.
    pub(crate) shell: String,
    /// Where the key is kept, for [`KeyUse::File`].
    pub(crate) key_file: PathBuf,
    /// The key, for [`KeyUse::Embedded`]; nothing while the change is only shown.
    pub(crate) key: Option<Secret>,
}

impl Wants {
    /// The key as it stands in an agent's own file, or what stands for it while it is only shown.
    pub(crate) fn key_text(&self) -> &str {
        self.key.as_ref().map_or(KEY_SHOWN, |key| key.expose())
    }

    /// The model to name where one has to be named: the person's choice, or else the first there is.
    pub(crate) fn model_or_first(&self) -> Option<&str> {
        self.model.as_deref().or(self.models.first().map(String::as_str))
    }

    /// The words of the command that prints a lease for this client, the program first.
    pub(crate) fn lease(&self, client: &str) -> Vec<String> {
        let words = ["lease", "--client", client].map(str::to_owned);
        [vec![self.program.clone()], self.reach.clone(), words.to_vec()].concat()
    }
}

/// Values of the person's that had to make way, each as it was written, by a name of the agent's own.
pub(crate) type Replaced = BTreeMap<String, String>;

/// A text that has us in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plugged {
    /// The whole new text.
    pub(crate) text: String,
    /// What made way.
    pub(crate) replaced: Replaced,
}

/// Why a text is left alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The agent itself could not read it either.
    #[error("line {line}: {message}")]
    Broken {
        /// From 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is good, but written in a way that cannot be changed without changing more than is ours.
    #[error("{0}")]
    Shape(String),
}

impl Refused {
    /// The fault at this byte of `text`.
    pub(crate) fn broken(text: &str, at: usize, message: impl Into<String>) -> Self {
        let before = text.get(..at).unwrap_or(text);
        Self::Broken { line: before.matches('\n').count() + 1, message: message.into() }
    }
}

/// The person's surroundings: home and environment. A value, so that tests can make their own.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    /// The home directory.
    pub(crate) home: PathBuf,
    /// The environment.
    pub(crate) variables: BTreeMap<String, OsString>,
}

impl Around {
    /// Those of this process; nothing where the person has no home.
    pub(crate) fn of_this_process() -> Option<Self> {
        let home = directories::BaseDirs::new()?.home_dir().to_owned();
        Some(Self { home, variables: process::variables().collect() })
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    /// The folder that a variable names, or else this one below the home directory.
    pub(crate) fn folder(&self, variable: &str, below_home: &str) -> PathBuf {
        self.variable(variable).map_or_else(|| self.home.join(below_home), PathBuf::from)
    }

    /// `$XDG_CONFIG_HOME`, or else `~/.config`, as many programs have it on every system.
    pub(crate) fn config_home(&self) -> PathBuf {
        self.folder("XDG_CONFIG_HOME", ".config")
    }

    /// Where on the PATH a program is.
    pub(crate) fn finds(&self, program: &str) -> Option<PathBuf> {
        let folders = std::env::split_paths(self.variable("PATH")?);
        let named = |folder: PathBuf| {
            ["", ".exe", ".cmd"].map(|ending| folder.join(format!("{program}{ending}")))
        };
        folders.flat_map(named).find(|path| path.is_file())
    }

    /// A path as a person writes it, with `~` for the home directory.
    pub(crate) fn short(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if !rest.as_os_str().is_empty() => {
                Path::new("~").join(rest).display().to_string()
            }
            _ => path.display().to_string(),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;

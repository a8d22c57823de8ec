//! The configuration file: what it may say, what holds where it is silent.
//!
//! One struct, read once; an unknown key, a wrong type or a bad value is refused with file, line and
//! what was expected, so that a typing error never silently means the default.
//!
//! The tree of values is walked by hand (`sections`, `reader`) rather than derived: a derived reader
//! knows that a key is wrong, but not how to say so to the person who mistyped it.

mod defaults;
mod reader;
mod sections;
mod values;
mod vendors;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

pub(crate) use values::duration;

/// The largest file that is read: a configuration is a page or two, and anything longer is a mistake
/// (a log, a device) that should not fill the memory.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The longest name of a vendor or account, so that `<vendor>@<account>.json` fits any file system.
const NAME_CHARS_MAX: usize = 64;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is there but could not be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file says something that has no meaning.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// The line of the fault, from 1.
        line: usize,
        /// The character in that line, from 1.
        column: usize,
        /// What was found, and what was expected.
        message: String,
    },
}

/// The whole configuration, every default filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The vendor meant by callers that name none.
    pub default_vendor: String,
    /// `[daemon]`
    pub daemon: Daemon,
    /// `[http]`
    pub http: Http,
    /// `[refresh]`
    pub refresh: Refresh,
    /// `[relay]`
    pub relay: Relay,
    /// `[log]`
    pub log: Log,
    /// `[hooks]`
    pub hooks: Hooks,
    /// `[vendors.NAME]`, the built-in `openai` included.
    pub vendors: BTreeMap<String, Vendor>,
}

/// `[daemon]`
#[derive(Clone, Debug, PartialEq)]
pub struct Daemon {
    /// Where to listen, instead of the platform's place.
    pub socket: Option<String>,
    /// Connections at once; further ones are answered `overloaded`.
    pub max_clients: usize,
    /// The longest line, in bytes.
    pub max_message_bytes: usize,
    /// Bytes of messages in flight, over all connections.
    pub max_inflight_bytes: usize,
    /// Stop after this long without a client; never unless given.
    pub idle_exit: Option<Duration>,
    /// How long an orderly stop waits for answers still owed.
    pub shutdown_grace: Duration,
}

/// `[http]`
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Http {
    /// The loopback address of the HTTP door; closed unless given.
    pub listen: Option<std::net::SocketAddr>,
    /// Further `Host` values accepted on that door.
    pub allow_hosts: Vec<String>,
    /// `Origin` values accepted on that door.
    pub allow_origins: Vec<String>,
}

/// `[refresh]`
#[derive(Clone, Debug, PartialEq)]
pub struct Refresh {
    /// How long before its end a token is renewed.
    pub lead: Lead,
    /// The first and the longest pause between attempts that fail.
    pub backoff: (Duration, Duration),
}

/// How long before its end a token is renewed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Lead {
    /// A share of the token's life, between 0 and 0.5.
    Share(f64),
    /// A fixed time; never counts as more than half the token's life.
    Time(Duration),
}

/// `[relay]`
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// Bound on reaching the API.
    pub connect_timeout: Duration,
    /// Bound on its first byte.
    pub first_byte_timeout: Duration,
    /// Bound on its silence.
    pub idle_timeout: Duration,
    /// Completions carried at once.
    pub max_streams: usize,
    /// How a client's system prompt travels.
    pub system: SystemPrompt,
}

/// How a client's system prompt travels to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemPrompt {
    /// As `instructions`.
    Instructions,
    /// As `developer` items.
    Developer,
    /// In front of the first user message.
    Prefix,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `valetkey::login=debug`.
    pub level: String,
    /// Days that log files are kept.
    pub keep_days: usize,
}

/// `[hooks]`: each a command as a list of words, empty for none.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Hooks {
    /// Run when a login can no longer be refreshed.
    pub on_login_required: Vec<String>,
    /// Run when a usage limit is reached.
    pub on_limit: Vec<String>,
    /// Run after each refresh.
    pub on_refresh: Vec<String>,
}

/// `[vendors.NAME]`
#[derive(Clone, Debug, PartialEq)]
pub struct Vendor {
    /// Whose dialect it speaks.
    pub kind: VendorKind,
    /// The issuer's URL, as it stands in its tokens' `iss`, without a trailing slash.
    pub issuer: Url,
    /// Where the API's paths begin.
    pub api_base: Url,
    /// Our client id at the issuer (public: RFC 8252 section 8.5).
    pub client_id: String,
    /// What we call ourselves to the vendor.
    pub originator: String,
    /// What is asked for at login.
    pub scopes: Vec<String>,
    /// What the access token's `aud` must hold, where that is checked.
    pub audience: Option<String>,
    /// Loopback ports for the browser's way back, in order of preference.
    pub callback_ports: Vec<u16>,
}

/// The dialects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorKind {
    /// OpenAI's ChatGPT issuer and Codex backend.
    OpenAi,
    /// The same dialect, spoken to a running `valetkey sandbox`.
    Sandbox,
}

impl Config {
    /// Reads the file at `path`; a file that does not exist means every default.
    ///
    /// # Errors
    /// When the file cannot be read, is absurdly large, or does not parse.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match read_bounded(path) {
            Ok(text) => Self::parse(&text, path),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// Reads a configuration from `text`; `path` only names it in errors.
    ///
    /// # Errors
    /// At the first unknown key, wrong type or bad value, with its place.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        sections::config(text, path)
    }
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::new(
            std::io::ErrorKind::FileTooLarge,
            "it is larger than 1 MiB",
        ));
    }
    Ok(text)
}

/// Whether `name` can name a vendor or an account: `[a-z0-9][a-z0-9._-]{0,63}`, and not a name that
/// Windows keeps for a device, since it becomes part of a file's name.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let stem = name.split('.').next().unwrap_or(name);
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    name.len() <= NAME_CHARS_MAX
        && name.starts_with(first)
        && name.chars().all(|c| first(c) || matches!(c, '.' | '_' | '-'))
        && !matches!(stem, "con" | "prn" | "aux" | "nul")
        && !numbered("com")
        && !numbered("lpt")
}

#[cfg(test)]
mod tests;

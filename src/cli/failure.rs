//! How a verb fails: one sentence, the next step under it, one exit code.

use std::io::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value};

use crate::clock::{Clock, Timestamp};
use crate::config::ConfigError;
use crate::platform::paths::PathsError;
use crate::rpc::client::{CallError, ClientError};
use crate::rpc::{Kind, RpcError};

use super::output::{ERROR, HINT};
use super::words::{plain, until};

/// The exit codes, which scripts rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    LoginRequired = 3,
    Unreachable = 4,
    UsageLimit = 5,
    Interrupted = 130,
}

/// A failure on its way to the person.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    /// Absent where all is said already.
    sentence: Option<String>,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, sentence: impl Into<String>) -> Self {
        Self { exit: exit as u8, sentence: Some(sentence.into()), hint: None }
    }

    /// Ends with this exit code and no further word.
    pub(crate) fn silent(exit: Exit) -> Self {
        Self { exit: exit as u8, sentence: None, hint: None }
    }

    /// Ends with an exit code that is not of our table.
    pub(crate) fn with_code(code: u8, sentence: impl Into<String>) -> Self {
        Self { exit: code, sentence: Some(sentence.into()), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints it to standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        let mut stderr = anstream::stderr();
        // Where even standard error is closed, the exit code has to be enough.
        if let Some(sentence) = &self.sentence {
            let _ = writeln!(stderr, "{ERROR}error:{ERROR:#} {}", plain(sentence));
        }
        if let Some(hint) = self.hint.as_deref().or_else(|| self.usual_hint()) {
            let _ = writeln!(stderr, "  {HINT}hint:{HINT:#} {}", plain(hint));
        }
        ExitCode::from(self.exit)
    }

    /// The next step where nobody knew a better one.
    fn usual_hint(&self) -> Option<&'static str> {
        self.sentence.as_ref()?;
        match self.exit {
            code if code == Exit::Usage as u8 => Some("`valetkey help` lists verbs and topics"),
            code if code == Exit::UsageLimit as u8 => Some("`valetkey usage` shows what is used"),
            code if code == Exit::Interrupted as u8 => None,
            _ => Some("`valetkey doctor` looks for what is wrong"),
        }
    }

    /// What went wrong; empty where all is said already.
    pub(crate) fn sentence(&self) -> &str {
        self.sentence.as_deref().unwrap_or_default()
    }

    #[cfg(test)]
    pub(crate) fn code(&self) -> u8 {
        self.exit
    }
}

/// The exit code that tells a script of this kind of error.
pub(crate) fn exit_of(kind: Kind) -> Exit {
    match kind {
        Kind::LoginRequired => Exit::LoginRequired,
        Kind::UsageLimit => Exit::UsageLimit,
        Kind::ConsentRequired | Kind::InvalidParams | Kind::MethodNotFound => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// Only writing what was asked for gives bare `io::Error`s in this room. A reader that has seen
/// enough (`valetkey models | head -1`) is not a failure.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::silent(Exit::Done);
        }
        Self::new(Exit::Failed, format!("cannot write the answer: {error}"))
    }
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        let failure = Self::new(exit_of(error.kind()), error.message);
        let known = match error.data.kind {
            Kind::UsageLimit => resets(&error.data.more),
            Kind::UnsupportedModel => models(&error.data.more, &failure),
            _ => None,
        };
        let usual = match error.data.kind {
            Kind::LoginRequired => Some("run `valetkey login`".to_owned()),
            Kind::UpstreamError if error.data.retry_after.is_none() => {
                Some("that is the API's own word: try again in a moment".to_owned())
            }
            _ => error.data.retry_after.map(|secs| format!("try again in {secs} s")),
        };
        Self { hint: known.or(error.data.hint).or(usual), ..failure }
    }
}

/// When a limit is lifted. Upstream counts in seconds and this surface in milliseconds; no limit lasts
/// until the year 5138, so that the two cannot be mistaken.
fn resets(more: &Map<String, Value>) -> Option<String> {
    let at = more.get("resets_at")?.as_u64()?;
    let at = if at < 100_000_000_000 { Timestamp::from_secs(at) } else { Timestamp(at) };
    Some(format!("the limit is lifted {}", until(at, Clock::System.now())))
}

/// What there is instead, unless the sentence has told it already.
fn models(more: &Map<String, Value>, failure: &Failure) -> Option<String> {
    let known: Vec<&str> =
        more.get("models")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let said = failure.sentence.as_deref().unwrap_or_default();
    let told = known.iter().all(|model| said.contains(model));
    (!told).then(|| format!("there are {}", known.join(", ")))
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(error) => error.into(),
            other => Self::new(Exit::Unreachable, format!("the daemon did not answer: {other}"))
                .hint("`valetkey paths` shows where its log is"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let hint = match &error {
            ClientError::Unreachable { .. } if !error.is_of_the_name() => {
                "start it with `valetkey serve`, or leave out --no-spawn"
            }
            _ => "`valetkey paths` shows which socket is used, and `--socket` takes another",
        };
        Self::new(Exit::Unreachable, error.to_string()).hint(hint)
    }
}

impl From<PathsError> for Failure {
    fn from(error: PathsError) -> Self {
        Self::new(Exit::Failed, error.to_string())
            .hint("VALETKEY_CONFIG, VALETKEY_DATA_DIR, VALETKEY_STATE_DIR and VALETKEY_SOCKET say where things are")
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Usage, error.to_string())
            .hint("`valetkey help configuration` shows every setting and its default")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_become_the_exit_codes_that_scripts_test() {
        let code = |kind| Failure::from(RpcError::new(kind, "x")).code();
        assert_eq!(code(Kind::LoginRequired), 3);
        assert_eq!(code(Kind::UsageLimit), 5);
        assert_eq!(code(Kind::ConsentRequired), 2);
        assert_eq!(code(Kind::StorageError), 1);
    }

    #[test]
    fn whoever_fails_is_told_a_next_step() {
        let usual = |exit| Failure::new(exit, "it failed").usual_hint();
        assert!(usual(Exit::Failed).is_some() && usual(Exit::Usage).is_some());
        assert_eq!(usual(Exit::Interrupted), None, "the person knows");
        assert_eq!(Failure::silent(Exit::LoginRequired).usual_hint(), None);
    }

    #[test]
    fn a_closed_stdout_is_quiet_success_but_a_lost_daemon_is_not() {
        let broken = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let quiet = Failure::from(broken());
        assert_eq!((quiet.code(), quiet.sentence), (0, None));
        assert_eq!(Failure::from(CallError::Lost(broken())).code(), 4);
    }

    #[test]
    fn a_limit_is_told_with_its_end_and_an_unknown_model_with_those_that_are() {
        let at = Clock::System.now().plus(std::time::Duration::from_secs(7_260));
        for resets_at in [at.0, at.as_secs()] {
            let error = RpcError::new(Kind::UsageLimit, "x").with("resets_at", resets_at);
            let hint = Failure::from(error).hint.expect("a hint");
            assert!(hint.starts_with("the limit is lifted in 2 h "), "{hint}");
        }
        let error = RpcError::new(Kind::UnsupportedModel, "x").with("models", vec!["a", "b"]);
        assert_eq!(Failure::from(error).hint.as_deref(), Some("there are a, b"));
        let error =
            RpcError::new(Kind::UnsupportedModel, "there is b, a").with("models", vec!["a", "b"]);
        assert_eq!(Failure::from(error).hint, None, "it is told once");
        let unknown = RpcError::new(Kind::UsageLimit, "x").with("resets_at", Value::Null);
        assert_eq!(Failure::from(unknown).hint, None);
    }

    #[test]
    fn the_daemons_own_hint_beats_the_usual_one() {
        let error = RpcError::new(Kind::LoginRequired, "Nobody is signed in.");
        assert_eq!(Failure::from(error.clone()).hint.as_deref(), Some("run `valetkey login`"));
        assert_eq!(Failure::from(error.hint("ask Ann")).hint.as_deref(), Some("ask Ann"));
    }
}

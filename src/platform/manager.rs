//! The person's service manager, asked from outside: is our service installed, does it run, will it stay.
//!
//! Its programs (`systemctl`, `launchctl`, `schtasks`) are the interface that the systems promise to keep, and
//! they work where no bus can be reached from here. A program that hangs must not hang us with it, so every
//! question has its end. All managers are compiled everywhere; only which one is ours depends on the
//! system, so that each can be tested as text on the others.

mod bounded;
pub mod launchd;
pub mod systemd;
pub mod tasks;

use std::io;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

pub(super) use bounded::run_bounded;

/// How long a manager may think about a question. It answers in milliseconds; one that is starting up
/// with a session, on a slow disk, takes seconds. A verb asks a few such questions, one after another.
const ASK_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a start or a stop may take: a daemon that is told to stop finishes a refresh for up to 40 s
/// (`TimeoutStopSec=` of the unit), and starting takes less than the rest.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(70);

/// Which kind of manager is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `systemd --user`.
    Systemd,
    /// launchd's agents.
    Launchd,
    /// The Task Scheduler of Windows.
    TaskScheduler,
}

/// The manager of this system; nothing where we know of none.
#[must_use]
pub fn native() -> Option<Kind> {
    if cfg!(target_os = "linux") {
        Some(Kind::Systemd)
    } else if cfg!(target_os = "macos") {
        Some(Kind::Launchd)
    } else if cfg!(windows) {
        Some(Kind::TaskScheduler)
    } else {
        None
    }
}

/// How the installed service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The unit file, launch agent or task.
    pub file: PathBuf,
    /// Whether it starts with the person's session.
    pub enabled: bool,
    /// Whether it runs now.
    pub active: bool,
    /// The manager's own words, as `active (running)`.
    pub state: String,
    /// Whether the part of the sandbox that needs a user namespace is in force; nothing where the
    /// manager has no such thing.
    pub sandboxed: Option<bool>,
}

/// Why the manager did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// Its program could not be run.
    #[error("{program} could not be run: {source}")]
    Unrunnable {
        /// The program.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It did not end.
    #[error("{asked} did not end within {} s", within.as_secs())]
    Slow {
        /// The program and what it was asked.
        asked: String,
        /// How long it was waited for.
        within: Duration,
    },
    /// It refused.
    #[error("{asked} failed: {said}")]
    Refused {
        /// The program and what it was asked.
        asked: String,
        /// The first line that it said to that, or its exit status.
        said: String,
    },
    /// It did as it was told, and nobody answers as a daemon does.
    #[error("its daemon does not answer within {} s", .0.as_secs())]
    Unanswered(Duration),
}

/// The installed service; nothing where there is none.
#[must_use]
pub fn service() -> Option<ServiceState> {
    match native()? {
        Kind::Systemd => systemd::service(),
        Kind::Launchd => launchd::service(),
        Kind::TaskScheduler => tasks::service(),
    }
}

/// Whether a service manager of this user answers.
#[must_use]
pub fn answers() -> bool {
    match native() {
        Some(Kind::Systemd) => systemd::answers(),
        Some(Kind::Launchd) => launchd::answers(),
        Some(Kind::TaskScheduler) => tasks::answers(),
        None => false,
    }
}

/// Whether this user's services outlive the last session; nothing where that is no question.
#[must_use]
pub fn lingers() -> Option<bool> {
    match native() {
        Some(Kind::Systemd) => systemd::lingers(),
        _ => None,
    }
}

/// This user's home directory; nothing where there is none.
#[must_use]
pub fn home() -> Option<PathBuf> {
    directories::BaseDirs::new().map(|base| base.home_dir().to_owned())
}

/// Runs it to its end, whatever its exit status.
fn run(command: &mut Command, within: Duration) -> Result<Output, ManagerError> {
    run_bounded(command, within).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => ManagerError::Slow { asked: words(command), within },
        _ => ManagerError::Unrunnable {
            program: command.get_program().to_string_lossy().into_owned(),
            source: error,
        },
    })
}

/// Runs it to its end, which must be a good one, and gives what it wrote.
fn ask(command: &mut Command, within: Duration) -> Result<String, ManagerError> {
    let output = run(command, within)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(ManagerError::Refused { asked: words(command), said: complaint(&output) })
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// What a program that failed said first, which is the reason; what follows is advice.
fn complaint(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    match said.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(line) => line.to_owned(),
        None => output.status.to_string(),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_refusal_is_one_sentence_with_the_managers_own_first_words() {
        let error = ask(
            &mut shell("echo; echo no such unit >&2; echo see elsewhere >&2; exit 5"),
            ASK_TIME_MAX,
        )
        .expect_err("refused");
        let said = error.to_string();
        assert!(said.ends_with("failed: no such unit"), "{said}");
        let error = ask(&mut shell("exit 5"), ASK_TIME_MAX).expect_err("refused");
        assert!(error.to_string().ends_with("exit status: 5"), "{error}");
    }

    #[test]
    fn a_manager_that_hangs_hangs_nobody_and_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("echo $$ > '{}'; exec sleep 600", pid.display());
        // Long enough for a shell to say who it is.
        let within = Duration::from_secs(2);
        let error = ask(&mut shell(&script), within).expect_err("slow");
        assert!(matches!(error, ManagerError::Slow { .. }), "{error}");
        let pid: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "it is gone");
    }

    #[test]
    fn a_missing_manager_is_told_as_such() {
        let error = ask(&mut Command::new("/nonexistent/ctl"), ASK_TIME_MAX).expect_err("none");
        assert!(error.to_string().starts_with("/nonexistent/ctl could not be run"), "{error}");
    }
}

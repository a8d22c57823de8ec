//! What every test stands on: an issuer, a home, a daemon, and ways to speak to them.
//!
//! Nothing is shared and nothing sleeps to be ready: the daemon says `READY=1` to a socket that the test
//! owns, the sandbox answers when what is waited for has happened, and whatever can only be looked at
//! again and again is looked at within a bound ([`eventually`]).

#![allow(dead_code, unused_imports, reason = "each kind of test uses its own part")]

mod browser;
mod daemon;
mod ending;
mod exchange;
mod home;
mod http;
mod line;
mod private;
mod readiness;
mod sandbox;
mod socket;

use std::process::{Child, ExitStatus, Output};
use std::time::{Duration, Instant};

pub(crate) use browser::{Started, complete, start_login};
pub(crate) use daemon::Daemon;
pub(crate) use ending::{ENDS_DAEMONS, ENDS_VERBS, ask_to_end, can_ask_to_end};
pub(crate) use exchange::{Asked, Exchange, Piece, events};
pub(crate) use home::Home;
pub(crate) use http::{Response, encode, get, parameter, post, send};
pub(crate) use line::Line;
pub(crate) use private::is_private;
pub(crate) use sandbox::Sandbox;
pub(crate) use socket::{Socket, connect, listen};

/// Longer than anything here takes on a busy machine; what takes longer hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// How often something that cannot tell of itself is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `look` finds something.
///
/// # Panics
/// Where it finds nothing within [`LONG`].
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LONG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Waits for a process to end; one that does not is killed.
#[track_caller]
pub(crate) fn ended(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + LONG;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("process {} did not end", child.id());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Sends a signal to a process of ours.
#[cfg(unix)]
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// Whether tests may change their user.
#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that something was not looked at. Shows with `--nocapture`, and in the output of a failed run.
pub(crate) fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// What a finished command wrote.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a finished command complained of.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

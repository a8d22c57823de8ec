//! Starting a daemon from a client, and knowing when it is ready.
//!
//! A person who types `valetkey token` should not have to know that a daemon must run. Readiness is
//! told by the daemon itself, with systemd's datagram (`READY=1`) to a socket that the starter owns,
//! so nobody sleeps and looks again; a daemon that ends early is noticed at once, with its own words.

#[cfg(windows)]
mod apart;
mod readiness;
mod service;

use std::io::{self, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::manager::run_bounded;

/// Where the logs of a daemon go that a client started: not to the client's terminal.
pub const LOG_TO: (&str, &str) = ("VALETKEY_LOG_TO", "file");

/// The exit status of a daemon that finds another one in its place (`EX_TEMPFAIL` of sysexits.h).
pub const EXIT_ALREADY_RUNNING: i32 = 75;

/// What is kept of the last words of a daemon that ends early.
const LAST_WORDS_BYTES_MAX: u64 = 8 * 1024;

/// Why no daemon came up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be run, or the means of hearing from it could not be made.
    #[error("the daemon could not be started: {0}")]
    Spawn(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the daemon ended before it was ready: {said}")]
    Exited {
        /// Its exit status, where it was not killed.
        status: Option<i32>,
        /// Its last words, trimmed.
        said: String,
    },
    /// It is neither ready nor gone.
    #[error("the daemon was not ready within {} s", .0.as_secs())]
    Slow(Duration),
}

/// Starts a daemon that outlives this process and whoever waits for what this process writes, and waits until it
/// is ready. Otherwise as [`until_ready`].
///
/// # Errors
/// As [`StartError`] tells.
pub fn outliving(
    command: &mut Command,
    within: Duration,
    is_up: impl Fn() -> bool + Clone + Send + 'static,
) -> Result<(), StartError> {
    #[cfg(windows)]
    match apart::until_ready(command, within, &is_up) {
        // It has nobody to tell why, so it is asked once more, by one that hears it.
        Err(StartError::Exited { status, .. }) if status != Some(EXIT_ALREADY_RUNNING) => {}
        other => return other,
    }
    until_ready(command, within, is_up).map(drop)
}

enum News {
    Ready,
    /// The daemon closed its standard error, which it keeps to its end.
    Silent(String),
}

/// Runs `command` and waits until it says that it is ready, has ended, or `within` has passed (it is
/// killed then). Its standard error is read here; `is_up` is asked where the system has no readiness
/// datagram.
///
/// # Errors
/// As [`StartError`] tells.
pub fn until_ready(
    command: &mut Command,
    within: Duration,
    is_up: impl Fn() -> bool + Send + 'static,
) -> Result<Child, StartError> {
    let (news, heard) = channel();
    // The place stays with us, so that it is removed even if its waiter never hears anything.
    let (place, waiter) = readiness::prepare(is_up)?;
    readiness::announce(&place, command);
    detach(command);
    let mut child = command
        .env(LOG_TO.0, LOG_TO.1)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(stderr) = child.stderr.take() {
        let news = news.clone();
        std::thread::spawn(move || listen_to_the_end(stderr, &news));
    }
    std::thread::spawn(move || {
        if waiter.wait(within) {
            // The starter may have given up meanwhile.
            let _ = news.send(News::Ready);
        }
    });
    match heard.recv_timeout(within) {
        Ok(News::Ready) => Ok(child),
        Ok(News::Silent(said)) => {
            let status = child.wait()?.code();
            Err(StartError::Exited { status, said })
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            child.kill()?;
            child.wait()?;
            Err(StartError::Slow(within))
        }
    }
}

/// Keeps the beginning of what is said, and goes on reading so that the pipe never fills.
fn listen_to_the_end(mut stderr: ChildStderr, news: &Sender<News>) {
    let mut said = Vec::new();
    let _ = (&mut stderr).take(LAST_WORDS_BYTES_MAX).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    let _ = news.send(News::Silent(String::from_utf8_lossy(&said).trim().to_owned()));
}

/// Leaves the terminal's session, so that closing the window or Ctrl-C reaches the person's command
/// and not the daemon it started. A process that leads its group already stays where it is.
pub fn leave_terminal() {
    #[cfg(unix)]
    let _ = rustix::process::setsid();
}

/// Gives a daemon a console of its own, which is never shown: it would end with its starter's window, and hear
/// its Ctrl-C. (With none at all, each program that a hook runs would open a window.)
#[cfg(windows)]
fn detach(command: &mut Command) {
    use std::os::windows::process::CommandExt as _;

    command.creation_flags(winsafe::co::CREATE::NO_WINDOW.raw());
}

/// Nothing yet: the daemon leaves the terminal by itself ([`leave_terminal`]).
#[cfg(not(windows))]
fn detach(_command: &mut Command) {}

/// Starts the person's installed service, where there is one. `None` where there is none; else
/// whether its manager did it, which for systemd means that the daemon is ready.
#[must_use]
pub fn start_installed_service(within: Duration) -> Option<bool> {
    let mut command = service::start_command()?;
    Some(run_bounded(&mut command, within).is_ok_and(|output| output.status.success()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_daemon_that_ends_early_is_heard() {
        let error = until_ready(&mut shell("echo no room >&2; exit 75"), LONG, || false)
            .expect_err("it ended");
        match error {
            StartError::Exited { status, said } => {
                assert_eq!((status, said.as_str()), (Some(EXIT_ALREADY_RUNNING), "no room"));
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_daemon_that_never_speaks_is_given_up_and_ended() {
        let error = until_ready(&mut shell("exec sleep 60"), Duration::from_millis(50), || false)
            .expect_err("slow");
        assert!(matches!(error, StartError::Slow(_)), "{error}");
    }

    #[test]
    fn readiness_is_one_line_of_a_datagram() {
        let (place, waiter) = readiness::prepare(|| false).expect("a socket");
        let mut probe = Command::new("true");
        readiness::announce(&place, &mut probe);
        let path = probe
            .get_envs()
            .find_map(|(name, value)| {
                (name == "NOTIFY_SOCKET").then(|| value.map(std::ffi::OsStr::to_owned))
            })
            .flatten()
            .expect("the daemon is told where");
        let speaker = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        speaker.send_to(b"STATUS=READY=1 soon", &path).expect("sent");
        speaker.send_to(b"STATUS=up\nREADY=1\n", &path).expect("sent");
        assert!(waiter.wait(LONG));
        drop(place);
        assert!(!std::path::Path::new(&path).exists(), "nothing is left behind");
    }

    #[test]
    fn a_program_that_does_not_exist_is_told_as_such() {
        let error = until_ready(&mut Command::new("/nonexistent/valetkey"), LONG, || false)
            .expect_err("none there");
        assert!(matches!(error, StartError::Spawn(_)), "{error}");
    }
}

//! Logs: where they go, and what can never get into them.
//!
//! Under a service manager or on a terminal they go to standard error; else to daily files that are
//! thrown away after some days. Whatever a person writes into `RUST_LOG`, libraries below us may say
//! nothing finer than `info`: at `trace` an HTTP library prints headers, and with them tokens.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use crate::config::Log;
use crate::platform::files;

/// Lines waiting for a slow disk. Further ones are dropped rather than delaying anybody; the
/// library's default of 128 000 alone would cost four megabytes.
const BUFFERED_LINES_MAX: usize = 1024;

/// Keeps the logs flowing; dropping it writes what is still waiting. Hold it to the end of `main`.
#[must_use = "dropping the guard ends the log"]
pub struct Guard {
    _worker: WorkerGuard,
    filter: reload::Handle<Targets, Registry>,
}

impl Guard {
    /// Makes another level hold from now on; `RUST_LOG` still beats it.
    ///
    /// # Errors
    /// When `level` is no filter.
    pub fn set_level(&self, level: &str) -> io::Result<()> {
        self.filter.reload(filter(level)?).map_err(io::Error::other)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Guard")
    }
}

/// Starts logging for this process.
///
/// # Errors
/// When the level is no filter, or logging was started before.
pub fn start(log: &Log, log_dir: &Path) -> io::Result<Guard> {
    let files = match Destination::of_this_process() {
        Destination::Stderr => None,
        Destination::Files => Some(daily_files(log_dir, log.keep_days)),
    };
    let (unwritable, (writer, worker), ansi) = match files {
        Some(Ok(files)) => (None, queue(files), false),
        // A disk that takes no log is no reason to lend nothing.
        other => {
            let terminal = anstream::AutoStream::choice(&io::stderr());
            let colours = terminal != anstream::ColorChoice::Never;
            (other.and_then(Result::err), queue(io::stderr()), colours)
        }
    };
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi)
        .with_filter(filter.and(cap()));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))
        .map_err(io::Error::other)?;
    if let Some(error) = unwritable {
        tracing::warn!(dir = %log_dir.display(), %error, "no log file can be written; logging here");
    }
    Ok(Guard { _worker: worker, filter: handle })
}

fn queue(writer: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES_MAX)
        .lossy(true)
        .finish(writer)
}

fn daily_files(dir: &Path, keep_days: usize) -> io::Result<RollingFileAppender> {
    files::keep_new_files_private();
    files::create_dir(dir)?;
    RollingFileAppender::builder()
        .rotation(Rotation::DAILY)
        .filename_prefix("valetkey")
        .filename_suffix("log")
        .max_log_files(keep_days)
        .build(dir)
        .map_err(io::Error::other)
}

/// Levels by target, which is all that our lines need; filters on spans' fields would cost a regex
/// engine, a twentieth of the program.
fn filter(level: &str) -> io::Result<Targets> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    wanted.as_deref().unwrap_or(level).parse().map_err(io::Error::other)
}

/// What no setting can widen: our own lines at any level, everybody else's from `info` up.
fn cap<S>() -> impl tracing_subscriber::layer::Filter<S> {
    filter_fn(|line| is_ours(line.target()) || line.level() <= &LevelFilter::INFO)
}

fn is_ours(target: &str) -> bool {
    target.split("::").next() == Some("valetkey")
}

/// Where the lines go.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    Stderr,
    Files,
}

impl Destination {
    fn of_this_process() -> Self {
        Self::choose(|name| std::env::var(name).ok(), io::stderr().is_terminal())
    }

    fn choose(variable: impl Fn(&str) -> Option<String>, terminal: bool) -> Self {
        match variable("VALETKEY_LOG_TO").as_deref() {
            Some("file") => return Self::Files,
            Some("stderr") => return Self::Stderr,
            _ => {}
        }
        // macOS gives every terminal an XPC_SERVICE_NAME of "0".
        let managed = ["JOURNAL_STREAM", "NOTIFY_SOCKET", "XPC_SERVICE_NAME"]
            .iter()
            .any(|name| variable(name).is_some_and(|value| !value.is_empty() && value != "0"));
        if managed || terminal { Self::Stderr } else { Self::Files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_manager_or_a_terminal_gets_the_lines_and_nobody_else() {
        let choose = |variables: &[(&str, &str)], terminal| {
            let find = |name: &str| {
                variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
            };
            Destination::choose(find, terminal)
        };
        assert_eq!(choose(&[], false), Destination::Files);
        assert_eq!(choose(&[], true), Destination::Stderr);
        assert_eq!(choose(&[("JOURNAL_STREAM", "8:1")], false), Destination::Stderr);
        assert_eq!(choose(&[("XPC_SERVICE_NAME", "0")], false), Destination::Files);
        assert_eq!(
            choose(&[("XPC_SERVICE_NAME", "org.example.valetkey")], false),
            Destination::Stderr
        );
        assert_eq!(
            choose(&[("NOTIFY_SOCKET", "/run/n"), ("VALETKEY_LOG_TO", "file")], false),
            Destination::Files
        );
    }

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_filter_makes_a_library_print_its_headers() {
        let kept = Kept::default();
        let writer = kept.clone();
        let everything: Targets = "trace".parse().expect("a filter");
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .with_filter(everything.and(cap()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::trace!(target: "hyper::proto", "authorization: canary");
            tracing::debug!(target: "valetkey_imposter", "canary");
            tracing::info!(target: "reqwest", "told");
            tracing::trace!(target: "valetkey::login", "fine");
        });
        let text =
            String::from_utf8(kept.0.lock().expect("nobody panicked").clone()).expect("text");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("told") && text.contains("fine"), "{text}");
    }

    #[test]
    fn log_files_are_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("log");
        let mut log = daily_files(&dir, 2).expect("they open");
        log.write_all(b"a line\n").expect("written");
        assert!(files::is_private(&dir));
        let file = std::fs::read_dir(&dir)
            .expect("readable")
            .next()
            .expect("one file")
            .expect("readable")
            .path();
        // Windows hands the folder's access list down to it. Wine hands down nothing, and is not asked.
        assert!(cfg!(windows) || files::is_private(&file), "{}", file.display());
    }
}

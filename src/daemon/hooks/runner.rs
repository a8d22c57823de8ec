//! Running the commands: one of a kind at a time, each within its bound, none mourned.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::news::{Event, Notice};
use crate::platform::command::{self, End};
use crate::vendor::redact::redact;

/// How long a command may take: ample for a notification, and too short to be used as a service.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Runs the command of one kind of event for each notice, until `stop`. One that calls `valetkey` reaches
/// the daemon at `socket`, which is us.
pub(super) async fn run_each(
    event: Event,
    mut waiting: mpsc::Receiver<Notice>,
    settings: watch::Receiver<Settings>,
    socket: String,
    stop: CancellationToken,
) {
    let mut unfit = None;
    loop {
        let notice = tokio::select! {
            // First, so that what still waits is left at the end.
            biased;
            () = stop.cancelled() => return,
            notice = waiting.recv() => notice,
        };
        let Some(notice) = notice else { return };
        // The command that holds now, not the one that held when it happened.
        let words = settings.borrow().command(event).to_vec();
        if words.is_empty() || unfit.as_ref() == Some(&words) {
            continue;
        }
        let mut environment = notice.environment();
        environment.push(("VALETKEY_SOCKET", socket.clone()));
        // In the moment of our end it must not start another in our place.
        environment.push(("VALETKEY_NO_SPAWN", "1".to_owned()));
        if !run(event, &words, &environment, &stop).await {
            unfit = Some(words);
        }
    }
}

/// Runs it once; says whether it is worth trying again. One that is no program is not, until the
/// configuration names another.
async fn run(
    event: Event,
    words: &[String],
    environment: &[(&str, String)],
    stop: &CancellationToken,
) -> bool {
    let hook = event.setting();
    let run = command::run(words, environment, TIME_MAX, stop.cancelled()).await;
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            let program = words.first().map(String::as_str).unwrap_or_default();
            if is_no_program(&error) {
                tracing::warn!(hook, program, %error, "the command cannot be run, and is not tried again");
                return false;
            }
            tracing::warn!(hook, program, %error, "the command cannot be run just now");
            return true;
        }
    };
    match run.end {
        End::Exited(status) if status.success() => tracing::debug!(hook, "the command was run"),
        End::Exited(status) => tracing::warn!(hook, %status, "the command failed"),
        End::TookTooLong => {
            let secs = TIME_MAX.as_secs();
            tracing::warn!(hook, secs, "the command took too long and was killed");
        }
        End::GivenUp => tracing::debug!(hook, "the command was killed, as the daemon ends"),
    }
    if !run.said.is_empty() {
        tracing::debug!(hook, said = %redact(&run.said), "what the command said");
    }
    true
}

/// Whether it is the command that is wrong. What else keeps a program from being started passes: too many
/// processes, too little memory, a file that is being replaced.
fn is_no_program(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | PermissionDenied | NotADirectory | InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_that_fails_is_tried_again_and_one_that_is_none_is_not() {
        let (stop, own) = (CancellationToken::new(), std::env::current_exe().expect("we have one"));
        // Nothing of this program is a test of this name, and nothing understands the other one.
        for (argument, environment) in [("no such test", &[][..]), ("--no-such-flag", &[][..])] {
            let words = [own.to_str().expect("text").to_owned(), argument.to_owned()];
            assert!(run(Event::Refresh, &words, environment, &stop).await, "{argument}");
        }
        let words = ["no program has such a name".to_owned()];
        assert!(!run(Event::Refresh, &words, &[], &stop).await);
    }

    /// Linux alone refuses to run what is being written.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_command_that_was_busy_once_is_tried_again_and_one_that_is_none_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("hook");
        std::fs::copy("/bin/true", &program).expect("copied");
        let words = [program.to_str().expect("text").to_owned()];
        let stop = CancellationToken::new();
        // Somebody is writing it.
        let written = std::fs::File::options().append(true).open(&program).expect("ours");
        assert!(run(Event::Refresh, &words, &[], &stop).await, "it may be tried again");
        drop(written);
        assert!(run(Event::Refresh, &words, &[], &stop).await);
        std::fs::remove_file(&program).expect("ours");
        assert!(!run(Event::Refresh, &words, &[], &stop).await, "it is gone");
    }
}

//! Running the commands: one of a kind at a time, each within its bound, none mourned.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::news::{Event, Notice};
use crate::platform::command::{self, End};
use crate::vendor::redact::redact;

/// How long a command may take: ample for a notification, and too short to be used as a service.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Runs the command of one kind of event for each notice, until `stop`.
pub(super) async fn run_each(
    event: Event,
    mut waiting: mpsc::Receiver<Notice>,
    settings: watch::Receiver<Settings>,
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
        if !run(event, &words, &notice, &stop).await {
            unfit = Some(words);
        }
    }
}

/// Runs it once; says whether it could be started at all. One that cannot is not tried again until the
/// configuration names another.
async fn run(event: Event, words: &[String], notice: &Notice, stop: &CancellationToken) -> bool {
    let hook = event.setting();
    let run = command::run(words, &notice.environment(), TIME_MAX, stop.cancelled()).await;
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            let program = words.first().map(String::as_str).unwrap_or_default();
            tracing::warn!(hook, program, %error, "the command cannot be run, and is not tried again");
            return false;
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

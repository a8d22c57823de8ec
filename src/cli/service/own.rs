//! A daemon that a client command started by itself: it holds the credential, so the service would not get it.

use std::fs::File;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::platform::manager::{self, Kind, systemd};
use crate::platform::paths::Paths;
use crate::platform::shell::Shell;
use crate::rpc::Info;
use crate::rpc::client::{Client, ClientError};

use super::super::failure::{Exit, Failure};
use super::super::output::say;
use super::waiting;

/// How long a daemon may take to say who it is.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it may take to end: it finishes a refresh that is in flight, for 35 s unless it was told otherwise.
const END_TIME_MAX: Duration = Duration::from_secs(45);
/// How often its lock is tried meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Who answers at the socket. A daemon that is too busy to say is as good as none.
pub(super) fn info(paths: &Paths) -> Result<Option<(Client, Info)>, Failure> {
    let mut client = match Client::connect(&paths.socket) {
        Err(ClientError::Unreachable { .. }) => return Ok(None),
        other => other?,
    };
    client.set_timeout(Some(ANSWER_TIME_MAX));
    Ok(client.call("info", &json!({})).ok().map(|info| (client, info)))
}

/// Whether whoever connects to the socket meets the service.
pub(super) fn is_service(kind: Kind) -> bool {
    match kind {
        Kind::Systemd => systemd::listens(),
        Kind::Launchd | Kind::TaskScheduler => {
            manager::service().is_some_and(|service| service.active)
        }
    }
}

/// Stops a daemon that runs without a service, and waits for its end.
pub(super) fn give_way(paths: &Paths, kind: Kind) -> Result<(), Failure> {
    // Where the socket unit listens already, no such daemon can have been started.
    if is_service(kind) {
        return Ok(());
    }
    let Some(pid) = end(paths)? else { return Ok(()) };
    Ok(say(format_args!("stopped the daemon that ran without a service (process {pid})"))?)
}

/// Stops whatever daemon answers, and waits for its end. Gives its process, if there was one.
pub(super) fn end(paths: &Paths) -> Result<Option<u32>, Failure> {
    let Some((mut client, info)) = info(paths)? else { return Ok(None) };
    if client.call::<_, serde_json::Value>("shutdown", &json!({})).is_err() {
        return Ok(None);
    }
    let ended = waiting("waiting for the daemon to end", || has_ended(paths));
    if !ended {
        return Err(Failure::new(
            Exit::Failed,
            format!("the daemon that answers (process {}) does not end", info.pid),
        )
        .hint(format!("end it with `{}`, then try again", Shell::NATIVE.end(info.pid))));
    }
    Ok(Some(info.pid))
}

/// Whether the daemon has let go of its credentials, which it does last.
fn has_ended(paths: &Paths) -> bool {
    let end = Instant::now() + END_TIME_MAX;
    loop {
        let free = File::open(paths.lock_file()).is_ok_and(|lock| lock.try_lock().is_ok());
        if free || Instant::now() > end {
            return free;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

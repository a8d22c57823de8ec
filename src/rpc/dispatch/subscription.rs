//! Telling a client what changes, no faster than it reads and no oftener than it matters.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::login::{Login, Logins};
use crate::rpc::Status;
use crate::rpc::connection::Outbox;

/// Sends `status.changed` for each login that differs from what this client was last told, until `ended`
/// or the client is gone. A slow reader misses steps in between, never the last one.
pub(super) fn start(logins: Logins, outbox: Outbox, ended: CancellationToken) {
    let mut changes = logins.changes();
    changes.mark_unchanged();
    let mut told: HashMap<(String, String), Status> = current(&logins).collect();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                () = outbox.gone() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            for (name, status) in current(&logins) {
                if told.get(&name) == Some(&status) {
                    continue;
                }
                tokio::select! {
                    () = ended.cancelled() => return,
                    sent = outbox.notify("status.changed", &status) => if sent.is_err() { return },
                }
                told.insert(name, status);
            }
        }
    });
}

fn current(logins: &Logins) -> impl Iterator<Item = ((String, String), Status)> + use<> {
    let statuses = logins.all().into_iter().map(|login: Login| login.status());
    statuses.map(|status| ((status.vendor.clone(), status.account.clone()), status))
}

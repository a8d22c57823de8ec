//! Who answers on the socket, and what it tells of itself and its logins.

use std::io;
use std::time::Instant;

use crate::platform::process;
use crate::rpc::client::{CallError, Client, ClientError};
use crate::rpc::{Accounts, AccountsList, Empty, Info, State, Status, Which};

use super::PATIENCE;

/// What came of calling the daemon.
#[derive(Debug)]
pub(in super::super) enum Daemon {
    /// Nobody knows where to call.
    Nowhere,
    /// Nobody can be there: the system takes no such address.
    Misnamed {
        /// What it would take.
        why: String,
    },
    /// Nobody is there.
    Absent {
        /// Whether a socket is there that nobody serves.
        stale: bool,
    },
    /// The socket is served by another user, or one that is not told.
    Foreign(Option<u32>),
    /// Somebody is there and says nothing, or nothing that makes sense.
    Silent {
        /// Why it counts as that.
        why: String,
    },
    /// All is as it should be.
    Answers(Box<Answering>),
}

/// Why nothing is known of the logins.
#[derive(Debug)]
pub(in super::super) struct Untold {
    pub(in super::super) why: String,
    /// The daemon answered, and could not.
    pub(in super::super) refused: bool,
}

/// A daemon that answers.
#[derive(Debug)]
pub(in super::super) struct Answering {
    pub(in super::super) info: Info,
    /// The program that it runs, where the system tells.
    pub(in super::super) exe: Option<String>,
    /// The logins that are held, and the default one even if it is not.
    pub(in super::super) logins: Result<Vec<Status>, Untold>,
}

pub(super) fn ask(socket: &str) -> Daemon {
    let end = Instant::now() + PATIENCE;
    let mut client = match Client::connect(socket) {
        Ok(client) => client,
        Err(ClientError::ForeignServer { uid, .. }) => return Daemon::Foreign(uid),
        Err(ClientError::Unreachable { source, .. }) => {
            return match source.kind() {
                io::ErrorKind::NotFound => Daemon::Absent { stale: false },
                io::ErrorKind::InvalidInput => Daemon::Misnamed { why: source.to_string() },
                io::ErrorKind::ConnectionRefused => Daemon::Absent { stale: true },
                _ => Daemon::Silent { why: source.to_string() },
            };
        }
    };
    let mut bound = |client: &mut Client| {
        client.set_timeout(Some(end.saturating_duration_since(Instant::now())));
    };
    bound(&mut client);
    let info: Info = match client.call("info", &Empty {}) {
        Ok(info) => info,
        Err(error) => return Daemon::Silent { why: words(&error) },
    };
    let logins = logins(&mut client, &info, &mut bound).map_err(|error| Untold {
        why: words(&error),
        refused: matches!(error, CallError::Refused(_)),
    });
    let exe = process::exe(info.pid);
    Daemon::Answers(Box::new(Answering { info, exe, logins }))
}

fn logins(
    client: &mut Client,
    info: &Info,
    bound: &mut dyn FnMut(&mut Client),
) -> Result<Vec<Status>, CallError> {
    bound(client);
    let first: Status = client.call("status", &Which::default())?;
    let mut logins = vec![first];
    for vendor in &info.vendors {
        bound(client);
        let params = AccountsList { vendor: Some(vendor.clone()) };
        let Accounts { accounts } = client.call("accounts.list", &params)?;
        for status in accounts {
            let known = logins
                .iter()
                .any(|known| (&known.vendor, &known.account) == (&status.vendor, &status.account));
            if !known && status.state != State::SignedOut {
                logins.push(status);
            }
        }
    }
    Ok(logins)
}

fn words(error: &CallError) -> String {
    match error {
        CallError::Lost(error) if error.kind() == io::ErrorKind::TimedOut => super::late(),
        other => other.to_string(),
    }
}

//! Whether a daemon answers, which one, and on what.

use std::path::Path;
use std::time::Duration;

use crate::platform::paths::SOCKET_BYTES_MAX;
use crate::platform::vitals::{Entry, Kind};
use crate::rpc::PROTOCOL;

use super::super::super::words::span;
use super::super::facts::{Daemon, Facts, Lock};
use super::{Finding, nowhere, restart};

/// The bits that let others write.
const WRITABLE: u32 = 0o022;
/// The sticky bit: in such a folder, as `/tmp`, only the owner of a file may take it away.
const STICKY: u32 = 0o1000;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn answers(facts: &Facts) -> Vec<Finding> {
    let name = "daemon";
    let installed = facts.service.as_ref().is_some_and(|service| service.state.is_some());
    vec![match &facts.daemon {
        Daemon::Nowhere => Finding::skip(name, nowhere(facts)),
        Daemon::Misnamed { .. } => Finding::skip(name, "none can listen at such an address"),
        Daemon::Answers(told) => {
            let up = span(Duration::from_secs(told.info.uptime));
            Finding::ok(name, format!("process {} answers, up for {up}", told.info.pid))
        }
        Daemon::Absent { .. } if installed => Finding::fail(
            name,
            "none answers, although the service is installed",
            "valetkey service start",
        ),
        // A client command starts one; a program that goes to the socket or the door by itself does not.
        Daemon::Absent { .. } => {
            Finding::warn(name, "none runs; a client command starts one", "valetkey status")
        }
        Daemon::Foreign(uid) => {
            let whose =
                uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("user {uid}"));
            Finding::fail(
                name,
                format!("the socket is served by {whose}, who is not you; nothing was asked there"),
                "valetkey paths",
            )
        }
        Daemon::Silent { why } => {
            let what = format!(
                "somebody listens on the socket and does not answer as a daemon does: {why}"
            );
            Finding::fail(
                name,
                what,
                kill_holder(facts).unwrap_or_else(|| "valetkey paths".to_owned()),
            )
        }
    }]
}

fn kill_holder(facts: &Facts) -> Option<String> {
    match facts.files.as_ref()?.lock.as_ref()? {
        Lock::Held { pid: Some(pid), .. } => Some(facts.shell.end_at_once(*pid)),
        _ => None,
    }
}

pub(super) fn version(facts: &Facts) -> Vec<Finding> {
    let name = "version";
    let Daemon::Answers(told) = &facts.daemon else {
        return vec![Finding::skip(
            name,
            format!("this program is {VERSION}; no daemon to compare with"),
        )];
    };
    let theirs = &told.info.version;
    let replaced = told.exe.as_deref().is_some_and(|exe| exe.ends_with(" (deleted)"));
    vec![if told.info.protocol != PROTOCOL {
        Finding::fail(
            name,
            format!(
                "the daemon is {theirs} and speaks another protocol than this program, {VERSION}"
            ),
            restart(facts),
        )
    } else if theirs != VERSION {
        Finding::warn(
            name,
            format!("the daemon is {theirs} and this program {VERSION}"),
            restart(facts),
        )
    } else if replaced {
        Finding::warn(
            name,
            format!("{VERSION}; the daemon's file has been replaced since it started"),
            restart(facts),
        )
    } else {
        Finding::ok(name, format!("{VERSION}, the daemon and this program"))
    }]
}

pub(super) fn socket(facts: &Facts) -> Vec<Finding> {
    let name = "socket";
    let paths = match &facts.places {
        // The first line that needs the places says why there are none.
        Err(nowhere) => {
            return vec![Finding::fail(nowhere.name, nowhere.why.clone(), nowhere.fix.clone())];
        }
        Ok(paths) => paths,
    };
    if paths.socket.len() >= SOCKET_BYTES_MAX {
        let (length, most) = (paths.socket.len(), SOCKET_BYTES_MAX - 1);
        let what = format!("its path has {length} bytes, and this system takes {most} at most");
        let short = match facts.system {
            "windows" => r"\\.\pipe\vk".to_owned(),
            _ => facts.home.word(&paths.state_dir.join("vk.sock")),
        };
        let fix = format!("valetkey --socket {short} serve");
        return vec![Finding::fail(name, what, fix)];
    }
    let Some(files) = &facts.files else { return vec![Finding::skip(name, nowhere(facts))] };
    let Some(at) = &files.socket else { return vec![pipe(facts, &paths.socket)] };
    let mut findings = Vec::new();
    match &at.folder {
        Ok(Some(folder)) => findings.extend(folder_fault(facts, &at.path, *folder)),
        Ok(None) => {}
        Err(why) => findings.push(Finding::skip(name, format!("its folder: {why}"))),
    }
    let (short, word) = (facts.home.short(&at.path), facts.home.word(&at.path));
    findings.push(match &at.entry {
        Err(why) => Finding::skip(name, format!("{short}: {why}")),
        Ok(None) if matches!(facts.daemon, Daemon::Answers(_)) => Finding::ok(name, short),
        Ok(None) => Finding::skip(name, format!("{short} is not there, as no daemon is")),
        Ok(Some(entry)) => entry_fault(facts, *entry, &short, &word),
    });
    findings
}

/// A pipe is no file: it is there as long as its daemon is, and its client has seen whose it is.
fn pipe(facts: &Facts, pipe: &str) -> Finding {
    match &facts.daemon {
        Daemon::Answers(_) => Finding::ok("socket", format!("{pipe}, yours alone")),
        Daemon::Foreign(_) => {
            Finding::fail("socket", format!("{pipe} was taken by another user"), "valetkey paths")
        }
        Daemon::Misnamed { why } => {
            Finding::fail("socket", format!("{pipe} is no pipe: {why}"), "valetkey paths")
        }
        Daemon::Absent { .. } => {
            Finding::skip("socket", format!("{pipe} is not there, as no daemon is"))
        }
        _ => Finding::skip("socket", format!("it cannot be told whose {pipe} is")),
    }
}

fn entry_fault(facts: &Facts, entry: Entry, short: &str, word: &str) -> Finding {
    let name = "socket";
    if entry.kind != Kind::Socket {
        return Finding::fail(
            name,
            format!("{short} is no socket, and is in the way of one"),
            facts.shell.set_aside(word),
        );
    }
    if entry.owner.is_some() && entry.owner != facts.uid {
        let owner = entry.owner.unwrap_or_default();
        return Finding::fail(
            name,
            format!("{short} belongs to user {owner}"),
            format!("sudo rm {word}"),
        );
    }
    if let Some(mode) = entry.mode.filter(|mode| mode & 0o077 != 0) {
        // Callers of other users are refused all the same, by what the kernel says of them.
        return Finding::warn(
            name,
            format!("{short} is open to others ({:03o})", mode & 0o777),
            facts.shell.restrict_file(word),
        );
    }
    if matches!(facts.daemon, Daemon::Absent { stale: true }) {
        return Finding::warn(
            name,
            format!(
                "{short} was left behind by a daemon that did not end in order; the next one takes its place"
            ),
            "valetkey status",
        );
    }
    Finding::ok(name, format!("{short}, yours alone"))
}

/// Who can write to the folder can put a socket of their own into the place of ours.
fn folder_fault(facts: &Facts, socket: &Path, folder: Entry) -> Option<Finding> {
    let dir = socket.parent()?;
    let mode = folder.mode.filter(|mode| mode & WRITABLE != 0 && mode & STICKY == 0)?;
    let (short, word) = (facts.home.short(dir), facts.home.word(dir));
    let what =
        format!("others may replace it: its folder {short} is writable for them ({mode:03o})");
    Some(Finding::fail("socket", what, format!("chmod go-w {word}")))
}

pub(super) fn lock(facts: &Facts) -> Vec<Finding> {
    let name = "lock";
    if matches!(facts.daemon, Daemon::Answers(_)) {
        return vec![Finding::ok(
            name,
            "the daemon that answers holds it, as it could not run otherwise",
        )];
    }
    let Some(lock) = facts.files.as_ref().and_then(|files| files.lock.as_ref()) else {
        return vec![Finding::skip(name, nowhere(facts))];
    };
    vec![match lock {
        Lock::Free => Finding::ok(name, "nobody holds it"),
        Lock::Unknown(why) => Finding::skip(name, format!("it cannot be told who holds it: {why}")),
        Lock::Held { pid, program } => {
            let who = match (pid, program) {
                (Some(pid), Some(program)) => {
                    format!("process {pid} ({})", facts.home.short(Path::new(program)))
                }
                (Some(pid), None) => format!("process {pid}"),
                (None, _) => "a process".to_owned(),
            };
            let what = format!("{who} holds the logins and does not answer on this socket");
            let fix = pid.map_or_else(|| "valetkey paths".to_owned(), |pid| facts.shell.end(pid));
            Finding::fail(name, what, fix)
        }
    }]
}

//! What surrounds the daemon: the service that runs it, other owners of its logins, the disk below it.

use crate::rpc::ImportSource;

use super::super::super::others::Other;
use super::super::facts::{Daemon, Disk, Facts};
use super::{Finding, nowhere};

/// Less room than this on a disk is soon none.
const ROOM_TO_WARN: u64 = 50 << 20;
/// Less than this may not hold a login, its room and a log.
const ROOM_TO_FAIL: u64 = 1 << 20;
/// Files that are made for each renewal, and some for whatever else runs.
const FILES_TO_WARN: u64 = 1_000;
/// As good as none.
const FILES_TO_FAIL: u64 = 16;

pub(super) fn service(facts: &Facts) -> Vec<Finding> {
    let name = "service";
    let Some(service) = &facts.service else {
        return vec![Finding::skip(name, "the service manager did not answer in time")];
    };
    let Some(state) = &service.state else {
        let what = if service.manager {
            "none is installed; client commands start a daemon (valetkey service install)"
        } else {
            "no service manager of this user answers"
        };
        return vec![Finding::skip(name, what)];
    };
    let mut findings = Vec::new();
    if !state.active {
        let what = format!("it does not run: {}", state.state);
        findings.push(Finding::fail(name, what, "valetkey service start"));
    } else if !state.enabled {
        let what = "it runs, and will not after the next sign-in to this machine";
        findings.push(Finding::warn(name, what, "valetkey service install"));
    } else {
        findings.push(Finding::ok(name, format!("it is enabled, and {}", state.state)));
    }
    if let Some(program) = &service.program {
        let short = facts.home.short(&program.path);
        if !program.runnable {
            let what = format!("it starts {short}, which is not there or cannot be run");
            findings.push(Finding::fail("unit", what, "valetkey service install"));
        } else if program.ours == Some(false) {
            let what = format!("it starts {short}, which is not this program");
            findings.push(Finding::warn("unit", what, "valetkey service install"));
        } else {
            findings.push(Finding::ok("unit", format!("it starts {short}")));
        }
    }
    match state.sandboxed {
        Some(true) => findings.push(Finding::ok("sandbox", "the service sees nothing but its own files")),
        Some(false) => findings.push(Finding::warn(
            "sandbox",
            "the service sees all files of this user: the part of its sandbox that needs a user namespace is not in force",
            "systemctl --user cat valetkey.service",
        )),
        None => {}
    }
    findings
}

pub(super) fn linger(facts: &Facts) -> Vec<Finding> {
    let name = "linger";
    let installed = facts.service.as_ref().filter(|service| service.state.is_some());
    let Some(lingers) = installed.and_then(|service| service.lingers) else { return Vec::new() };
    vec![match (lingers, facts.headless) {
        (true, _) => Finding::ok(name, "the service runs on without a session"),
        (false, true) => Finding::warn(
            name,
            "the service ends with your last session on this machine",
            "loginctl enable-linger",
        ),
        (false, false) => {
            Finding::ok(name, "the service runs as long as you are signed in to this machine")
        }
    }]
}

pub(super) fn owners(facts: &Facts) -> Vec<Finding> {
    let name = "owners";
    let Some(others) = &facts.others else {
        return vec![Finding::skip(name, "other programs' files could not be looked at in time")];
    };
    if others.is_empty() {
        return vec![Finding::ok(name, "no other program here holds a login of its own")];
    }
    let ours = match &facts.daemon {
        Daemon::Answers(told) => told.logins.as_ref().ok(),
        _ => None,
    };
    others
        .iter()
        .map(|other| {
            let what = format!("{} has a login of its own in {}", program(other), facts.home.short(&other.path));
            let Some(ours) = ours else {
                return Finding::skip(name, format!("{what}; no daemon to compare it with"));
            };
            let same = ours.iter().find(|status| {
                other.account_id.is_some() && other.account_id == status.account_id
            });
            match same {
                Some(status) => Finding::warn(
                    name,
                    format!("{what}, for the same account as {}/{}: one of two owners is sooner or later logged out", status.vendor, status.account),
                    // With a login that lives nothing is adopted: it only takes the other copy away.
                    format!(
                        "valetkey import {} --sign-out-other --vendor {} --account {}",
                        word(other.source), status.vendor, status.account
                    ),
                ),
                None => Finding::ok(name, format!("{what}, for an account that is not held here")),
            }
        })
        .collect()
}

fn program(other: &Other) -> &'static str {
    match other.source {
        ImportSource::Codex => "the Codex CLI",
        ImportSource::Openhands => "OpenHands",
        ImportSource::Opencode => "opencode",
    }
}

fn word(source: ImportSource) -> &'static str {
    match source {
        ImportSource::Codex => "codex",
        ImportSource::Openhands => "openhands",
        ImportSource::Opencode => "opencode",
    }
}

pub(super) fn disks(facts: &Facts) -> Vec<Finding> {
    match &facts.files {
        None => vec![Finding::skip("disk", nowhere(facts))],
        Some(files) => files.disks.iter().map(|disk| one_disk(facts, disk)).collect(),
    }
}

fn one_disk(facts: &Facts, disk: &Disk) -> Finding {
    let name = "disk";
    let (short, what) = (facts.home.short(&disk.path), disk.what);
    let space = match &disk.space {
        Ok(Some(space)) => space,
        Ok(None) => return Finding::skip(name, "this system does not tell"),
        Err(why) => return Finding::skip(name, format!("{short}: {why}")),
    };
    let fix = facts.shell.show_room(&facts.home.word(&disk.path));
    if space.read_only {
        return Finding::fail(
            name,
            format!("where {what} are kept, in {short}, nothing can be written"),
            fix,
        );
    }
    let left = room(space.bytes);
    let told = format!("{left} are left where {what} are kept, in {short}");
    if space.bytes < ROOM_TO_FAIL {
        return Finding::fail(name, told, fix);
    }
    if let Some(files) = space.files.filter(|files| *files < FILES_TO_WARN) {
        let told = format!("{files} more files can be made where {what} are kept, in {short}");
        let fix = format!("df -i {}", facts.home.word(&disk.path));
        return if files < FILES_TO_FAIL {
            Finding::fail(name, told, fix)
        } else {
            Finding::warn(name, told, fix)
        };
    }
    if space.bytes < ROOM_TO_WARN {
        return Finding::warn(name, told, fix);
    }
    Finding::ok(name, told)
}

/// A size as it is said of disks.
fn room(bytes: u64) -> String {
    match bytes {
        0..0x0010_0000 => format!("{} KiB", bytes >> 10),
        0x0010_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}

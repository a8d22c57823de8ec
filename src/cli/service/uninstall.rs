//! `valetkey service uninstall`: takes away exactly what an installation wrote, in whatever state it left it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::platform::files as disk;
use crate::platform::manager::{self, Kind, launchd, systemd, tasks};

use super::super::Done;
use super::super::args::ServiceUninstall;
use super::super::connect::Context;
use super::super::failure::{Exit, Failure};
use super::super::output::say;
use super::files::{self, Choice, Places};
use super::{hint, own, platform, waiting};

pub(super) fn run(context: &Context, verb: &ServiceUninstall) -> Done {
    let (kind, is_ours) = platform(verb.platform)?;
    let written = written(kind)?;
    let found: Vec<&PathBuf> =
        written.iter().filter(|path| path.symlink_metadata().is_ok()).collect();
    // A task whose file was removed by hand is still the scheduler's.
    let is_task = kind == Kind::TaskScheduler && is_ours && manager::service().is_some();
    if found.is_empty() && !is_task {
        say("no service was installed")?;
        return Ok(remaining()?);
    }
    let answers = is_ours && manager::answers();
    if answers {
        if kind == Kind::TaskScheduler {
            own::end(&context.paths()?)?;
        }
        let down = waiting("stopping the service", || match kind {
            Kind::Systemd => systemd::take_down(),
            Kind::Launchd => launchd::take_down(),
            Kind::TaskScheduler => tasks::take_down(),
        });
        // Units of which half is missing cannot be disabled, and must go all the same.
        if let Err(error) = down {
            hint(format_args!("{error}"))?;
        }
    }
    for path in found {
        // Disabling has removed some of them.
        if path.symlink_metadata().is_err() {
            continue;
        }
        disk::remove(path).map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot remove {}: {error}", path.display()))
                .hint("repair it and run the same again")
        })?;
        say(format_args!("removed {}", path.display()))?;
    }
    written.iter().for_each(|path| remove_empty(path));
    if answers && kind == Kind::Systemd {
        systemd::reload()?;
        systemd::forgive();
        let socket = context.paths()?.socket;
        if let Some(dir) = Path::new(&socket).parent().filter(|dir| dir.ends_with("valetkey")) {
            // The socket is gone; a folder that holds something else stays.
            let _ = fs::remove_dir(dir);
        }
    }
    say("the service is gone; credentials and configuration are kept")?;
    Ok(remaining()?)
}

/// Every file that an installation may have left.
fn written(kind: Kind) -> Result<Vec<PathBuf>, Failure> {
    let home =
        manager::home().ok_or_else(|| Failure::new(Exit::Failed, "this user has no home"))?;
    if kind == Kind::Launchd {
        let own = ["Library/LaunchAgents/local.valetkey.plist", "Library/Logs/valetkey/stderr.log"];
        return Ok(own.map(|path| home.join(path)).to_vec());
    }
    if kind == Kind::TaskScheduler {
        return Ok(vec![tasks::task_file(&home)]);
    }
    // Their names are what counts, and do not depend on where a person's things are.
    let places = Places::usual_on_linux(&home, home.join(".local/bin/valetkey"));
    let mut written = Vec::new();
    for dir in systemd::own_unit_dirs() {
        let drafts = files::units(&places, Choice::default(), &dir).unwrap_or_default();
        written.extend(drafts.into_iter().map(|draft| draft.path));
        // What enabling made, where no manager is there to take it back.
        written.push(dir.join("default.target.wants").join(systemd::SERVICE));
        written.push(dir.join("sockets.target.wants").join(systemd::SOCKET));
    }
    Ok(written)
}

/// Folders that an installation makes where they are missing. Higher ones have other tenants.
const MADE: [&str; 8] = [
    "valetkey.service.d",
    "valetkey.socket.d",
    "default.target.wants",
    "sockets.target.wants",
    "user",
    "systemd",
    "service",
    "valetkey",
];

/// Removes the folders that this file had to itself.
fn remove_empty(path: &Path) {
    let ours =
        |dir: &&Path| dir.file_name().is_some_and(|name| MADE.iter().any(|made| name == *made));
    let mut above = path.parent();
    while let Some(dir) = above.filter(ours) {
        // The folder may be missing where the one above it is there.
        if fs::remove_dir(dir).is_err() && dir.exists() {
            break;
        }
        above = dir.parent();
    }
}

/// A service of everybody's is not ours to remove.
fn remaining() -> std::io::Result<()> {
    match manager::service() {
        Some(service) => hint(format_args!(
            "{} is everybody's and stays; to be rid of it: systemctl --user disable --now {} {}",
            service.file.display(),
            systemd::SOCKET,
            systemd::SERVICE
        )),
        None => Ok(()),
    }
}

//! How the manager of an installed service is told to start it; nothing where none is installed.

use std::process::Command;

use crate::platform::manager::{self, Kind, launchd, systemd, tasks};

pub(super) fn start_command() -> Option<Command> {
    match manager::native()? {
        Kind::Systemd => {
            systemd::unit_file().map(|_| systemd::systemctl(&["start", systemd::SERVICE]))
        }
        Kind::Launchd => launchd::start_command(),
        Kind::TaskScheduler => tasks::start_command(),
    }
}

//! The person's installed service: whether there is one, and how its manager is told to start it.

pub(super) use system::start_command;

#[cfg(target_os = "linux")]
mod system {
    use std::path::PathBuf;
    use std::process::Command;

    const UNIT: &str = "valetkey.service";

    /// Where systemd looks for user units (systemd.unit(5)), the person's own first.
    fn unit_dirs() -> impl Iterator<Item = PathBuf> {
        let base = directories::BaseDirs::new();
        let own =
            base.map(|b| [b.config_dir().join("systemd/user"), b.data_dir().join("systemd/user")]);
        let everybody =
            ["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
        own.into_iter().flatten().chain(everybody.map(PathBuf::from))
    }

    pub(in super::super) fn start_command() -> Option<Command> {
        unit_dirs().any(|dir| dir.join(UNIT).is_file()).then(|| {
            let mut command = Command::new("systemctl");
            command.args(["--user", "start", UNIT]);
            command
        })
    }
}

#[cfg(target_os = "macos")]
mod system {
    use std::process::Command;

    pub(in super::super) fn start_command() -> Option<Command> {
        let agents = directories::BaseDirs::new()?.home_dir().join("Library/LaunchAgents");
        let label = std::fs::read_dir(agents).ok()?.flatten().find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".plist")
                .filter(|label| label.ends_with(".valetkey"))
                .map(str::to_owned)
        })?;
        let mut command = Command::new("launchctl");
        command.arg("kickstart").arg(format!("gui/{}/{label}", rustix::process::getuid().as_raw()));
        Some(command)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod system {
    use std::process::Command;

    pub(in super::super) fn start_command() -> Option<Command> {
        None
    }
}

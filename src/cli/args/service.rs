//! What `valetkey service` takes.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

/// Run the daemon as a service of this user.
///
/// On Linux by `systemd --user`, on macOS by launchd, on Windows by the Task Scheduler. Needs no root.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey service install             write, enable and start the service; a second run changes nothing
  valetkey service status
  valetkey service logs --follow
  valetkey service uninstall           stop it and take its files away; the login stays")]
pub(crate) struct Service {
    #[command(subcommand)]
    pub(crate) action: ServiceAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceAction {
    /// Write the service's files, enable and start it
    Install(ServiceInstall),
    /// Stop the service and take its files away; credentials and configuration stay
    Uninstall(ServiceUninstall),
    /// Start the service
    Start,
    /// Stop the service, and close its socket
    Stop,
    /// Start the service anew
    Restart,
    /// Show how the service stands; exits with 0 when it runs, else with 1
    Status(ServiceStatus),
    /// Show what the service has logged
    Logs(ServiceLogs),
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey service install
  valetkey service install --without-namespaces     where users may not make namespaces
  VALETKEY_DATA_DIR=~/vk valetkey service install   the service is told where things are")]
pub(crate) struct ServiceInstall {
    /// Leave out the part of the sandbox that needs a user namespace (Linux)
    #[arg(long)]
    pub(crate) without_namespaces: bool,
    /// Let commands of `[hooks]` reach the desktop, as notify-send has to (Linux)
    #[arg(long)]
    pub(crate) desktop_notices: bool,
    /// Install it for root, who then is the one whose login it keeps
    #[arg(long)]
    pub(crate) allow_root: bool,
    /// Write the files of another system, and load nothing
    #[arg(long, hide = true, value_name = "NAME")]
    pub(crate) platform: Option<ServicePlatform>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey service uninstall
  valetkey logout && valetkey service uninstall     end the login as well")]
pub(crate) struct ServiceUninstall {
    /// Remove the files of another system
    #[arg(long, hide = true, value_name = "NAME")]
    pub(crate) platform: Option<ServicePlatform>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey service status
  valetkey service status --json | jq .active
  valetkey service status >/dev/null || valetkey service start")]
pub(crate) struct ServiceStatus {
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey service logs
  valetkey service logs --follow -n 5
  valetkey service logs -n 1000 | grep WARN")]
pub(crate) struct ServiceLogs {
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How many lines to begin with
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub(crate) lines: u32,
}

/// Whose service files are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServicePlatform {
    /// systemd's user units.
    Linux,
    /// A launch agent.
    Macos,
    /// A task of the Task Scheduler.
    Windows,
}

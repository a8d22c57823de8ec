//! What `valetkey service` takes.

use clap::{Args as ClapArgs, Subcommand};

/// Run the daemon as a service of this user.
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
    /// Show how the service stands
    Status,
}

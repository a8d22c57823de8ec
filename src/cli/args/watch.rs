//! What `valetkey watch` takes.

use clap::Args as ClapArgs;

/// See logins, borrowers and limits as they change.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey watch
  NO_COLOR=1 valetkey watch")]
pub(crate) struct Watch {}

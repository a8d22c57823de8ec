//! What `valetkey open` takes.

use clap::Args as ClapArgs;

/// Show the same in a browser.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey open
  valetkey open --no-browser           print the one-time address")]
pub(crate) struct Open {
    /// Only print the address, open nothing
    #[arg(long)]
    pub(crate) no_browser: bool,
}

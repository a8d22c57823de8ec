//! What `valetkey open` takes.

use clap::Args as ClapArgs;

/// Show the same in a browser.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey open
  valetkey open --no-browser           print the one-time address
  valetkey open --json                 the same for a script, with its end")]
pub(crate) struct Open {
    /// Only print the address, open nothing
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Print the address and when it ends as JSON, open nothing
    #[arg(long)]
    pub(crate) json: bool,
}

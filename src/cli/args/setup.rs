//! What `valetkey setup` takes.

use clap::Args as ClapArgs;

/// Plug an agent in.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey setup codex                 print what to put where
  valetkey setup codex --write         merge it into the agent's configuration; shows the change first
  valetkey setup codex --undo          take it out again
  valetkey setup --list                which agents are installed, plugged in, or hold a login of their own")]
pub(crate) struct Setup {
    /// Which agent
    #[arg(value_name = "AGENT")]
    pub(crate) agent: Option<String>,
}

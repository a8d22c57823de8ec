//! What `valetkey import` takes.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Adopt a login that another program holds.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey import codex                adopt the Codex CLI's login, from ~/.codex/auth.json
  valetkey import opencode ./auth.json
  valetkey import codex --yes --sign-out-other")]
pub(crate) struct Import {
    /// Whose: codex, openhands or opencode
    #[arg(value_name = "PROGRAM")]
    pub(crate) source: String,
    /// The file that it is kept in, where that is not the usual one
    pub(crate) path: Option<PathBuf>,
}

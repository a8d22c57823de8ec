//! What `valetkey setup` takes.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use clap::{ArgGroup, Args as ClapArgs};

use super::super::setup;

/// Plug an agent in.
#[derive(Debug, ClapArgs)]
#[command(group = ArgGroup::new("what").required(true).args(["agent", "list"]))]
#[command(after_help = "Examples:
  valetkey setup codex                 print what to put where
  valetkey setup codex --write         merge it into the agent's configuration; shows the change first
  valetkey setup codex --undo          take it out again
  valetkey setup --list                which agents are installed, plugged in, or hold a login of their own
  eval \"$(valetkey setup shell --export)\"    for programs started from this shell, until the lease ends")]
pub(crate) struct Setup {
    /// Which agent
    #[arg(value_name = "AGENT", value_parser = PossibleValuesParser::new(setup::names()))]
    pub(crate) agent: Option<String>,
    /// Merge it into the agent's configuration, after showing the change
    #[arg(long, requires = "agent")]
    pub(crate) write: bool,
    /// Take out of the agent's configuration what --write put there
    #[arg(long, requires = "agent", conflicts_with = "write")]
    pub(crate) undo: bool,
    /// List the agents: installed, plugged in, with a login of their own
    #[arg(long, conflicts_with_all = ["write", "undo", "file", "model", "export"])]
    pub(crate) list: bool,
    /// Another configuration file than the agent's usual one
    #[arg(long, requires = "agent", value_name = "PATH")]
    pub(crate) file: Option<PathBuf>,
    /// The model that the agent shall ask
    #[arg(long, short, requires = "agent", value_name = "MODEL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) model: Option<String>,
    /// For `setup shell`: print commands that a shell can evaluate
    #[arg(long, requires = "agent", conflicts_with_all = ["write", "undo", "json"])]
    pub(crate) export: bool,
    /// Change files without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Print as JSON what is to be put where, or what was done
    #[arg(long)]
    pub(crate) json: bool,
}

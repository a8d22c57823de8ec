//! What `valetkey import` takes.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};

use super::Target;
use crate::rpc::ImportSource;

/// Adopt a login that another program holds.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey import codex                the Codex CLI's login, from ~/.codex/auth.json
  valetkey import opencode ./auth.json
  valetkey import codex --yes --sign-out-other
  valetkey import openhands --account work

Two owners of one login log each other out, so the other program has to be signed out of its copy
afterwards. That is offered, and done without its own logout, which would end the login.")]
pub(crate) struct Import {
    /// Whose login
    #[arg(value_enum)]
    pub(crate) program: Program,
    /// The file that it is kept in, where that is not the usual one
    #[arg(value_name = "FILE")]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Adopt it although somebody is signed in, and let another account take that one's place
    #[arg(long, alias = "replace")]
    pub(crate) force: bool,
    /// Accept the notice and the warning without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Take the tokens out of the other program's file afterwards, without being asked; a backup stays
    #[arg(long, conflicts_with = "keep_other")]
    pub(crate) sign_out_other: bool,
    /// Leave the other program's file as it is, without being asked
    #[arg(long)]
    pub(crate) keep_other: bool,
    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The programs, as they are called on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Program {
    /// The Codex CLI
    Codex,
    /// The OpenHands SDK
    Openhands,
    /// opencode
    Opencode,
}

impl Program {
    pub(crate) fn source(self) -> ImportSource {
        match self {
            Self::Codex => ImportSource::Codex,
            Self::Openhands => ImportSource::Openhands,
            Self::Opencode => ImportSource::Opencode,
        }
    }
}

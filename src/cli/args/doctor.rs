//! What `valetkey doctor` takes.

use clap::Args as ClapArgs;

/// Look for what is wrong, and say what repairs it.
///
/// Needs neither a daemon nor a network, changes nothing and starts nothing. Nothing secret or personal is in
/// the report, so it can be pasted into an issue. Exits with 1 where anything is wrong.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey doctor
  valetkey doctor --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub(crate) struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

//! What `valetkey doctor` takes.

use clap::Args as ClapArgs;

/// Look for what is wrong.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey doctor
  valetkey doctor --json | jq '.checks[] | select(.verdict != \"ok\")'")]
pub(crate) struct Doctor {
    /// Print the findings as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

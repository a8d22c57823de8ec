//! What `valetkey help` takes.

use clap::Args as ClapArgs;

/// Read about a verb or a topic.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey help                        the verbs and the topics
  valetkey help login
  valetkey help security")]
pub(crate) struct Help {
    /// A verb or a topic
    pub(crate) topic: Vec<String>,
}

//! What `valetkey help` takes.

use std::ffi::OsStr;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args as ClapArgs, Command, CommandFactory as _};

use super::Args;
use crate::cli::help::TOPICS;

/// Read about a verb or a topic.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey help                        the verbs and the topics
  valetkey help login                  a verb: what it takes, with examples
  valetkey help key add
  valetkey help security               a topic: a section of the README
  valetkey help codex | less           the beginning of its name, or a word of it, is enough")]
pub(crate) struct Help {
    /// A verb or a topic
    #[arg(value_name = "VERB|TOPIC", value_parser = Names, hide_possible_values = true)]
    pub(crate) topic: Vec<String>,
}

/// Takes any word, so that one that is not known gets the answer of the verb itself, and tells shells
/// which there are.
#[derive(Clone)]
struct Names;

impl TypedValueParser for Names {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        static ALL: LazyLock<Vec<String>> = LazyLock::new(|| {
            let tree = Args::command();
            let verbs = tree.get_subcommands().filter(|verb| !verb.is_hide_set());
            let mut all: Vec<String> = verbs.map(|verb| verb.get_name().to_owned()).collect();
            all.extend(TOPICS.iter().map(|topic| topic.name.clone()));
            all.sort_unstable();
            all.dedup();
            all
        });
        Some(Box::new(ALL.iter().map(|name| PossibleValue::new(name.as_str()))))
    }
}

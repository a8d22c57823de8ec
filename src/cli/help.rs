//! `valetkey help`: a verb's own help, or a section of the README, which is compiled in.

use super::Done;
use super::args::Help;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Help) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

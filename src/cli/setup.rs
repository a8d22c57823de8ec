//! `valetkey setup`: an agent plugged in with one line, and unplugged with another.
//!
//! Each agent has a configuration of its own that a person has written and wants to keep as it is.

use super::Done;
use super::args::Setup;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Setup) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

//! `valetkey doctor`: what is wrong, in the order in which a person would look, and what repairs it.

use super::Done;
use super::args::Doctor;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Doctor) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

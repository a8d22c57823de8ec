//! `valetkey watch`: who borrows, how long tokens live and what is left of the limits, as it changes.

use super::Done;
use super::args::Watch;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Watch) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

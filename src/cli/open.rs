//! `valetkey open`: the page that the daemon serves, behind an address that works once.

use super::Done;
use super::args::Open;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Open) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

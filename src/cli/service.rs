//! `valetkey service`: the daemon as a service of this user, from the files that the repository ships.
//!
//! Who has to write a unit file by hand runs the daemon from a terminal instead, and loses it with that.

use super::Done;
use super::args::Service;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Service) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

//! `valetkey import`: a login that another program holds becomes ours.
//!
//! Two owners of one refresh token log each other out, so that the other one's copy has to go.

use super::Done;
use super::args::Import;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(_context: &Context, _verb: &Import) -> Done {
    Err(Failure::new(Exit::Failed, "not built yet"))
}

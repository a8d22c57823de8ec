//! x
pub(super) fn run() -> super::Done { Ok(()) }

//! What passes through to the vendor's API with a token that stays here.

pub mod chat;
mod flight;
mod keeping;
pub mod models;
pub mod passing;
pub mod rebuild;
pub mod routing;
pub mod sanitise;
pub mod sse;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests;
pub mod usage;

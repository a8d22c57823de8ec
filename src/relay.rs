//! What passes through to the vendor's API with a token that stays here.

pub mod chat;
pub mod models;
pub mod passing;
pub mod rebuild;
pub mod routing;
pub mod sanitise;
pub mod sse;
pub mod usage;

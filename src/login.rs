//! Logins.
pub mod state;

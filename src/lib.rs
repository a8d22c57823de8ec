//! One login, held and lent: the library beneath the `valetkey` binary.
pub mod access;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod login;
pub mod platform;
pub mod rpc;
pub mod secret;
pub mod store;
pub mod telemetry;
pub mod vendor;

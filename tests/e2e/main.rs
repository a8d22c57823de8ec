//! The daemon as its users meet it: real processes, real sockets, real files, and an issuer that is as
//! strict as the real one.
//!
//! Every test has a sandbox, a home and a daemon of its own and may run beside any other. Each name says
//! what a user sees; nothing here looks inside the daemon.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![allow(clippy::print_stderr, reason = "a test says what it skips, and why it failed")]

mod access;
mod architecture;
mod cli;
mod crash;
mod door;
mod hooks;
mod login;
mod models;
mod page;
mod refresh;
mod relay;
mod secrets;
mod service;
mod storage;
mod support;
mod surface;
mod usage;
#[cfg(windows)]
mod windows;

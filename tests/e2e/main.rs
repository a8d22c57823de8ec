//! The daemon as its users meet it: real processes, real sockets, real files, and an issuer that is as
//! strict as the real one.
//!
//! Every test has a sandbox, a home and a daemon of its own and may run beside any other. Each name says
//! what a user sees; nothing here looks inside the daemon.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
#![allow(clippy::print_stderr, reason = "a test says what it skips, and why it failed")]

#[cfg(unix)]
mod access;
mod architecture;
mod cli;
mod crash;
#[cfg(unix)]
mod door;
#[cfg(unix)]
mod hooks;
mod login;
#[cfg(unix)]
mod models;
#[cfg(unix)]
mod page;
mod refresh;
#[cfg(unix)]
mod relay;
mod secrets;
mod service;
mod storage;
mod support;
#[cfg(unix)]
mod surface;
#[cfg(unix)]
mod usage;

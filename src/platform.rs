//! What differs between machines, and nowhere else: every `cfg` for a system stands below this room.
#[cfg(windows)]
pub mod access_list;
pub mod command;
pub mod files;
pub mod harden;
pub mod ipc;
pub mod manager;
pub mod paths;
pub mod process;
pub mod service;
pub mod shell;
pub mod signals;
pub mod spawn;
pub mod tcp_owner;
pub mod vitals;

//! What differs between machines.
pub mod ipc;
pub mod paths;
pub mod spawn;

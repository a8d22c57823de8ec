//! What differs between machines, and nowhere else.
pub mod files;
pub mod ipc;
pub mod paths;
pub mod private;
pub mod process;

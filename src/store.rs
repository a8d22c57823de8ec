//! The credential files.

//! Where files are.

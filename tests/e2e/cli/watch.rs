//! The live view, on a terminal of its own.

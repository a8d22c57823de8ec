//! The final object, gathered from a stream. Pure.

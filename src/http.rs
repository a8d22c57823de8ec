//! The HTTP dialect.

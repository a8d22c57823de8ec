//! The service, as its files.

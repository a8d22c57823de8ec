//! A stream on its way through: untouched but for one event, and what is learned of it. Pure.

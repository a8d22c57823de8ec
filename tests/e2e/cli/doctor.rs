//! What is wrong, and what repairs it.

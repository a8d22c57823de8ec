//! Who may call, and what was done: the answer to "may this caller do this", and the trail it leaves.
//!
//! Kept apart from what is asked for, so that no method can be added that forgets the question.

pub mod audit;
pub mod keys;
pub mod peer;

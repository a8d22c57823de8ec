//! Who may call, and what was done: the answer to "may this caller do this", and the trail it leaves.
pub mod audit;
pub mod peer;

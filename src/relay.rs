//! What passes through to the vendor's API with a token that stays here; so far its list of models.

pub mod models;

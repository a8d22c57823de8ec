//! What the backend refuses or requires of a request. Pure.

/// A request that cannot be carried: the client's own mistake, answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong and what to do, as one sentence.
    pub message: String,
    /// Which member of the request.
    pub param: Option<String>,
    /// A word for programs, in the manner of OpenAI's `error.code`.
    pub code: Option<&'static str>,
}

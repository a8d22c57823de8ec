//! The person's service manager, asked from outside: is our service installed, does it run, will it stay.

use std::path::PathBuf;

/// How the installed service stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceState {
    /// The unit file or launch agent.
    pub file: PathBuf,
    /// Whether it starts with the person's session.
    pub enabled: bool,
    /// Whether it runs now.
    pub active: bool,
    /// The manager's own words, as `active (running)`.
    pub state: String,
    /// Whether the part of the sandbox that needs a user namespace is in force; nothing where the
    /// manager has no such thing.
    pub sandboxed: Option<bool>,
}

/// The installed service; nothing where there is none.
#[must_use]
pub fn service() -> Option<ServiceState> {
    None
}

/// Whether a service manager of this user answers.
#[must_use]
pub fn answers() -> bool {
    false
}

/// Whether this user's services outlive the last session; nothing where that is no question.
#[must_use]
pub fn lingers() -> Option<bool> {
    None
}

//! What the system knows of processes: who we are, and what another one runs.

/// The user this process acts as; `None` where users have no number.
#[cfg(unix)]
#[must_use]
pub fn own_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// The user this process acts as; `None` where users have no number.
#[cfg(not(unix))]
#[must_use]
pub fn own_uid() -> Option<u32> {
    None
}

/// The program that process `pid` runs now, where the system tells without special rights.
#[cfg(target_os = "linux")]
#[must_use]
pub fn exe(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// The program that process `pid` runs now, where the system tells without special rights.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn exe(_pid: u32) -> Option<String> {
    None
}

/// Files and connections that are asked for at most: an answer under way takes two, and no system that
/// allows a million expects anybody to use them.
#[cfg(unix)]
const MOST_FILES: u64 = 65_536;

/// Makes use of as many open files as the system lets us have: the usual 1024 are fewer than the clients
/// that may connect. Where it lets us have no more, clients beyond wait to be accepted.
#[cfg(unix)]
pub fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limits.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn allow_many_files() {}

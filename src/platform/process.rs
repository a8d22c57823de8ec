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

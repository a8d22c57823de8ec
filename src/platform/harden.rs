//! What the process gives up before it touches a secret.
//!
//! A core dump or a debugger of the same user would show every token at once, whatever the file modes
//! say. Both are switched off where the system can; it is a fence, not a wall.

use std::io;

/// Why this process must not keep anybody's login.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Foreign users could not be told from ourselves.
    #[error(
        "inside this user namespace every other user shows as user {uid}, which is also us: no caller could be told from a stranger; run as another user, or without PrivateUsers="
    )]
    OverflowUser {
        /// The overflow uid.
        uid: u32,
    },
    /// The system refused.
    #[error("the process could not be protected: {0}")]
    Io(#[from] io::Error),
}

#[cfg(unix)]
pub use unix::protect;

#[cfg(not(unix))]
/// Nothing to give up here: crash dumps are the person's own setting.
///
/// # Errors
/// None.
pub fn protect() -> Result<(), Unfit> {
    Ok(())
}

#[cfg(unix)]
mod unix {
    use super::Unfit;
    use rustix::process::{Resource, Rlimit};

    /// Files for nobody else, no core dumps, no debugger.
    ///
    /// # Errors
    /// [`Unfit`], where it cannot be had or would protect nobody.
    pub fn protect() -> Result<(), Unfit> {
        crate::platform::files::keep_new_files_private();
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        rustix::process::setrlimit(Resource::Core, none).map_err(std::io::Error::from)?;
        #[cfg(target_os = "linux")]
        {
            refuse_overflow_user()?;
            rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
                .map_err(std::io::Error::from)?;
        }
        Ok(())
    }

    /// In a user namespace the kernel shows every unmapped user as the overflow uid (user_namespaces(7)).
    #[cfg(target_os = "linux")]
    fn refuse_overflow_user() -> Result<(), Unfit> {
        let uid = rustix::process::geteuid().as_raw();
        let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
        if overflow.ok().and_then(|text| text.trim().parse().ok()) != Some(uid) {
            return Ok(());
        }
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let everybody = map.split_whitespace().eq(["0", "0", "4294967295"]);
        if everybody { Ok(()) } else { Err(Unfit::OverflowUser { uid }) }
    }
}

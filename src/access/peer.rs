//! Who is at the other end, and whether that is us.
//!
//! A socket's mode can be loosened by hand, by a backup or by a bind mount. What the kernel says of
//! the process that connected cannot, so that alone decides.

use std::io;

use crate::platform::ipc::{Credentials, Stream};
use crate::platform::process;

/// The process at the other end of a connection, as the kernel vouches for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Process id.
    pub pid: Option<u32>,
    /// Effective user id.
    pub uid: Option<u32>,
}

impl Peer {
    /// The peer of an accepted connection.
    ///
    /// # Errors
    /// Where the system does not tell: such a peer is not to be served.
    pub fn of(stream: &Stream) -> io::Result<Self> {
        stream.credentials().map(Self::from)
    }

    /// Whether it runs under our own user. Where users have no number (Windows) the pipe's security
    /// descriptor has already seen to that.
    #[must_use]
    pub fn is_me(&self) -> bool {
        self.uid == process::own_uid()
    }

    /// The program it runs now. A process may have replaced itself since: good for an audit trail,
    /// not for a decision.
    #[must_use]
    pub fn exe(&self) -> Option<String> {
        self.pid.and_then(process::exe)
    }
}

impl From<Credentials> for Peer {
    fn from(credentials: Credentials) -> Self {
        Self { pid: credentials.pid, uid: credentials.uid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_user_is_us() {
        let uid = process::own_uid();
        assert!(Peer { pid: None, uid }.is_me());
        assert!(!Peer { pid: None, uid: Some(uid.unwrap_or(0) + 1) }.is_me());
        assert_eq!(Peer { pid: Some(1), uid: None }.is_me(), uid.is_none());
    }

    #[test]
    fn a_living_process_has_a_program() {
        let me = Peer { pid: Some(std::process::id()), uid: None };
        if let Some(exe) = me.exe() {
            assert_eq!(exe, std::env::current_exe().expect("we have one").to_string_lossy());
        }
        assert_eq!(Peer::default().exe(), None);
    }
}

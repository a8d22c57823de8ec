//! What the relay remembers across restarts: files that may be lost, and are believed only where they
//! are whole and ours.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::clock::{Timestamp, is_set_back};
use crate::platform::files;

/// The content of a file; nothing where it is missing, not ours, or longer than `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    match files::read(path, most.saturating_add(1)) {
        Ok(Some(bytes)) if bytes.len() as u64 > most => {
            tracing::warn!(file = %path.display(), most, "the file is too long and not read");
            None
        }
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "the file is not read");
            None
        }
    }
}

/// Replaces a file whole; it and its folder are for their owner alone.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    files::private_dir(dir).map_err(io::Error::other)?;
    files::replace(path, bytes)
}

/// Whether `then` is less than `span` ago. A clock that was set back since makes everything long ago:
/// what was planned by it is not to be waited for.
pub(super) fn within(now: Timestamp, then: Timestamp, span: Duration) -> bool {
    !is_set_back(then, now) && now.since(then) < span
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_is_too_long_or_foreign_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("folder/file");
        assert_eq!(read(&path, 10), None);
        write(&path, b"0123456789").unwrap();
        write(&path, b"9876543210").unwrap();
        assert_eq!(read(&path, 10).as_deref(), Some(&b"9876543210"[..]));
        assert_eq!(read(&path, 9), None);
        assert!(files::is_private(&path));
        assert_eq!(std::fs::read_dir(dir.path().join("folder")).unwrap().count(), 1);
        let other = dir.path().join("other");
        std::fs::hard_link(&path, &other).unwrap();
        assert_eq!(read(&path, 10), None, "it has a second name");
        files::remove(&path).unwrap();
        files::remove(&path).expect("twice is no error");
    }

    #[test]
    fn a_clock_set_back_ends_every_span() {
        let (then, span) = (Timestamp::from_secs(1_000_000), Duration::from_secs(300));
        assert!(within(then, then, span));
        assert!(within(then.plus(span - Duration::from_secs(1)), then, span));
        assert!(!within(then.plus(span), then, span));
        assert!(within(then.minus(Duration::from_secs(5)), then, span), "put right in passing");
        assert!(!within(then.minus(Duration::from_secs(3600)), then, span));
    }
}

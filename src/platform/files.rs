//! Files and folders that only their owner may look into, on every platform.
//!
//! Whether a file is private is decided here once, and not by each caller's choice of flags. The
//! checks are made on the opened file, never on its name, so that nothing can be swapped in
//! between (a link planted where the credential should be is refused, not followed).

use std::io::{self, Read as _, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// What is wrong with a file that is not ours to trust.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// A link, a folder, a device: not a plain file, or one with a second name.
    #[error("it is not a plain file of its own (a link, a folder or a device)")]
    NotPlain,
    /// It belongs to another user.
    #[error("it belongs to user {0}")]
    Foreign(String),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use unix::{
    append, changed_at, create, create_dir, keep_new_files_private, move_over, open, private_dir,
    replaceable, sync_dir,
};
#[cfg(windows)]
pub use windows::{
    append, changed_at, create, create_dir, keep_new_files_private, move_over, open, private_dir,
    replaceable, sync_dir,
};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// The first `most` bytes of a file that must be ours; nothing where there is none. One that was open to
/// others is made private, and the log says so.
///
/// # Errors
/// [`Untrusted`].
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Untrusted> {
    let (file, loose) = match open(path) {
        Err(Untrusted::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if loose {
        tracing::warn!(file = %path.display(), "the file was open to others; it is its owner's alone now");
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces a file by a new one in one step that outlives a crash: what is found there later is either the old
/// content or the new.
///
/// # Errors
/// As the system's; the old file then stands.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    put(new_in(dir)?, bytes, path)
}

/// A file for its owner alone that is gone with whoever made it, unless it takes another's place.
///
/// # Errors
/// As the system's.
pub fn new_in(dir: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".new-").make_in(dir, system::create_new)
}

fn put(mut new: NamedTempFile, bytes: &[u8], path: &Path) -> io::Result<()> {
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    // Windows moves nothing over another while it is open.
    let mut new = new.into_temp_path();
    move_over(&new, path)?;
    new.disable_cleanup(true);
    path.parent().map_or(Ok(()), sync_dir)
}

/// As [`replace`], for a person's own file, which keeps its mode or access list unless it is to be `private` from
/// now on. One that is not there yet is for its owner alone.
///
/// # Errors
/// As [`replace`].
pub fn rewrite(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = new_in(dir)?;
    if !private && path.try_exists()? {
        system::take_after(new.as_file_mut(), path)?;
    }
    put(new, bytes, path)
}

/// Removes a file; one that is not there is as good as removed.
///
/// # Errors
/// As the system's.
pub fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a file or folder is its owner's alone.
#[cfg(test)]
pub(crate) fn is_private(path: &Path) -> bool {
    system::is_private(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{read, read_dir};

    #[test]
    fn what_is_made_is_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_dir(&inner).unwrap();
        create_dir(&inner).expect("twice is no error");
        assert!(is_private(&dir.path().join("a")) && is_private(&inner));
        for (name, make) in
            [("made", create as fn(&Path) -> _), ("appended", append), ("new", system::create_new)]
        {
            drop(make(&inner.join(name)).unwrap());
            assert!(is_private(&inner.join(name)), "{name}");
        }
        let error = system::create_new(&inner.join("new")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_there_is_emptied_or_added_to_and_private_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "one").unwrap();
        append(&file).unwrap().write_all(b" two").unwrap();
        assert_eq!(read(&file).unwrap(), b"one two");
        system::loosen(&file);
        create(&file).unwrap().write_all(b"new").unwrap();
        assert_eq!((read(&file).unwrap(), is_private(&file)), (b"new".to_vec(), true));
    }

    /// Wine makes no links that it would then not follow.
    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("link"));
        std::fs::write(&file, "precious").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(create(&link).is_err() && append(&link).is_err());
        assert!(matches!(open(&link), Err(Untrusted::NotPlain)));
        assert_eq!(read(&file).unwrap(), b"precious");
    }

    #[test]
    fn only_a_plain_file_with_one_name_is_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        replace(&file, b"1").unwrap();
        assert_eq!(super::read(&file, 9).unwrap().as_deref(), Some(&b"1"[..]));
        replaceable(&file).unwrap();
        std::fs::hard_link(&file, dir.path().join("second")).unwrap();
        for path in [file.as_path(), dir.path()] {
            assert!(matches!(open(path), Err(Untrusted::NotPlain)), "{}", path.display());
            assert!(matches!(replaceable(path), Err(Untrusted::NotPlain)), "{}", path.display());
        }
        assert!(super::read(&dir.path().join("none"), 9).unwrap().is_none());
    }

    #[test]
    fn a_rewritten_file_keeps_who_may_read_it_unless_it_holds_a_secret_now() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        rewrite(&file, b"new", false).unwrap();
        assert!(is_private(&file));
        rewrite(&file, b"newer", false).unwrap();
        assert!(is_private(&file));
        system::loosen(&file);
        rewrite(&file, b"other", false).unwrap();
        assert_eq!((is_private(&file), read(&file).unwrap()), (false, b"other".to_vec()));
        rewrite(&file, b"secret", true).unwrap();
        assert_eq!((is_private(&file), read(&file).unwrap()), (true, b"secret".to_vec()));
        assert_eq!(read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn what_is_loose_is_tightened_once_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("d"), dir.path().join("d/f"));
        assert!(!private_dir(&folder).unwrap(), "a new one is as it should be");
        drop(create(&file).unwrap());
        system::loosen(&folder);
        system::loosen(&file);
        assert!(private_dir(&folder).unwrap() && open(&file).unwrap().1);
        assert!(is_private(&folder) && is_private(&file));
        assert!(!private_dir(&folder).unwrap() && !open(&file).unwrap().1);
    }

    #[test]
    fn a_file_that_somebody_reads_is_replaced_or_stands() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        replace(&file, b"old").unwrap();
        let mut reader = std::fs::File::open(&file).unwrap();
        let replaced = replace(&file, b"new");
        let mut seen = String::new();
        reader.read_to_string(&mut seen).unwrap();
        assert_eq!(seen, "old", "whoever reads reads on");
        // Unix and Windows 10 know how; Wine 8 refuses.
        let now = if replaced.is_ok() { b"new" } else { b"old" };
        assert_eq!(read(&file).unwrap(), now);
        assert!(replaced.is_ok() || cfg!(windows), "{replaced:?}");
        drop(reader);
        replace(&file, b"last").unwrap();
        assert_eq!(read(&file).unwrap(), b"last");
        assert_eq!(read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }
}

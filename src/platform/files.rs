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
    append, changed_at, create, create_dir, keep_new_files_private, move_over, open,
    open_or_create, private_dir, replaceable, sync_dir,
};
#[cfg(windows)]
pub use windows::{
    append, changed_at, create, create_dir, keep_new_files_private, move_over, open,
    open_or_create, private_dir, replaceable, sync_dir,
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

/// As [`replace`], for a person's own file, which keeps its mode unless it is to be `private` from now on. One
/// that is not there yet is for its owner alone.
///
/// # Errors
/// As [`replace`].
pub fn rewrite(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let new = new_in(dir)?;
    match std::fs::metadata(path) {
        Ok(meta) if !private => new.as_file().set_permissions(meta.permissions())?,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
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

#[cfg(test)]
pub(crate) fn mode_of(path: &Path) -> Option<u32> {
    let meta = std::fs::metadata(path).expect("it is there");
    #[cfg(unix)]
    return Some(std::os::unix::fs::MetadataExt::mode(&meta) & 0o777);
    #[cfg(not(unix))]
    return meta.permissions().readonly().then_some(0);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_for_the_owner_alone_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        create_dir(&inner).unwrap();
        create_dir(&inner).expect("twice is no error");
        assert_eq!((mode_of(&dir.path().join("a")), mode_of(&inner)), (Some(0o700), Some(0o700)));
        for (name, make) in [("made", create as fn(&Path) -> _), ("appended", append)] {
            let (file, link) = (inner.join(name), inner.join(format!("link to {name}")));
            drop(make(&file).unwrap());
            assert_eq!(mode_of(&file), Some(0o600), "{name}");
            std::os::unix::fs::symlink(&file, &link).unwrap();
            assert!(make(&link).is_err(), "{name}");
        }
    }

    #[test]
    fn a_rewritten_file_keeps_its_mode_unless_it_holds_a_secret_now() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        rewrite(&file, b"new", false).unwrap();
        assert_eq!(mode_of(&file), Some(0o600));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        rewrite(&file, b"other", false).unwrap();
        assert_eq!(
            (mode_of(&file), std::fs::read(&file).unwrap()),
            (Some(0o640), b"other".to_vec())
        );
        rewrite(&file, b"secret", true).unwrap();
        assert_eq!(mode_of(&file), Some(0o600));
        replaceable(&file).unwrap();
        std::fs::hard_link(&file, dir.path().join("second")).unwrap();
        assert!(matches!(replaceable(&file), Err(Untrusted::NotPlain)));
    }

    #[test]
    fn what_is_loose_is_tightened_once_and_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let loosen = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let dir = tempfile::tempdir().unwrap();
        let (folder, file) = (dir.path().join("d"), dir.path().join("d/f"));
        assert!(!private_dir(&folder).unwrap(), "a new one is as it should be");
        drop(create(&file).unwrap());
        loosen(&folder, 0o755);
        loosen(&file, 0o644);
        assert!(private_dir(&folder).unwrap() && open(&file).unwrap().1);
        assert_eq!((mode_of(&folder), mode_of(&file)), (Some(0o700), Some(0o600)));
        assert!(!private_dir(&folder).unwrap() && !open(&file).unwrap().1);
    }
}

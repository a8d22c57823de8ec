//! Files and folders that only their owner may look into, on every platform.
//!
//! Whether a file is private is decided here once, and not by each caller's choice of flags. The
//! checks are made on the opened file, never on its name, so that nothing can be swapped in
//! between (a link planted where the credential should be is refused, not followed).

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// What is wrong with a file that is not ours to trust.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// A link, a folder, a device: not a plain file, or one with a second name.
    #[error("it is not a plain file of its own (a link, a folder or a device)")]
    NotPlain,
    /// It belongs to another user.
    #[error("it belongs to user {0}")]
    Foreign(u32),
    /// The system said no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(unix)]
mod unix {
    use super::{File, OpenOptions, Path, Untrusted, io};
    use std::fs::{DirBuilder, Permissions};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

    fn nofollow() -> i32 {
        // The bits fit: they are the C library's own `int`.
        rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
    }

    /// Opens a file that must be ours, plain and single-named, for reading. Says whether its mode was
    /// loose and has been tightened to 0600.
    pub fn open(path: &Path) -> Result<(File, bool), Untrusted> {
        let file = match OpenOptions::new().read(true).custom_flags(nofollow()).open(path) {
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Err(Untrusted::NotPlain);
            }
            other => other?,
        };
        let meta = file.metadata()?;
        if !meta.is_file() || meta.nlink() != 1 {
            return Err(Untrusted::NotPlain);
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(Untrusted::Foreign(meta.uid()));
        }
        let loose = meta.mode() & 0o177 != 0;
        if loose {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        Ok((file, loose))
    }

    /// Creates or empties a file with mode 0600, whatever the umask, without following a link.
    pub fn create(path: &Path) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(nofollow())
            .open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        Ok(file)
    }

    /// Opens a file for appending, made with mode 0600 where it is missing, without following a link.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn append(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(nofollow()).open(path)
    }

    /// Makes a folder and what is missing above it, with mode 0700. One that exists stays as it is.
    ///
    /// # Errors
    /// As [`DirBuilder::create`].
    pub fn create_dir(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// From now on every file this process makes is for its owner alone, whatever library makes it.
    pub fn keep_new_files_private() {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }

    /// Makes sure that a folder exists with mode 0700 and is ours. Says whether its mode was loose.
    pub fn private_dir(path: &Path) -> Result<bool, Untrusted> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let meta = std::fs::metadata(path)?;
        if !meta.is_dir() {
            return Err(Untrusted::NotPlain);
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(Untrusted::Foreign(meta.uid()));
        }
        let loose = meta.mode() & 0o777 != 0o700;
        if loose {
            std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
        }
        Ok(loose)
    }

    /// Whether a file can be replaced by a new one and nobody else loses anything: it is ours, and has no
    /// second name.
    ///
    /// # Errors
    /// Why not.
    pub fn replaceable(path: &Path) -> Result<(), Untrusted> {
        let meta = std::fs::metadata(path)?;
        if !meta.is_file() || meta.nlink() != 1 {
            return Err(Untrusted::NotPlain);
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(Untrusted::Foreign(meta.uid()));
        }
        Ok(())
    }

    /// Makes a rename or a removal in this folder survive a power cut.
    pub fn sync_dir(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// When something was last done to a file: written, replaced, put there. In milliseconds since the Unix epoch;
    /// nothing where there is no such file.
    #[must_use]
    pub fn changed_at(path: &Path) -> Option<u64> {
        let meta = std::fs::metadata(path).ok()?;
        u64::try_from(meta.ctime() * 1000 + meta.ctime_nsec() / 1_000_000).ok()
    }
}

#[cfg(windows)]
mod windows {
    use super::{File, OpenOptions, Path, Untrusted};
    use std::io;
    use std::os::windows::fs::{MetadataExt, OpenOptionsExt};

    /// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, so that it can be refused.
    const OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    /// `FILE_ATTRIBUTE_REPARSE_POINT`.
    const REPARSE_POINT: u32 = 0x0400;

    /// Opens a plain file for reading. Access is by the profile folder's own access list.
    pub fn open(path: &Path) -> Result<(File, bool), Untrusted> {
        let file = OpenOptions::new().read(true).custom_flags(OPEN_REPARSE_POINT).open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.file_attributes() & REPARSE_POINT != 0 {
            return Err(Untrusted::NotPlain);
        }
        Ok((file, false))
    }

    /// Creates or empties a file.
    pub fn create(path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
    }

    /// Opens a file for appending, made where it is missing. A link in its place is not followed.
    ///
    /// # Errors
    /// As [`OpenOptions::open`].
    pub fn append(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).custom_flags(OPEN_REPARSE_POINT).open(path)
    }

    /// Makes a folder and what is missing above it. One that exists stays as it is.
    ///
    /// # Errors
    /// As [`std::fs::create_dir_all`].
    pub fn create_dir(path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    /// Nothing to do: what lies in the profile folder has that folder's access list.
    pub fn keep_new_files_private() {}

    /// Makes sure that a folder exists.
    pub fn private_dir(path: &Path) -> Result<bool, Untrusted> {
        std::fs::create_dir_all(path)?;
        Ok(false)
    }

    /// Whether a file can be replaced by a new one: it is a plain file.
    ///
    /// # Errors
    /// Why not.
    pub fn replaceable(path: &Path) -> Result<(), Untrusted> {
        if std::fs::metadata(path)?.is_file() { Ok(()) } else { Err(Untrusted::NotPlain) }
    }

    /// NTFS journals renames; folders cannot be flushed.
    pub fn sync_dir(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// When a file was last written, in milliseconds since the Unix epoch; nothing where there is no such file.
    #[must_use]
    pub fn changed_at(path: &Path) -> Option<u64> {
        let written = std::fs::metadata(path).ok()?.modified().ok()?;
        written.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
    }
}

#[cfg(unix)]
pub use unix::{
    append, changed_at, create, create_dir, keep_new_files_private, open, private_dir, replaceable,
    sync_dir,
};
#[cfg(windows)]
pub use windows::{
    append, changed_at, create, create_dir, keep_new_files_private, open, private_dir, replaceable,
    sync_dir,
};

/// The permission bits of a file, on systems that have them.
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
        tracing::warn!(file = %path.display(), "the file was open to others; it is now 0600");
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
    let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// As [`replace`], for a person's own file, which keeps its mode unless it is to be `private` from now on. One
/// that is not there yet is for its owner alone.
///
/// # Errors
/// As [`replace`].
pub fn rewrite(path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(dir)?;
    match std::fs::metadata(path) {
        Ok(meta) if !private => new.as_file().set_permissions(meta.permissions())?,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    new.write_all(bytes)?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
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

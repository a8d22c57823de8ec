//! Files that only their owner may read, on every platform.
//!
//! The checks are made on the opened file, never on its name, so that nothing can be swapped in
//! between (a link planted where the credential should be is refused, not followed).

use std::fs::{File, OpenOptions};
use std::io;
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

    /// Makes a rename or a removal in this folder survive a power cut.
    pub fn sync_dir(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
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

    /// Makes sure that a folder exists.
    pub fn private_dir(path: &Path) -> Result<bool, Untrusted> {
        std::fs::create_dir_all(path)?;
        Ok(false)
    }

    /// NTFS journals renames; folders cannot be flushed.
    pub fn sync_dir(_path: &Path) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(unix)]
pub use unix::{create, open, private_dir, sync_dir};
#[cfg(windows)]
pub use windows::{create, open, private_dir, sync_dir};

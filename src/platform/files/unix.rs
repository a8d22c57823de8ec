//! Modes: 0600 and 0700, on what was opened.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::Untrusted;

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
        return Err(Untrusted::Foreign(meta.uid().to_string()));
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

/// Creates a file with mode 0600 where nothing stands yet.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
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
        return Err(Untrusted::Foreign(meta.uid().to_string()));
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
        return Err(Untrusted::Foreign(meta.uid().to_string()));
    }
    Ok(())
}

/// Gives a new file the mode of the one that it is to replace.
pub(super) fn take_after(new: &mut File, old: &Path) -> io::Result<()> {
    new.set_permissions(std::fs::metadata(old)?.permissions())
}

/// Puts the file at `from` into the place of the one at `to`, in one step. It outlives a power cut once
/// the folder has been flushed ([`sync_dir`]).
///
/// # Errors
/// As the system's; the one at `to` then stands.
pub fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
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

/// Whether the mode is 0600, or a folder's 0700.
#[cfg(test)]
pub(super) fn is_private(path: &Path) -> bool {
    let meta = std::fs::metadata(path).expect("it is there");
    meta.mode() & 0o777 == if meta.is_dir() { 0o700 } else { 0o600 }
}

/// Lets everybody read a file or a folder.
#[cfg(test)]
pub(super) fn loosen(path: &Path) {
    let mode = if path.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("ours");
}

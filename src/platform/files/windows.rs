//! Access lists: one entry, the owner's, on what was opened.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::Untrusted;
use crate::platform::access_list::{self, FOLDERS_TOO, NOT_THROUGH_LINKS, Of, READ_AND_SET_LIST};

/// `FILE_ATTRIBUTE_REPARSE_POINT`: a link of some kind.
const LINK: u32 = 0x0400;
/// `GENERIC_READ`.
const READ: u32 = 0x8000_0000;
/// `GENERIC_WRITE`.
const WRITE: u32 = 0x4000_0000;
/// `FILE_APPEND_DATA` and `SYNCHRONIZE`.
const APPEND: u32 = 0x0010_0004;

/// Opens a file that must be ours, plain and single-named, for reading. Says whether others had a right to it,
/// which they have no more.
pub fn open(path: &Path) -> Result<(File, bool), Untrusted> {
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .access_mode(READ | READ_AND_SET_LIST)
        .custom_flags(NOT_THROUGH_LINKS | FOLDERS_TOO)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.file_attributes() & LINK != 0 || names(path)? != 1 {
        return Err(Untrusted::NotPlain);
    }
    let loose = make_own(&mut file, Of::Object)?;
    Ok((file, loose))
}

/// How many names a file has. Asked by one of them: no safe way asks by what was opened.
fn names(path: &Path) -> io::Result<u32> {
    use winsafe::HFILE;
    use winsafe::co::{DISPOSITION, FILE_ATTRIBUTE, FILE_FLAG, FILE_SHARE, GENERIC};

    let as_io = |error: winsafe::co::ERROR| io::Error::from_raw_os_error(error.raw().cast_signed());
    let place = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
    let shared = FILE_SHARE::READ | FILE_SHARE::WRITE | FILE_SHARE::DELETE;
    let (file, _) = HFILE::CreateFile(
        place,
        GENERIC::READ,
        Some(shared),
        None,
        DISPOSITION::OPEN_EXISTING,
        FILE_ATTRIBUTE::NORMAL,
        Some(FILE_FLAG::OPEN_REPARSE_POINT),
        None,
        None,
    )
    .map_err(as_io)?;
    Ok(file.GetFileInformationByHandle().map_err(as_io)?.nNumberOfLinks)
}

/// Takes what is ours from everybody else; says whether there was anything to take.
fn make_own(object: &mut File, of: Of) -> Result<bool, Untrusted> {
    let (owner, others) = access_list::holders(object)?;
    if !access_list::is_ours(&owner)? {
        return Err(Untrusted::Foreign(owner));
    }
    if !others.is_empty() {
        access_list::restrict(object, of)?;
    }
    Ok(!others.is_empty())
}

/// Opens what these options say, and takes it from everybody but its owner at once. Until then a new file is
/// whoever's its folder hands it to, which is nobody else in a folder of ours.
fn opened(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let mut file = options.custom_flags(NOT_THROUGH_LINKS).open(path)?;
    if file.metadata()?.file_attributes() & LINK != 0 {
        return Err(io::Error::other("a link is in the way"));
    }
    access_list::restrict(&mut file, Of::Object)?;
    Ok(file)
}

/// Creates or empties a file that is the owner's alone, without following a link.
pub fn create(path: &Path) -> io::Result<File> {
    let file = open_or_create(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Creates a file that is the owner's alone, where nothing stands yet.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).access_mode(READ | WRITE | READ_AND_SET_LIST);
    opened(&mut options, path)
}

/// Opens a file for appending, made for the owner alone where it is missing, without following a link.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).access_mode(APPEND | READ | READ_AND_SET_LIST);
    opened(&mut options, path)
}

/// Opens a file for reading and writing, made for the owner alone where it is missing, without following a link.
///
/// # Errors
/// As [`OpenOptions::open`].
pub fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).access_mode(READ | WRITE | READ_AND_SET_LIST);
    opened(&mut options, path)
}

/// Makes a folder and what is missing above it, for the owner alone. One that exists stays as it is.
///
/// # Errors
/// As [`std::fs::create_dir`].
pub fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => Ok(()),
        Ok(()) => access_list::restrict(&mut folder(path)?, Of::Folder),
    }
}

/// A folder, opened for its access list.
fn folder(path: &Path) -> io::Result<File> {
    OpenOptions::new().access_mode(READ_AND_SET_LIST).custom_flags(FOLDERS_TOO).open(path)
}

/// Nothing to do: there is no such default here. Each file is taken from others as it is made, and what a
/// library makes in a folder of ours is handed down that folder's access list.
pub fn keep_new_files_private() {}

/// Makes sure that a folder exists, is ours and nobody else's. Says whether others had a right to it.
pub fn private_dir(path: &Path) -> Result<bool, Untrusted> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if !path.exists() {
        create_dir(path)?;
    }
    let mut folder = folder(path)?;
    if !folder.metadata()?.is_dir() {
        return Err(Untrusted::NotPlain);
    }
    make_own(&mut folder, Of::Folder)
}

/// Whether a file can be replaced by a new one and nobody else loses anything: it is ours, and has no second
/// name.
///
/// # Errors
/// Why not.
pub fn replaceable(path: &Path) -> Result<(), Untrusted> {
    if !std::fs::metadata(path)?.is_file() || names(path)? != 1 {
        return Err(Untrusted::NotPlain);
    }
    let (owner, _) = access_list::holders(&access_list::look_at(path)?)?;
    if access_list::is_ours(&owner)? { Ok(()) } else { Err(Untrusted::Foreign(owner)) }
}

/// Gives a new file the access list and the attributes of the one that it is to replace.
pub(super) fn take_after(new: &mut File, old: &Path) -> io::Result<()> {
    let real = std::fs::canonicalize(old)?;
    access_list::copy(&access_list::look_at(&real)?, new)?;
    new.set_permissions(std::fs::metadata(old)?.permissions())
}

/// Puts the file at `from` into the place of the one at `to`, in one step, and returns when the disk has it:
/// `MoveFileExW` with `MOVEFILE_WRITE_THROUGH`. That refuses to go over a file that somebody has open, as a
/// virus scanner has in passing; a rename as on Unix does not, where the system knows it (Windows 10 on NTFS;
/// Wine 8 does not), and lasts once the file is flushed.
///
/// # Errors
/// As the system's; the one at `to` then stands.
pub fn move_over(from: &Path, to: &Path) -> io::Result<()> {
    match atomicwrites::replace_atomic(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            std::fs::rename(from, to)?;
            OpenOptions::new().write(true).open(to)?.sync_all()
        }
        moved => moved,
    }
}

/// Makes a removal in this folder survive a power cut, as far as the file system lets itself be asked:
/// `FlushFileBuffers` of a folder is NTFS's own.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    let opened = OpenOptions::new().write(true).custom_flags(FOLDERS_TOO).open(path);
    match opened.and_then(|folder| folder.sync_all()) {
        // Other file systems know no such thing; they keep their order by themselves or not at all.
        Err(error) if path.is_dir() => {
            tracing::trace!(%error, "the folder could not be flushed");
            Ok(())
        }
        other => other,
    }
}

/// When a file was last written, in milliseconds since the Unix epoch; nothing where there is no such file.
#[must_use]
pub fn changed_at(path: &Path) -> Option<u64> {
    let written = std::fs::metadata(path).ok()?.modified().ok()?;
    written.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

/// Whether a file or folder is nobody's but ours: neither another's, nor anybody else's to open.
#[cfg(test)]
pub(super) fn is_private(path: &Path) -> bool {
    let (owner, others) = access_list::look_at(path)
        .and_then(|found| access_list::holders(&found))
        .expect("it is there");
    access_list::is_ours(&owner).is_ok_and(|ours| ours) && others.is_empty()
}

/// Lets everybody read a file or a folder.
#[cfg(test)]
pub(super) fn loosen(path: &Path) {
    access_list::tests::loosen(path);
}

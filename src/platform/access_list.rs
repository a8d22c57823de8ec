//! Who may open what, on Windows: users are security identifiers there, and modes are access lists.
//!
//! Everything that valetkey makes gets a list of one entry, the person's own, which nothing above it adds
//! to ([Access control lists](https://learn.microsoft.com/windows/win32/secauthz/access-control-lists)).

#[cfg(test)]
pub(super) mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsRawHandle;
use std::path::Path;
use std::sync::OnceLock;

use windows_permissions::constants::{SeObjectType, SecurityInformation};
use windows_permissions::wrappers::{GetSecurityInfo, SetSecurityInfo};
use windows_permissions::{LocalBox, SecurityDescriptor, utilities};

/// `READ_CONTROL` and `WRITE_DAC`: the rights to read an object's access list and to set it.
pub(super) const READ_AND_SET_LIST: u32 = 0x0006_0000;
/// `READ_CONTROL` alone.
const READ_LIST: u32 = 0x0002_0000;
/// `FILE_FLAG_BACKUP_SEMANTICS`: without it no folder can be opened.
pub(super) const FOLDERS_TOO: u32 = 0x0200_0000;
/// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, so that it can be refused.
pub(super) const NOT_THROUGH_LINKS: u32 = 0x0020_0000;

/// `LocalSystem`, which may do anything on its machine with or without an entry.
const SYSTEM: &str = "S-1-5-18";

/// The group of administrators, which owns what one of them makes with all rights where the machine's policy
/// says so. Whoever is in it may take anything as it is.
const ADMINISTRATORS: &str = "S-1-5-32-544";

/// Everybody, who holds what has no access list at all.
const EVERYBODY: &str = "S-1-1-0";

/// Stands for an entry of a kind that names nobody.
const UNKNOWN: &str = "an unknown entry";

/// Whom a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// One file or pipe.
    Object,
    /// A folder: what is made in it later gets the same list.
    Folder,
}

/// The user that this process acts as, as in `S-1-5-21-…-1001`.
///
/// # Errors
/// Where the process may not look at its own token.
pub fn own_sid() -> io::Result<&'static str> {
    static OWN: OnceLock<String> = OnceLock::new();
    if let Some(sid) = OWN.get() {
        return Ok(sid);
    }
    let sid = utilities::current_process_sid()?.to_string();
    Ok(OWN.get_or_init(|| sid))
}

/// The security descriptor of an object that is this user's and nobody else's, in the security descriptor
/// definition language.
///
/// # Errors
/// As [`own_sid`].
pub(super) fn owner_alone(of: Of) -> io::Result<String> {
    let own = own_sid()?;
    let inherited = if of == Of::Folder { "OICI" } else { "" };
    Ok(format!("O:{own}D:P(A;{inherited};FA;;;{own})"))
}

/// Takes an opened file or folder away from everybody but its owner. It was opened with [`READ_AND_SET_LIST`].
///
/// # Errors
/// As the system's.
pub(super) fn restrict(object: &mut File, of: Of) -> io::Result<()> {
    let wanted: LocalBox<SecurityDescriptor> = owner_alone(of)?.parse()?;
    let what = SecurityInformation::Dacl | SecurityInformation::ProtectedDacl;
    // As a kernel object: as a file it would be given what its folder hands down, which is what is not wanted.
    SetSecurityInfo(object, SeObjectType::SE_KERNEL_OBJECT, what, None, None, wanted.dacl(), None)
}

/// Gives an opened file the access list that another one has. It was opened with [`READ_AND_SET_LIST`].
///
/// # Errors
/// As the system's.
pub(super) fn copy(from: &impl AsRawHandle, to: &mut File) -> io::Result<()> {
    let what = SecurityInformation::Dacl;
    let found = GetSecurityInfo(from, SeObjectType::SE_KERNEL_OBJECT, what)?;
    SetSecurityInfo(to, SeObjectType::SE_KERNEL_OBJECT, what, None, None, found.dacl(), None)
}

/// Whose an opened object is, and who else has an entry in its access list: the user and those who may do
/// anything anyhow (the system, the administrators) are not told.
///
/// # Errors
/// As the system's.
pub(super) fn holders(object: &impl AsRawHandle) -> io::Result<(String, Vec<String>)> {
    let what = SecurityInformation::Owner | SecurityInformation::Dacl;
    let found = GetSecurityInfo(object, SeObjectType::SE_KERNEL_OBJECT, what)?;
    let owner = found.owner().ok_or_else(|| io::Error::other("it has no owner"))?.to_string();
    let Some(list) = found.dacl() else { return Ok((owner, vec![EVERYBODY.to_owned()])) };
    let own = own_sid()?;
    let named = |at| list.get_ace(at).and_then(|entry| entry.sid()).map(ToString::to_string);
    let entries = (0..list.len()).map(|at| named(at).unwrap_or_else(|| UNKNOWN.to_owned()));
    let others = entries.filter(|sid| sid != own && sid != SYSTEM && sid != ADMINISTRATORS);
    Ok((owner, others.collect()))
}

/// Whether an owner is this user.
///
/// # Errors
/// As [`own_sid`].
pub(super) fn is_ours(owner: &str) -> io::Result<bool> {
    Ok(owner == ADMINISTRATORS || owner == own_sid()?)
}

/// What stands at a path, a link itself and not what it leads to, opened to read its access list.
///
/// # Errors
/// As the system's.
pub(super) fn look_at(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.access_mode(READ_LIST).custom_flags(FOLDERS_TOO | NOT_THROUGH_LINKS).open(path)
}

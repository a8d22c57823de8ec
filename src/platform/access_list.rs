//! Who may open what, on Windows: users are security identifiers there, and modes are access lists.
//!
//! Everything that valetkey makes gets a list of one entry, the person's own, which nothing above it adds
//! to ([Access control lists](https://learn.microsoft.com/windows/win32/secauthz/access-control-lists)).

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use windows_permissions::wrappers::ConvertSecurityDescriptorToStringSecurityDescriptor;

    /// Lets everybody read what stands at a path.
    pub(in super::super) fn loosen(path: &Path) {
        let mut options = OpenOptions::new();
        options.access_mode(READ_AND_SET_LIST).custom_flags(FOLDERS_TOO);
        let (own, mut object) = (own_sid().unwrap(), options.open(path).unwrap());
        let wanted = format!("D:(A;;FA;;;{own})(A;;FR;;;WD)");
        let wanted: LocalBox<SecurityDescriptor> = wanted.parse().unwrap();
        let (kind, what) = (SeObjectType::SE_KERNEL_OBJECT, SecurityInformation::Dacl);
        SetSecurityInfo(&mut object, kind, what, None, None, wanted.dacl(), None).unwrap();
        assert_eq!(holders(&object).unwrap().1, [EVERYBODY]);
    }

    /// An object's owner and access list, in the security descriptor definition language.
    pub(in super::super) fn written(object: &impl AsRawHandle) -> String {
        let what = SecurityInformation::Owner | SecurityInformation::Dacl;
        let found = GetSecurityInfo(object, SeObjectType::SE_KERNEL_OBJECT, what).unwrap();
        let text = ConvertSecurityDescriptorToStringSecurityDescriptor(&found, what).unwrap();
        text.into_string().unwrap()
    }

    #[test]
    fn nobody_but_us_and_administrators_is_us() {
        let own = own_sid().unwrap();
        assert!(own.starts_with("S-1-5-21-"), "{own}");
        assert!(is_ours(own).unwrap() && is_ours(ADMINISTRATORS).unwrap());
        for other in [EVERYBODY, SYSTEM, "S-1-5-11", "S-1-5-32-545", &format!("{own}1"), ""] {
            assert!(!is_ours(other).unwrap(), "{other}");
        }
    }

    #[test]
    fn what_is_restricted_is_the_owners_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        loosen(file.path());
        let mut options = OpenOptions::new();
        let mut opened = options.access_mode(READ_AND_SET_LIST).open(file.path()).unwrap();
        restrict(&mut opened, Of::Object).unwrap();
        // Wine keeps modes, which know no protection from what a folder hands down (`P`), and gives the system
        // what it gives the owner.
        let (own, list) = (own_sid().unwrap(), written(&opened));
        let entry = format!("(A;;FA;;;{own})");
        assert!(list.starts_with(&format!("O:{own}D:")) && list.contains(&entry), "{list}");
        assert_eq!(list.replace("(A;;FA;;;SY)", "").matches('(').count(), 1, "{list}");
    }
}

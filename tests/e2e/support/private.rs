//! Whether a file is for its owner alone: by its mode, or by its access list.

use std::path::Path;

/// Whether what stands at a path (a link itself, not what it leads to) lets in nobody but its owner: a file, a
/// folder, a socket or a pipe.
///
/// # Panics
/// Where nothing is there.
#[cfg(unix)]
#[track_caller]
pub(crate) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let found = std::fs::symlink_metadata(path).unwrap();
    found.mode() & 0o777 == if found.is_dir() { 0o700 } else { 0o600 }
}

/// Whether what stands at a path (a link itself, not what it leads to) lets in nobody but its owner: a file, a
/// folder or a pipe. The system itself gets in everywhere and may be named in the list.
///
/// # Panics
/// Where nothing is there.
#[cfg(windows)]
#[track_caller]
pub(crate) fn is_private(path: &Path) -> bool {
    use std::fs::OpenOptions;
    use std::os::windows::fs::OpenOptionsExt as _;

    use valetkey::platform::access_list::own_sid;
    use windows_permissions::constants::{SeObjectType, SecurityInformation};
    use windows_permissions::wrappers::GetSecurityInfo;

    /// `READ_CONTROL`.
    const READ_LIST: u32 = 0x0002_0000;
    /// `FILE_FLAG_BACKUP_SEMANTICS`, without which no folder opens, and `FILE_FLAG_OPEN_REPARSE_POINT`.
    const FLAGS: u32 = 0x0220_0000;
    const SYSTEM: &str = "S-1-5-18";

    let opened = OpenOptions::new().access_mode(READ_LIST).custom_flags(FLAGS).open(path);
    let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let what = SecurityInformation::Owner | SecurityInformation::Dacl;
    let found = GetSecurityInfo(&opened, SeObjectType::SE_KERNEL_OBJECT, what).unwrap();
    let own = own_sid().unwrap();
    let is_ours = found.owner().is_some_and(|owner| owner.to_string() == own);
    // No list at all lets everybody in.
    let Some(list) = found.dacl() else { return false };
    let named = |at| list.get_ace(at).and_then(|entry| entry.sid().map(ToString::to_string));
    is_ours && (0..list.len()).all(|at| named(at).is_some_and(|sid| sid == own || sid == SYSTEM))
}

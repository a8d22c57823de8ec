//! What a machine tells of files, disks and ports when somebody asks what is wrong.
//!
//! Nothing here changes anything or is needed to serve: each answer is for a person who looks for a fault,
//! and "the system does not tell" is one of the answers.

#[cfg(target_os = "linux")]
mod linux;

use std::io;
use std::net::SocketAddr;
use std::path::Path;

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link; only where links are not followed.
    Link,
    /// A Unix socket.
    Socket,
    /// A device, a pipe.
    Other,
}

/// What the file system says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Whose it is; nothing where users have no number.
    pub owner: Option<u32>,
    /// The permission bits, the sticky bit (0o1000) included; nothing where there are none.
    pub mode: Option<u32>,
    /// How many names it has.
    pub names: u64,
}

/// What is left on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Which file system, as far as it can be told from another.
    pub id: u64,
    /// Bytes that this user may still write.
    pub bytes: u64,
    /// Files that this user may still make; nothing where they are not counted.
    pub files: Option<u64>,
    /// Whether it takes no writes at all.
    pub read_only: bool,
}

/// Who listens on a port, as far as the system tells this user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// The program's file name.
    pub program: Option<String>,
    /// The user.
    pub uid: Option<u32>,
}

/// What the file system says of `path`; nothing where nothing is there.
///
/// # Errors
/// Where a folder on the way may not be looked into, and as `stat(2)` otherwise.
pub fn entry(path: &Path, follow_links: bool) -> io::Result<Option<Entry>> {
    let meta = if follow_links { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
    match meta {
        Ok(meta) => Ok(Some(system::entry_of(&meta))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Who listens where a listener at `address` would; nothing where nobody does. Nothing is opened for the
/// answer on Linux; elsewhere the port is taken and given back at once.
#[must_use]
pub fn holder(address: SocketAddr) -> Option<Holder> {
    #[cfg(target_os = "linux")]
    if let Ok(found) = linux::holder(address) {
        return found;
    }
    let busy = std::net::TcpListener::bind(address)
        .is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    busy.then(Holder::default)
}

pub use system::{is_runnable, space};

#[cfg(unix)]
mod system {
    use super::{Entry, Kind, Path, Space, io};
    use std::fs::Metadata;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

    use rustix::fs::{Access, StatVfsMountFlags};

    pub(super) fn entry_of(meta: &Metadata) -> Entry {
        let kind = match meta.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_socket() => Kind::Socket,
            _ => Kind::Other,
        };
        Entry {
            kind,
            owner: Some(meta.uid()),
            mode: Some(meta.mode() & 0o1777),
            names: meta.nlink(),
        }
    }

    /// What is left where `path` is. The path has to exist.
    ///
    /// # Errors
    /// As `statvfs(3)`.
    pub fn space(path: &Path) -> io::Result<Option<Space>> {
        let told = rustix::fs::statvfs(path)?;
        Ok(Some(Space {
            id: told.f_fsid,
            bytes: told.f_bavail.saturating_mul(told.f_frsize),
            // File systems that make room for files as they come count none.
            files: (told.f_files > 0).then_some(told.f_favail),
            read_only: told.f_flag.contains(StatVfsMountFlags::RDONLY),
        }))
    }

    /// Whether this user may run the file at `path`.
    #[must_use]
    pub fn is_runnable(path: &Path) -> bool {
        path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
    }
}

#[cfg(windows)]
mod system {
    use super::{Entry, Kind, Path, Space, io};
    use std::fs::Metadata;

    pub(super) fn entry_of(meta: &Metadata) -> Entry {
        let kind = match meta.file_type() {
            kind if kind.is_symlink() => Kind::Link,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_file() => Kind::File,
            _ => Kind::Other,
        };
        Entry { kind, owner: None, mode: None, names: 1 }
    }

    /// What is left where the folder `path` is. It has to exist. Which disk it is, is told by its letter or
    /// share, and whether it takes writes not at all.
    ///
    /// # Errors
    /// As `GetDiskFreeSpaceExW`.
    pub fn space(path: &Path) -> io::Result<Option<Space>> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};

        let mut bytes = 0;
        let place = path.to_str().ok_or(io::ErrorKind::InvalidInput)?;
        winsafe::GetDiskFreeSpaceEx(Some(place), Some(&mut bytes), None, None)
            .map_err(|error| io::Error::from_raw_os_error(error.raw().cast_signed()))?;
        let mut id = DefaultHasher::new();
        std::path::absolute(path)?.components().next().hash(&mut id);
        Ok(Some(Space { id: id.finish(), bytes, files: None, read_only: false }))
    }

    /// Whether this user may run the file at `path`.
    #[must_use]
    pub fn is_runnable(path: &Path) -> bool {
        path.is_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        for follow in [true, false] {
            let kind = |name| entry(&at(name), follow).unwrap().map(|entry| entry.kind);
            let found = [kind("file"), kind(""), kind("nothing"), kind("nothing/below")];
            assert_eq!(found, [Some(Kind::File), Some(Kind::Folder), None, None]);
        }
        assert!(!is_runnable(dir.path()) && !is_runnable(&at("none")));
        assert!(is_runnable(&std::env::current_exe().unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn links_sockets_and_modes_are_told() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::fs::set_permissions(at("file"), std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let kind = |name, follow| entry(&at(name), follow).unwrap().map(|entry| entry.kind);
        assert_eq!(kind("link", false), Some(Kind::Link));
        assert_eq!(kind("link", true), Some(Kind::File));
        assert_eq!(kind("socket", false), Some(Kind::Socket));
        let file = entry(&at("file"), false).unwrap().unwrap();
        assert_eq!((file.mode, file.names), (Some(0o640), 1));
        assert_eq!(file.owner, crate::platform::process::own_uid());
        assert!(!is_runnable(&at("file")));
        std::fs::set_permissions(at("file"), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(is_runnable(&at("file")));
    }

    #[test]
    fn a_disk_tells_what_is_left_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let space = space(dir.path()).unwrap().unwrap();
        assert!(!space.read_only && space.bytes > 0);
        assert!(super::space(&dir.path().join("none")).is_err());
        let again = super::space(dir.path().parent().unwrap()).unwrap().unwrap();
        assert_eq!(again.id, space.id, "it is the same disk");
    }

    #[test]
    fn whoever_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let found = holder(address).expect("we listen");
        if cfg!(target_os = "linux") {
            assert_eq!(found.pid, Some(std::process::id()));
            assert_eq!(found.uid, crate::platform::process::own_uid());
            assert!(found.program.is_some_and(|program| !program.contains('/')));
        }
        drop(listener);
        assert_eq!(holder(address), None);
    }
}

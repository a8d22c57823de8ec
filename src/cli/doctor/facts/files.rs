//! Our files and folders as the file system has them: whose they are, who may look into them, how much
//! room is left beside them. Looked at, never opened, but for the one lock.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::platform::paths::Paths;
use crate::platform::process;
use crate::platform::vitals::{self, Entry, Space};

/// Entries of one folder that are looked at: far more than there are logins.
const ENTRIES_MAX: usize = 512;

/// What lies around on the disk.
#[derive(Debug)]
pub(in super::super) struct Files {
    /// Nothing where sockets are no files.
    pub(in super::super) socket: Option<Socket>,
    pub(in super::super) looked: Vec<Looked>,
    pub(in super::super) disks: Vec<Disk>,
    /// Known only where no daemon answers.
    pub(in super::super) lock: Option<Lock>,
}

/// What stands where the socket should.
#[derive(Debug)]
pub(in super::super) struct Socket {
    pub(in super::super) path: PathBuf,
    pub(in super::super) entry: Result<Option<Entry>, String>,
    /// The folder that it is in, links followed.
    pub(in super::super) folder: Result<Option<Entry>, String>,
}

/// What a file or folder is to us, and so what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Role {
    /// A folder that nobody else should look into.
    Private,
    /// A file with a secret in it, or one that is believed without a question.
    Secret,
    /// What nobody else may write: it says which programs are run.
    Trusted,
}

/// A file or folder that is there, or cannot be looked at.
#[derive(Debug)]
pub(in super::super) struct Looked {
    pub(in super::super) path: PathBuf,
    pub(in super::super) role: Role,
    pub(in super::super) entry: Result<Entry, String>,
}

/// The room on the disk below a place of ours.
#[derive(Debug)]
pub(in super::super) struct Disk {
    /// What is kept there.
    pub(in super::super) what: &'static str,
    pub(in super::super) path: PathBuf,
    /// Nothing where the system does not tell.
    pub(in super::super) space: Result<Option<Space>, String>,
}

/// Who has the credentials.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Lock {
    /// Nobody.
    Free,
    /// A daemon.
    Held {
        /// Its process, if it wrote that down.
        pid: Option<u32>,
        /// What that process runs, where the system tells.
        program: Option<String>,
    },
    /// It cannot be told.
    Unknown(String),
}

pub(super) fn look(paths: &Paths) -> Files {
    let socket = PathBuf::from(&paths.socket);
    let folder = socket.parent().filter(|dir| !dir.as_os_str().is_empty());
    let followed = |path: &Path| vitals::entry(path, true).map_err(|error| error.to_string());
    Files {
        socket: vitals::SOCKETS_ARE_FILES.then(|| Socket {
            entry: vitals::entry(&socket, false).map_err(|error| error.to_string()),
            folder: folder.map_or(Ok(None), followed),
            path: socket.clone(),
        }),
        looked: all(paths),
        disks: disks(paths),
        lock: None,
    }
}

fn all(paths: &Paths) -> Vec<Looked> {
    let credentials = paths.credentials_dir();
    let rescue = paths.state_dir.join("rescue");
    let mut looked = Vec::new();
    if let Some(dir) = paths.config_file.parent() {
        looked.extend(one(dir, Role::Trusted));
    }
    looked.extend(one(&paths.config_file, Role::Trusted));
    for dir in [&paths.data_dir, &credentials, &paths.state_dir, &rescue] {
        looked.extend(one(dir, Role::Private));
    }
    for dir in [&paths.log_dir(), &paths.audit_dir()] {
        looked.extend(one(dir, Role::Private));
    }
    for dir in [&paths.data_dir, &credentials, &rescue] {
        within(dir, &mut looked);
    }
    looked
}

/// Something that may be missing.
fn one(path: &Path, role: Role) -> Option<Looked> {
    // A folder may well be a link to a bigger disk, and a configuration one into a collection of them. A
    // secret is never read through a link.
    let found = vitals::entry(path, role != Role::Secret);
    let entry = match found {
        Ok(None) => return None,
        Ok(Some(entry)) => Ok(entry),
        Err(error) => Err(error.to_string()),
    };
    Some(Looked { path: path.to_owned(), role, entry })
}

/// The files of a folder, in the order of their names.
fn within(dir: &Path, looked: &mut Vec<Looked>) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return,
        Err(error) => {
            let entry = Err(error.to_string());
            return looked.push(Looked { path: dir.to_owned(), role: Role::Private, entry });
        }
    };
    let files = entries.flatten().filter(|entry| {
        entry.file_type().is_ok_and(|kind| !kind.is_dir()) && is_ours(&entry.file_name())
    });
    let mut files: Vec<PathBuf> = files.take(ENTRIES_MAX).map(|entry| entry.path()).collect();
    files.sort();
    looked.extend(files.iter().filter_map(|path| one(path, Role::Secret)));
}

/// Whether a file is one that the daemon makes: what else a person keeps beside them is not our concern.
fn is_ours(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // With more behind it where it was set aside.
    name.contains(".json") || name.ends_with(".spare") || name.ends_with(".lock")
}

fn disks(paths: &Paths) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for (what, path) in
        [("the credentials", paths.credentials_dir()), ("the state", paths.state_dir.clone())]
    {
        // What is not made yet will be made on the disk of the folder above.
        let path = path.ancestors().find(|path| path.exists()).unwrap_or(&path).to_owned();
        let space = vitals::space(&path).map_err(|error| error.to_string());
        let same = |disk: &Disk| matches!((&disk.space, &space), (Ok(Some(a)), Ok(Some(b))) if a.id == b.id && a.read_only == b.read_only);
        if !disks.iter().any(same) {
            disks.push(Disk { what, path, space });
        }
    }
    disks
}

/// Who has the lock. A moment's shared lock is the only portable way to ask; it is asked for only where no
/// daemon answered.
pub(super) fn lock(data_dir: &Path) -> Lock {
    let path = data_dir.join("valetkey.lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Lock::Free,
        Err(error) => return Lock::Unknown(error.to_string()),
    };
    match file.try_lock_shared() {
        Ok(()) => Lock::Free,
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
            Lock::Held { pid, program: pid.and_then(process::exe) }
        }
        Err(TryLockError::Error(error)) => Lock::Unknown(error.to_string()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_asked_for_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(lock(dir.path()), Lock::Free);
        let path = dir.path().join("valetkey.lock");
        std::fs::write(&path, "4711\n").unwrap();
        assert_eq!(lock(dir.path()), Lock::Free);
        let holder = File::options().write(true).open(&path).unwrap();
        holder.try_lock().expect("it was given back");
        let Lock::Held { pid, .. } = lock(dir.path()) else { panic!("nobody has it") };
        assert_eq!(pid, Some(4711));
    }

    #[test]
    fn what_is_missing_is_not_looked_at_and_links_to_secrets_are_seen_as_links() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = dir.path().join("data/credentials");
        std::fs::create_dir_all(&credentials).unwrap();
        std::fs::write(dir.path().join("elsewhere"), "x").unwrap();
        std::fs::write(credentials.join("a person's own"), "x").unwrap();
        let link = credentials.join("openai.json");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &link).unwrap();
        let paths = Paths {
            config_file: dir.path().join("none/config.toml"),
            data_dir: dir.path().join("data"),
            state_dir: dir.path().join("state"),
            socket: dir.path().join("run/vk.sock").to_string_lossy().into_owned(),
        };
        let files = look(&paths);
        let seen: Vec<&Path> = files.looked.iter().map(|looked| looked.path.as_path()).collect();
        assert_eq!(seen, [paths.data_dir.as_path(), &credentials, &link]);
        let kind = files.looked[2].entry.as_ref().unwrap().kind;
        assert_eq!(kind, vitals::Kind::Link);
        assert_eq!(files.socket.unwrap().entry, Ok(None));
        assert_eq!(files.disks.len(), 1, "both are on one disk: {:?}", files.disks);
    }
}

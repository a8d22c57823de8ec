//! Sockets that nobody listens on any more: told from those that somebody is just about to listen on,
//! and taken away.
//!
//! A connection is refused by an abandoned socket and by one between `bind` and `listen` alike, and
//! between a look and a removal another process may have put its own socket in the place. So the same
//! file has to refuse twice, and it is moved aside, where nobody else can replace it, before it is judged
//! for the last time.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a socket has to have nobody behind it. Between `bind` and `listen` lie microseconds.
const QUIET: Duration = Duration::from_millis(100);

/// As [`super::remove_abandoned`].
pub(super) fn remove_abandoned(socket: &str) -> io::Result<bool> {
    remove(socket, is_of_this_machine)
}

fn remove(socket: &str, is_of_this_machine: impl Fn(&Path) -> bool) -> io::Result<bool> {
    let path = Path::new(socket);
    let Some(first) = refuses(path)? else { return Ok(false) };
    if !is_of_this_machine(path) {
        return Ok(false);
    }
    std::thread::sleep(QUIET);
    match refuses(path)? {
        Some(second) if is_same(&first, &second) => take_away(path, &first),
        _ => Ok(false),
    }
}

/// The file, where it is a socket of ours that refuses connections.
fn refuses(path: &Path) -> io::Result<Option<Metadata>> {
    let found = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let ours = Some(found.uid()) == crate::platform::process::own_uid();
    if !ours || !found.file_type().is_socket() {
        return Ok(None);
    }
    let refused = UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    Ok(refused.then_some(found))
}

/// Whether two looks found one file. Numbers of files are used again, times of making them hardly.
fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let identity = |file: &Metadata| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec());
    identity(one) == identity(other)
}

/// Whether the file lies where no other kernel puts sockets. On a disk that is shared with another machine,
/// or a virtual machine with its host, a socket is seen by both, refuses in one, and is served in the other.
#[cfg(target_os = "linux")]
fn is_of_this_machine(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let found = rustix::fs::statfs(folder.unwrap_or(Path::new(".")));
    // The numbers have 32 bits, whatever they are kept in.
    found.is_ok_and(|found| !SHARED.contains(&(found.f_type as u32)))
}

/// Whether the file lies where no other kernel puts sockets: here nobody tells.
#[cfg(not(target_os = "linux"))]
fn is_of_this_machine(_: &Path) -> bool {
    true
}

/// The kinds of file systems (statfs(2)) that another machine may have as well: NFS, 9P (also WSL's), FUSE
/// (also virtiofs and sshfs), CIFS, SMB2, Ceph, AFS, VirtualBox's, VMware's and Parallels' folders.
#[cfg(target_os = "linux")]
const SHARED: [u32; 10] = [
    0x6969,
    0x0102_1997,
    0x6573_5546,
    0xff53_4d42,
    0xfe53_4d42,
    0x00c3_6400,
    0x5346_414f,
    0x786f_4256,
    0xbacb_acbc,
    0x7c7c_6673,
];

/// Moves the file aside and removes it, unless it is another one by now: that is put back, and if its
/// place was taken meanwhile it is displaced already.
fn take_away(path: &Path, known: &Metadata) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let aside = tempfile::Builder::new()
        .prefix(".valetkey-")
        .tempdir_in(folder.unwrap_or(Path::new(".")))?;
    let moved = aside.path().join("socket");
    match std::fs::rename(path, &moved) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        done => done?,
    }
    // A connection by this name could fail for its length alone; the file tells enough.
    let gone = is_same(known, &std::fs::symlink_metadata(&moved)?);
    if !gone {
        // A second name never replaces a file that is there.
        let _ = std::fs::hard_link(&moved, path);
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn place() -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("s").to_str().expect("text").to_owned();
        (folder, socket)
    }

    fn files(folder: &tempfile::TempDir) -> usize {
        std::fs::read_dir(folder.path()).expect("a folder").count()
    }

    #[test]
    fn an_abandoned_socket_is_taken_away_with_all_traces() {
        let (folder, socket) = place();
        drop(UnixListener::bind(&socket).expect("bound"));
        assert!(remove_abandoned(&socket).expect("ours"));
        assert_eq!(files(&folder), 0);
        assert!(!remove_abandoned(&socket).expect("nothing there"));
    }

    #[test]
    fn one_that_is_served_and_what_is_no_socket_stay() {
        let (folder, socket) = place();
        let listener = UnixListener::bind(&socket).expect("bound");
        assert!(!remove_abandoned(&socket).expect("served"));
        drop(listener);
        std::fs::remove_file(&socket).expect("ours");
        std::fs::write(&socket, "a person's file").expect("written");
        assert!(!remove_abandoned(&socket).expect("a file"));
        assert_eq!(files(&folder), 1);
    }

    #[test]
    fn one_that_another_machine_may_serve_stays() {
        let (folder, socket) = place();
        drop(UnixListener::bind(&socket).expect("bound"));
        assert!(!remove(&socket, |_| false).expect("ours"));
        assert_eq!(files(&folder), 1);
        assert!(remove(&socket, is_of_this_machine).expect("ours"));
    }

    #[test]
    fn one_that_took_its_place_in_the_last_moment_is_put_back() {
        let (folder, socket) = place();
        drop(UnixListener::bind(&socket).expect("bound"));
        let known = refuses(Path::new(&socket)).expect("looked at").expect("abandoned");
        std::fs::remove_file(&socket).expect("ours");
        let _listener = UnixListener::bind(&socket).expect("bound");
        assert!(!take_away(Path::new(&socket), &known).expect("looked at"));
        assert!(UnixStream::connect(&socket).is_ok(), "it is served as before");
        assert_eq!(files(&folder), 1);
    }

    #[test]
    fn whoever_listens_a_moment_later_is_left_alone() {
        let (_folder, socket) = place();
        drop(UnixListener::bind(&socket).expect("bound"));
        let first = refuses(Path::new(&socket)).expect("looked at").expect("abandoned");
        std::fs::remove_file(&socket).expect("ours");
        drop(UnixListener::bind(&socket).expect("bound"));
        let second = refuses(Path::new(&socket)).expect("looked at").expect("abandoned");
        assert!(!is_same(&first, &second));
    }
}

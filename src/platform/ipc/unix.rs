//! Unix sockets.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;

pub(super) use super::abandoned::remove_abandoned;
use super::{Credentials, Server};
use crate::platform::paths::SOCKET_BYTES_MAX;
use crate::platform::{files, process};

use interprocess::TryClone as _;
use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::local_socket::{
    ConnectOptions, GenericFilePath, ListenerOptions, Name, Stream as SyncStream, ToFsName as _,
};
use interprocess::os::unix::uds_local_socket::tokio::Listener as Accepting;
pub(super) use tokio::net::UnixStream as Stream;

/// Accepts connections, and takes its own file away at its end.
#[derive(Debug)]
pub(super) struct Listener {
    accepting: Accepting,
    /// Where our file is; nothing where it is the service manager's.
    place: Option<Place>,
}

/// A file that we made.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    fn of(path: &Path) -> io::Result<Self> {
        let found = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), device: found.dev(), inode: found.ino() })
    }
}

impl Drop for Listener {
    /// A service manager, for one, removes a socket that is in its way, whoever serves it: what stands in
    /// our place by now may be another's. While we listen our file's number is not used again.
    fn drop(&mut self) {
        let Some(ours) = self.place.take() else { return };
        let still = |now: &Place| (now.device, now.inode) == (ours.device, ours.inode);
        if Place::of(&ours.path).is_ok_and(|now| still(&now)) {
            // One that cannot be removed is replaced by the next daemon.
            let _ = std::fs::remove_file(&ours.path);
        }
    }
}

impl TryFrom<OwnedFd> for Listener {
    type Error = io::Error;

    fn try_from(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { accepting: Accepting::try_from(fd)?, place: None })
    }
}

fn name(socket: &str) -> io::Result<Name<'_>> {
    socket.to_fs_name::<GenericFilePath>()
}

pub(super) fn bind(socket: &str) -> io::Result<Listener> {
    if socket.len() >= SOCKET_BYTES_MAX {
        let why = format!(
            "a socket's path has at most {} bytes and this one has {}: \
             set VALETKEY_SOCKET or daemon.socket to a shorter one",
            SOCKET_BYTES_MAX - 1,
            socket.len()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let path = Path::new(socket);
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        files::create_dir(dir)?;
    }
    remove_stale(path)?;
    let options = ListenerOptions::new().name(name(socket)?).reclaim_name(false);
    // Linux takes the mode before the name appears. Elsewhere a moment passes with the umask's
    // mode; the folder and the check of each caller's uid stand guard meanwhile.
    #[cfg(target_os = "linux")]
    let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
    let accepting = options.create_tokio_as::<Accepting>()?;
    let listener = Listener { accepting, place: Some(Place::of(path)?) };
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes what a daemon that was killed has left. Our own lock says that none serves our data
/// directory; one with another may still serve this very socket, and is not to be displaced.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            match std::os::unix::net::UnixStream::connect(path) {
                Ok(_) => Err(io::Error::new(
                    io::ErrorKind::AddrInUse,
                    "another daemon, with another data directory, answers there",
                )),
                // Only this says that nobody listens. A right that is missing, a descriptor too many or
                // another kind of socket says nothing of who serves it.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(e) => Err(io::Error::new(
                    e.kind(),
                    format!("a socket is in the way, and who serves it cannot be told: {e}"),
                )),
            }
        }
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "something that is no socket is in the way",
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

pub(super) async fn accept(listener: &Listener) -> io::Result<Stream> {
    Ok(listener.accepting.inner().accept().await?.0)
}

#[cfg(test)]
pub(super) async fn connect(socket: &str) -> io::Result<Stream> {
    Stream::connect(socket).await
}

/// A socket's place in a folder.
#[cfg(test)]
pub(super) fn address_in(folder: &Path) -> String {
    folder.join("v.sock").to_str().expect("text").to_owned()
}

/// Runs `work` as nobody. On Linux a user id belongs to a thread, and this one ends right after.
#[cfg(all(test, target_os = "linux"))]
fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let thread = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root may");
        work()
    });
    Some(thread.join().expect("no panic"))
}

#[cfg(all(test, target_os = "linux"))]
pub(super) fn as_another_user(socket: &str, text: &str) -> Option<String> {
    use std::io::{Read as _, Write as _};

    let path = Path::new(socket);
    std::fs::set_permissions(path, Permissions::from_mode(0o666)).expect("it is ours");
    std::fs::set_permissions(path.parent()?, Permissions::from_mode(0o755)).expect("it is ours");
    let (socket, text) = (socket.to_owned(), text.to_owned());
    as_nobody(move || {
        let mut stream =
            std::os::unix::net::UnixStream::connect(socket).expect("the modes allow it");
        stream.write_all(text.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer and an end");
        answer
    })
}

#[cfg(all(test, target_os = "linux"))]
pub(super) fn listening_as_another_user(socket: &str) -> Option<Box<dyn std::any::Any>> {
    let dir = Path::new(socket).parent()?;
    std::fs::set_permissions(dir, Permissions::from_mode(0o777)).expect("it is ours");
    let socket = socket.to_owned();
    let listener =
        as_nobody(|| std::os::unix::net::UnixListener::bind(socket).expect("a free path"))?;
    Some(Box::new(listener))
}

#[cfg(all(test, not(target_os = "linux")))]
pub(super) fn listening_as_another_user(_: &str) -> Option<Box<dyn std::any::Any>> {
    None
}

#[cfg(all(test, not(target_os = "linux")))]
pub(super) fn as_another_user(_: &str, _: &str) -> Option<String> {
    None
}

/// A client's end, for programs without a runtime.
#[derive(Debug)]
pub struct BlockingStream(SyncStream);

impl BlockingStream {
    pub(super) fn connect(socket: &str) -> io::Result<Self> {
        ConnectOptions::new().name(name(socket)?).connect_sync().map(Self)
    }

    /// Who listens.
    ///
    /// # Errors
    /// Where the system does not tell, which must count as a stranger.
    pub fn server(&self) -> io::Result<Server> {
        let uid = self.0.peer_creds()?.euid();
        Ok(if uid == process::own_uid() { Server::Own } else { Server::Foreign(uid) })
    }

    /// Bounds each read and write from now on.
    ///
    /// # Errors
    /// As the system's.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_recv_timeout(timeout)?;
        self.0.set_send_timeout(timeout)
    }

    /// The same connection once more, for a thread that writes while another one reads.
    ///
    /// # Errors
    /// Where this process may open nothing more.
    pub fn another(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl io::Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl io::Write for BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
    let creds = stream.peer_cred()?;
    Ok(Credentials {
        pid: creds.pid().and_then(|pid| u32::try_from(pid).ok()),
        uid: Some(creds.uid()),
    })
}

pub(super) fn hung_up(stream: &Stream, context: &mut Context<'_>) -> bool {
    // A peer that only stopped sending closes our reading side; one that closed, both.
    let ready = pin!(stream.ready(Interest::READABLE | Interest::WRITABLE));
    matches!(ready.poll(context), Poll::Ready(Ok(ready)) if ready.is_write_closed())
}

//! The door on this machine: a Unix socket, or a named pipe on Windows.
//!
//! Everything above sees one listener and one stream. On Unix the accepted stream is tokio's own,
//! because its reads go by readiness and save the failing `read` that a try-first loop makes each time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use interprocess::local_socket::traits::{Stream as _, StreamCommon as _};
use interprocess::local_socket::{
    ConnectOptions, GenericFilePath, ListenerOptions, Name, Stream as SyncStream, ToFsName as _,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

/// How long a peer whose connection is to end may go on sending before it has to have read why.
const LINGER: Duration = Duration::from_secs(1);

/// What is read at once of a peer that nobody listens to any more.
const IGNORED_BYTES: usize = 16 * 1024;

/// Who is at the other end, as the kernel says. The user is unknown where users have no number; the
/// process where the system does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id.
    pub pid: Option<u32>,
    /// Effective user id.
    pub uid: Option<u32>,
}

/// Accepts connections.
#[derive(Debug)]
pub struct Listener(system::Listener);

impl Listener {
    /// Listens at `socket`: a path on Unix, a pipe's name on Windows. Folders that are missing are
    /// made for the owner alone, and so is the socket. A socket left behind by an earlier process is
    /// replaced, so the caller must hold whatever lock says that there is no other daemon.
    ///
    /// # Errors
    /// With the path, and for a path that is too long with what to do.
    pub fn bind(socket: &str) -> io::Result<Self> {
        system::bind(socket).map(Self).map_err(|e| at(socket, &e))
    }

    /// Goes on with a listening socket that a service manager opened for us.
    ///
    /// # Errors
    /// Where it is no such socket.
    #[cfg(unix)]
    pub fn inherited(fd: std::os::fd::OwnedFd) -> io::Result<Self> {
        system::Listener::try_from(fd).map(Self)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// As the system's `accept`; most of them pass.
    pub async fn accept(&self) -> io::Result<Stream> {
        system::accept(&self.0).await.map(Stream)
    }
}

/// An accepted connection.
#[derive(Debug)]
pub struct Stream(system::Stream);

impl Stream {
    /// Who connected, at the time of connecting.
    ///
    /// # Errors
    /// Where the system does not tell, which must count as a stranger.
    pub fn credentials(&self) -> io::Result<Credentials> {
        system::credentials(&self.0)
    }

    /// Whether the other end is gone altogether, rather than only done with sending.
    pub fn hung_up(&self, context: &mut Context<'_>) -> bool {
        system::hung_up(&self.0, context)
    }

    /// Ends our side and reads on for a moment, so that a peer in the middle of sending gets to read
    /// what it was answered instead of a broken pipe.
    pub async fn linger(&mut self) {
        let reading = async {
            self.shutdown().await?;
            let mut ignored = Vec::with_capacity(IGNORED_BYTES);
            while self.read_buf(&mut ignored).await? > 0 {
                ignored.clear();
            }
            io::Result::Ok(())
        };
        // Whatever comes of it, the connection ends here.
        let _ = tokio::time::timeout(LINGER, reading).await;
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A client's end, for programs without a runtime.
#[derive(Debug)]
pub struct BlockingStream(SyncStream);

impl BlockingStream {
    /// Who listens.
    ///
    /// # Errors
    /// Where the system does not tell, which must count as a stranger.
    pub fn credentials(&self) -> io::Result<Credentials> {
        Ok(from_creds(&self.0.peer_creds()?))
    }

    /// Bounds each read and write from now on.
    ///
    /// # Errors
    /// `Unsupported` where there are no such bounds (named pipes).
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_recv_timeout(timeout)?;
        self.0.set_send_timeout(timeout)
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

/// Connects to the daemon at `socket`.
///
/// # Errors
/// As the system's `connect`.
pub fn connect_blocking(socket: &str) -> io::Result<BlockingStream> {
    ConnectOptions::new().name(name(socket)?).connect_sync().map(BlockingStream)
}

/// Connects as a client within a runtime: what tests hold many of.
#[cfg(test)]
pub(crate) async fn connect(socket: &str) -> io::Result<Stream> {
    system::connect(socket).await.map(Stream)
}

/// Connects as another user, says `text` and gives what is answered; nothing where that takes rights
/// that this process has not.
#[cfg(test)]
pub(crate) fn as_another_user(socket: &str, text: &str) -> Option<String> {
    system::as_another_user(socket, text)
}

fn name(socket: &str) -> io::Result<Name<'_>> {
    socket.to_fs_name::<GenericFilePath>()
}

fn at(socket: &str, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{socket}: {e}"))
}

fn from_creds(creds: &interprocess::local_socket::PeerCreds) -> Credentials {
    #[cfg(unix)]
    let uid = creds.euid();
    #[cfg(windows)]
    let uid = None;
    Credentials { pid: creds.pid().and_then(|pid| u32::try_from(pid).ok()), uid }
}

#[cfg(unix)]
mod unix {
    use std::fs::Permissions;
    use std::io;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::path::Path;
    use std::pin::pin;
    use std::task::{Context, Poll};

    use tokio::io::Interest;

    use super::{Credentials, ListenerOptions, name};

    pub(super) use interprocess::os::unix::uds_local_socket::tokio::Listener;
    pub(super) use tokio::net::UnixStream as Stream;

    /// What `sockaddr_un` holds with its final zero on this system.
    const LONGEST_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

    pub(super) fn bind(socket: &str) -> io::Result<Listener> {
        if socket.len() > LONGEST_PATH {
            let why = format!(
                "a socket's path has at most {LONGEST_PATH} bytes and this one has {}: \
                 set VALETKEY_SOCKET or daemon.socket to a shorter one",
                socket.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let path = Path::new(socket);
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            crate::platform::private::create_dir(dir)?;
        }
        remove_stale(path)?;
        let options = ListenerOptions::new().name(name(socket)?);
        // Linux takes the mode before the name appears. Elsewhere a moment passes with the umask's
        // mode; the folder and the check of each caller's uid stand guard meanwhile.
        #[cfg(target_os = "linux")]
        let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
        let listener = options.create_tokio_as::<Listener>()?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    fn remove_stale(path: &Path) -> io::Result<()> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path),
            Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is in the way")),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    pub(super) async fn accept(listener: &Listener) -> io::Result<Stream> {
        Ok(listener.inner().accept().await?.0)
    }

    #[cfg(test)]
    pub(super) async fn connect(socket: &str) -> io::Result<Stream> {
        Stream::connect(socket).await
    }

    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn as_another_user(socket: &str, text: &str) -> Option<String> {
        use std::io::{Read as _, Write as _};
        use std::os::unix::net::UnixStream;

        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let path = Path::new(socket);
        std::fs::set_permissions(path, Permissions::from_mode(0o666)).expect("it is ours");
        std::fs::set_permissions(path.parent()?, Permissions::from_mode(0o755)).expect("it is ours");
        // On Linux a user id belongs to a thread, and this one ends right after.
        let (socket, text) = (socket.to_owned(), text.to_owned());
        let asking = std::thread::spawn(move || {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).expect("root may");
            let mut stream = UnixStream::connect(socket).expect("the modes allow it");
            stream.write_all(text.as_bytes()).expect("it is taken");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer and an end");
            answer
        });
        Some(asking.join().expect("no panic"))
    }

    #[cfg(all(test, not(target_os = "linux")))]
    pub(super) fn as_another_user(_: &str, _: &str) -> Option<String> {
        None
    }

    pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
        let creds = stream.peer_cred()?;
        Ok(Credentials { pid: creds.pid().and_then(|pid| u32::try_from(pid).ok()), uid: Some(creds.uid()) })
    }

    pub(super) fn hung_up(stream: &Stream, context: &mut Context<'_>) -> bool {
        // A peer that only stopped sending closes our reading side; one that closed, both.
        let ready = pin!(stream.ready(Interest::READABLE | Interest::WRITABLE));
        matches!(ready.poll(context), Poll::Ready(Ok(ready)) if ready.is_write_closed())
    }
}

#[cfg(windows)]
mod windows {
    use std::io;
    use std::task::Context;

    use interprocess::local_socket::traits::StreamCommon as _;
    use interprocess::local_socket::traits::tokio::Listener as _;
    use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    use widestring::u16cstr;

    use super::{Credentials, ListenerOptions, from_creds, name};

    pub(super) use interprocess::local_socket::tokio::{Listener, Stream};

    pub(super) fn bind(socket: &str) -> io::Result<Listener> {
        // Protected, and with one entry: all rights for the owner, who is whoever makes the pipe.
        let owner_only = SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)"))?;
        ListenerOptions::new().name(name(socket)?).security_descriptor(owner_only).create_tokio()
    }

    pub(super) async fn accept(listener: &Listener) -> io::Result<Stream> {
        listener.accept().await
    }

    #[cfg(test)]
    pub(super) fn as_another_user(_: &str, _: &str) -> Option<String> {
        None
    }

    #[cfg(test)]
    pub(super) async fn connect(socket: &str) -> io::Result<Stream> {
        use interprocess::local_socket::traits::tokio::Stream as _;
        Stream::connect(name(socket)?).await
    }

    pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
        Ok(from_creds(&stream.peer_creds()?))
    }

    /// Pipes close in both directions at once.
    pub(super) fn hung_up(_: &Stream, _: &mut Context<'_>) -> bool {
        true
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &std::path::Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn the_socket_and_its_folder_are_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("run/here/v.sock");
        let listener = Listener::bind(socket.to_str().unwrap()).unwrap();
        assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));
        drop(listener);
        assert!(!socket.exists(), "an orderly end leaves no stale socket");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_anything_else_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("v.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(socket.exists());
        Listener::bind(socket.to_str().unwrap()).unwrap();
        std::fs::write(&socket, "precious").unwrap();
        let error = Listener::bind(socket.to_str().unwrap()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&socket).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_path_too_long_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("x".repeat(120));
        let error = Listener::bind(socket.to_str().unwrap()).unwrap_err().to_string();
        assert!(error.contains("VALETKEY_SOCKET"), "{error}");
    }

    #[tokio::test]
    async fn an_inherited_socket_accepts_and_its_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("v.sock");
        let opened = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let listener = Listener::inherited(opened.into()).unwrap();
        let client = connect_blocking(socket.to_str().unwrap()).unwrap();
        let stream = listener.accept().await.unwrap();
        let me = Credentials { pid: Some(std::process::id()), uid: crate::platform::process::own_uid() };
        assert_eq!(stream.credentials().unwrap(), me);
        assert_eq!(client.credentials().unwrap(), me);
        drop(listener);
        assert!(socket.exists());
    }
}

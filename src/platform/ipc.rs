//! The door on this machine: a Unix socket, or a named pipe on Windows.
//!
//! Everything above sees one listener and one stream. On Unix the accepted stream is tokio's own,
//! because its reads go by readiness and save the failing `read` that a try-first loop makes each time.

#[cfg(unix)]
mod abandoned;
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

#[cfg(unix)]
use unix as system;
#[cfg(unix)]
pub use unix::BlockingStream;
#[cfg(windows)]
use windows as system;
#[cfg(windows)]
pub use windows::BlockingStream;

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

    /// Whether the other end, which has ended its input, is gone altogether rather than only done
    /// with sending.
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
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Whose process listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// This user's.
    Own,
    /// Another's: the user, where users have a number.
    Foreign(Option<u32>),
}

/// Connects to the daemon at `socket`.
///
/// # Errors
/// As the system's `connect`.
pub fn connect_blocking(socket: &str) -> io::Result<BlockingStream> {
    BlockingStream::connect(socket)
}

/// Removes a socket of ours that nobody listens on any more, and says whether there was one. Such files
/// are left by a daemon that was killed, and by an SSH server whose client has gone (sshd_config(5),
/// `StreamLocalBindUnlink`); the next one to listen there would be refused.
///
/// Whoever is about to listen there is not disturbed: the file has to stay the same and refuse for a
/// while, and what is taken away is looked at once more before it is gone.
///
/// # Errors
/// Where it cannot be looked at or taken away.
pub fn remove_abandoned(socket: &str) -> io::Result<bool> {
    system::remove_abandoned(socket)
}

/// An address that no other test has, as the door of whatever lives in this folder.
#[cfg(test)]
pub(crate) fn address_in(folder: &std::path::Path) -> String {
    system::address_in(folder)
}

/// Whether a client can end its input and still read. A pipe is open in both directions or closed.
#[cfg(test)]
pub(crate) const HALF_CLOSES: bool = cfg!(unix);

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

/// Listens as another user for as long as what is given back lives; nothing where that takes rights
/// that this process has not.
#[cfg(test)]
pub(crate) fn listening_as_another_user(socket: &str) -> Option<Box<dyn std::any::Any>> {
    system::listening_as_another_user(socket)
}

fn at(socket: &str, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{socket}: {e}"))
}

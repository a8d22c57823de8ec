//! The daemon's end of a pipe, which ends as a socket does: what was written last arrives, and a client in the
//! middle of sending gets to read it.
//!
//! A pipe takes one write at a time, however short, and closed while its client is still writing it would hold
//! that client for as long as something waits to be read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::tokio::DuplexPipeStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::platform::ipc::{Credentials, IGNORED_BYTES, LINGER};

type Pipe = DuplexPipeStream<Bytes>;

/// What is taken of a writer while an earlier write is under way: as much as a socket's buffer may hold.
const AHEAD_BYTES: usize = 64 * 1024;

/// How long nothing has to come of a client for it to be done with sending.
const QUIET: Duration = Duration::from_millis(50);

/// An accepted connection.
#[derive(Debug)]
pub(in crate::platform::ipc) struct Stream {
    /// There until the end.
    pipe: Option<Pipe>,
    /// Written by us and not by the pipe yet.
    ahead: Vec<u8>,
}

impl Stream {
    pub(super) fn new(pipe: Pipe) -> Self {
        Self { pipe: Some(pipe), ahead: Vec::new() }
    }

    /// The process alone: the pipe lets in nobody but its owner.
    pub(super) fn credentials(&self) -> io::Result<Credentials> {
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Credentials { pid: Some(pipe.client_process_id()?), uid: None })
    }

    #[cfg(test)]
    pub(in crate::platform::ipc) fn pipe_for_tests(&self) -> &Pipe {
        self.pipe.as_ref().expect("there until the end")
    }

    fn pipe(&mut self) -> io::Result<Pin<&mut Pipe>> {
        self.pipe.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Writes what was taken ahead.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ahead = std::mem::take(&mut self.ahead);
        let mut written = 0;
        let done = loop {
            if written == ahead.len() {
                break Poll::Ready(Ok(()));
            }
            match self.pipe()?.poll_write(context, &ahead[written..]) {
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        if done.is_pending() {
            self.ahead = ahead;
            self.ahead.drain(..written);
        }
        done
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(pipe) = self.pipe.take() else { return };
        // interprocess would wait until the other end has read everything, in one thread for all pipes.
        pipe.assume_flushed();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(part(pipe, std::mem::take(&mut self.ahead)));
        }
    }
}

/// Writes the rest and reads on for a moment, as whoever sends reads only then; and closes. What the pipe has
/// taken by then is there for the client to read.
async fn part(mut pipe: Pipe, ahead: Vec<u8>) {
    let parting = async {
        pipe.write_all(&ahead).await?;
        let mut ignored = Vec::with_capacity(IGNORED_BYTES);
        while let Ok(read) = timeout(QUIET, pipe.read_buf(&mut ignored)).await {
            if read? == 0 {
                break;
            }
            ignored.clear();
        }
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection ends here.
    let _ = timeout(LINGER, parting).await;
    // Otherwise it stays open until the client has read everything, which may be never.
    pipe.assume_flushed();
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.pipe()?.poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    /// Takes more than the pipe does; [`Self::poll_flush`] says when it has taken it.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.poll_ahead(context)?.is_ready()
            && let Poll::Ready(written) = self.pipe()?.poll_write(context, bytes)
        {
            return Poll::Ready(written);
        }
        let room = AHEAD_BYTES.saturating_sub(self.ahead.len()).min(bytes.len());
        if room == 0 {
            return Poll::Pending;
        }
        self.ahead.extend_from_slice(&bytes[..room]);
        Poll::Ready(Ok(room))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ahead(context)
    }

    /// A pipe has no end in one direction.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ahead(context)
    }
}

//! A connection, plain or with TLS on it: one type, so that nothing above asks which.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// The room made for a read that may find little: an event or two of a slow stream.
const MIN_STRIDE: usize = 4 << 10;
/// The room made for a read that will find much: as much as a proxy takes in one go, a fraction of
/// what the system keeps for a socket.
const MAX_STRIDE: usize = 64 << 10;

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    /// On another connection: an encrypted proxy needs TLS on TLS. Boxed, as it is large.
    Tls(Box<TlsStream<Stream>>),
}

/// How much room the next read is given: it follows what the last ones found, so that a slow stream
/// stays small and a fast one needs few reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stride(usize);

impl Stride {
    fn learn(&mut self, room: usize, found: usize) {
        if found == room {
            self.0 = (self.0 * 4).min(MAX_STRIDE);
        } else if found < self.0 / 4 {
            self.0 = (self.0 / 2).max(MIN_STRIDE);
        }
    }
}

impl Default for Stride {
    fn default() -> Self {
        Self(MIN_STRIDE)
    }
}

impl Stream {
    /// Appends what can be read now, at most `at_most` bytes; 0 is the end. Room is made only once
    /// there is something to read.
    pub(super) fn poll_into(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
        at_most: usize,
        stride: &mut Stride,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        let wanted = at_most.min(stride.0);
        if out.capacity() - out.len() < wanted {
            out.reserve(wanted);
        }
        let room = at_most.min(out.capacity() - out.len());
        let mut limited = (&mut *out).limit(room);
        let found = ready!(pin!(self.read_buf(&mut limited)).poll(cx))?;
        stride.learn(room, found);
        Poll::Ready(Ok(found))
    }

    /// Whether a read would find something, or the end. Needs no room to find out.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(tcp) => tcp.poll_read_ready(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_fill_buf(cx).map_ok(|_| ()),
        }
    }

    /// Whether the other end has closed it, or spoken without being asked, which is as bad.
    pub(super) fn is_spent(&mut self, cx: &mut Context<'_>) -> bool {
        let mut byte = [0];
        Pin::new(self).poll_read(cx, &mut ReadBuf::new(&mut byte)).is_ready()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}

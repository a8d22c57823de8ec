//! Connections that can be cut: a lost answer is a closed socket, not a status code.
//!
//! The worst moment of a refresh is the one after the issuer has worked and before its answer
//! arrives. To stage it, a handler has to end its TCP connection without a byte being sent, which an
//! HTTP response cannot express. So every connection hangs on a [`Cord`], and a handler may cut it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What a connection hangs on. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Cord(Arc<AtomicBool>);

impl Cord {
    /// Lets the connection fall: nothing is written any more, and the next attempt to closes it.
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Connected<IncomingStream<'_, Port>> for Cord {
    fn connect_info(stream: IncomingStream<'_, Port>) -> Self {
        stream.io().cord.clone()
    }
}

/// A listener whose connections each hang on a [`Cord`].
pub(super) struct Port(pub(super) TcpListener);

impl Listener for Port {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.0).await;
        // Small answers must not wait for Nagle's algorithm; a failure only makes them slower.
        let _ = stream.set_nodelay(true);
        let cord = Cord::default();
        (Line { stream, cord }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// One accepted connection.
pub(super) struct Line {
    stream: TcpStream,
    cord: Cord,
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.cord.is_cut() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

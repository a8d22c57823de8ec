//! Connections: accepted, bounded, served one request after another, and ended in good order.
//!
//! Both doors end in one kind of stream, so that there is one machine for HTTP in the program and not
//! one for each.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Http;
use super::stream::{Io, Replayed};
use super::turned_away::{self, Why};
use crate::access::peer::Peer;
use crate::platform::ipc::Stream;
use crate::platform::process;
use crate::rpc::connection::speaks_lines;
use crate::rpc::dispatch::Loopback;

/// The longest request head: the Codex CLI's come to a few kilobytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What a connection may hold of what it reads and writes, before whoever sends waits.
const BUFFER_BYTES: usize = 128 * 1024;

/// How long a client may take to send a head, and how long an idle connection is kept for its next.
pub(super) const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// Connections being turned away at once; those beyond are closed without a word.
pub(super) const MAX_REFUSALS: usize = 64;

/// The first and the longest pause after an `accept` that failed, as it does over and over while the
/// process has no file descriptor left.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The loopback door while it is open.
#[derive(Debug)]
pub(super) struct Listening {
    /// Where the configuration wants it.
    asked: SocketAddr,
    /// Ends the accepting and the connections.
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

/// Where a request came from, as its connection knows. The guard makes a caller of it.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) peer: Peer,
    pub(super) socket: bool,
    program: Arc<OnceLock<String>>,
}

impl Arrival {
    fn new(peer: Peer, socket: bool) -> Self {
        Self { peer, socket, program: Arc::default() }
    }

    /// The program at the other end, by its file's name; looked up once a connection.
    pub(super) fn program(&self) -> &str {
        self.program.get_or_init(|| {
            let exe = self.peer.exe().unwrap_or_default();
            process::program(&exe).unwrap_or("?").to_owned()
        })
    }
}

impl Http {
    /// Serves a connection of the socket; `read` is what it has said so far.
    pub(super) async fn serve_socket(&self, stream: Stream, read: Vec<u8>, peer: Peer) {
        let io = Replayed::new(read, Io::Socket(stream));
        self.serve(io, Arrival::new(peer, true), &self.0.stop).await;
    }

    /// Opens the loopback door there, or closes it; leaves it as it is where it is there already.
    pub(super) async fn listen(&self, wanted: Option<SocketAddr>) {
        let surface = &self.0.shared.dispatcher.0;
        let mut listening = self.0.listening.lock().await;
        if wanted.is_some() && listening.as_ref().map(|open| open.asked) == wanted {
            return;
        }
        if let Some(open) = listening.take() {
            open.stop.cancel();
            // The port is free again when it has ended; that it panicked would change nothing.
            let _ = open.accepting.await;
            tracing::info!(address = %open.asked, "the HTTP door is closed");
        }
        let Some(asked) = wanted else { return surface.set_loopback(Loopback::Closed) };
        let bound = match TcpListener::bind(asked).await {
            Ok(listener) => listener.local_addr().map(|address| (listener, address)),
            Err(error) => Err(error),
        };
        match bound {
            Ok((listener, address)) => {
                let stop = self.0.stop.child_token();
                let accepting = tokio::spawn(self.clone().serve_tcp(listener, stop.clone()));
                *listening = Some(Listening { asked, stop, accepting });
                surface.set_loopback(Loopback::Open(address));
                tracing::info!(%address, "the HTTP door is open");
            }
            Err(error) => {
                surface.set_loopback(Loopback::Unavailable(asked));
                tracing::error!(address = %asked, %error, "the HTTP door cannot be opened: end what listens there or set another port as http.listen, then run `valetkey rpc reload`; everything else works meanwhile");
            }
        }
    }

    async fn serve_tcp(self, listener: TcpListener, stop: CancellationToken) {
        accept(&listener, &stop, |stream| self.admit(stream, &stop)).await;
    }

    fn admit(&self, stream: TcpStream, stop: &CancellationToken) {
        // Small answers must not wait for Nagle's algorithm; a failure only makes them slower.
        let _ = stream.set_nodelay(true);
        let (http, stop) = (self.clone(), stop.clone());
        if let Ok(place) = self.0.clients.clone().try_acquire_owned() {
            self.0.tasks.spawn(async move {
                http.greet(stream, &stop).await;
                drop(place);
            });
        } else if let Ok(place) = self.0.refusals.clone().try_acquire_owned() {
            self.0.tasks.spawn(async move {
                tokio::select! {
                    () = turned_away::answer(Io::Tcp(stream), Vec::new(), Why::Crowd) => {}
                    () = stop.cancelled() => {}
                }
                drop(place);
            });
        }
    }

    /// Waits for the first bytes: here they have to be HTTP.
    async fn greet(&self, mut stream: TcpStream, stop: &CancellationToken) {
        let mut read = Vec::with_capacity(1024);
        let first = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            first = tokio::time::timeout(HEAD_PATIENCE, stream.read_buf(&mut read)) => first,
        };
        if !matches!(first, Ok(Ok(1..))) {
            return;
        }
        if speaks_lines(&read) && !matches!(read[0], b'\r' | b'\n') {
            return turned_away::answer(Io::Tcp(stream), read, Why::NotHttp).await;
        }
        let io = Replayed::new(read, Io::Tcp(stream));
        self.serve(io, Arrival::new(Peer::default(), false), stop).await;
    }

    async fn serve(&self, io: Replayed, arrival: Arrival, stop: &CancellationToken) {
        let _present = self.0.shared.dispatcher.present();
        converse(io, self.0.router.clone(), arrival, stop).await;
    }
}

/// Accepts until `stop` fires. Each connection is a task of its own, so a panic in one ends that one.
pub(super) async fn accept(
    listener: &TcpListener,
    stop: &CancellationToken,
    admit: impl Fn(TcpStream),
) {
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                pause = ACCEPT_PAUSE.0;
                admit(stream);
            }
            Err(error) => {
                tracing::warn!(%error, "no HTTP connection can be accepted just now");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => {}
                }
                pause = (pause * 2).min(ACCEPT_PAUSE.1);
            }
        }
    }
}

/// Serves one request of a connection after another by `routes`, until the client or `stop` ends it.
/// Each carries `arrival` with it.
pub(super) async fn converse(
    io: Replayed,
    routes: Router,
    arrival: impl Clone + Send + Sync + 'static,
    stop: &CancellationToken,
) {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(arrival.clone());
        routes.call(request)
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(BUFFER_BYTES)
        // A client whose input has ended is gone, and its completion with it.
        .half_close(false);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

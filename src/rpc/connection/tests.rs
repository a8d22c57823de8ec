//! Connections over real sockets, with a service that knows a few tricks.

mod bounds;
mod calls;
mod ends;
mod exchange;
mod golden;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::*;
use crate::platform::ipc::{self, Listener};
use crate::rpc::server::{self, Limits};

/// Longer than anything here takes; reached only where something waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the sessions of one test have in common.
struct Tricks {
    /// Peers turned away.
    refused: AtomicUsize,
    /// Calls of `bulk`.
    bulks: AtomicUsize,
    /// Calls of `wait` that were dropped.
    dropped: AtomicUsize,
    drop_seen: Notify,
    /// Lets calls of `slow` go on.
    gate: Semaphore,
    /// Times that bookkeeping was asked for.
    flushes: AtomicUsize,
}

impl Tricks {
    fn new() -> Self {
        Self {
            refused: AtomicUsize::new(0),
            bulks: AtomicUsize::new(0),
            dropped: AtomicUsize::new(0),
            drop_seen: Notify::new(),
            gate: Semaphore::new(0),
            flushes: AtomicUsize::new(0),
        }
    }
}

struct TestService(Arc<Tricks>);

struct TestSession {
    tricks: Arc<Tricks>,
    outbox: Outbox,
}

/// Tells of its own end.
struct Guard(Arc<Tricks>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.dropped.fetch_add(1, Ordering::Relaxed);
        self.0.drop_seen.notify_one();
    }
}

impl Service for TestService {
    type Session = TestSession;

    fn open(&self, _: Peer, outbox: Outbox) -> TestSession {
        TestSession { tricks: self.0.clone(), outbox }
    }

    fn refused(&self, _: &Peer) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// The other dialect of these tests: what was said comes back until an exclamation mark.
    fn other(&self, mut stream: Stream, mut read: Vec<u8>, peer: Peer) -> Served {
        assert!(peer.is_me());
        Box::pin(async move {
            while !read.contains(&b'!')
                && stream.read_buf(&mut read).await.is_ok_and(|count| count > 0)
            {}
            let _ = stream.write_all(&read).await;
        })
    }

    fn refuse_other(&self, mut stream: Stream, read: Vec<u8>, refusal: Refusal) -> Served {
        Box::pin(async move {
            let _ = stream.write_all(format!("{refusal:?} {}", read.len()).as_bytes()).await;
        })
    }
}

impl Session for TestSession {
    fn now(&mut self, method: &str, params: Option<&RawValue>, result: &mut Vec<u8>) -> Now {
        match method {
            "echo" => result.extend_from_slice(params.map_or("{}", RawValue::get).as_bytes()),
            "release" => {
                self.tricks.gate.add_permits(1);
                result.extend_from_slice(b"{}");
            }
            "bulk" => {
                self.tricks.bulks.fetch_add(1, Ordering::Relaxed);
                result.push(b'"');
                result.resize(result.len() + 256 * 1024, b'x');
                result.push(b'"');
            }
            "panic" => panic!("asked to"),
            "slow" | "wait" | "events" | "panic.later" => return Now::Later,
            _ => {
                return Now::Error(RpcError::new(
                    Kind::MethodNotFound,
                    format!("There is no method `{method}`."),
                ));
            }
        }
        Now::Done
    }

    fn later(&mut self, _: Option<&RawValue>, method: &str, _: Option<&RawValue>) -> Later {
        let (tricks, outbox) = (self.tricks.clone(), self.outbox.clone());
        let done = || {
            serde_json::value::to_raw_value("done").map_err(|_| unreachable!("a string is JSON"))
        };
        match method {
            "slow" => Box::pin(async move {
                tricks.gate.acquire().await.expect("never closed").forget();
                done()
            }),
            "wait" => Box::pin(async move {
                let _guard = Guard(tricks);
                std::future::pending().await
            }),
            "events" => Box::pin(async move {
                for number in 0..200 {
                    outbox
                        .notify("event", &serde_json::json!({ "number": number }))
                        .await
                        .expect("the peer is there");
                }
                done()
            }),
            _ => Box::pin(async { panic!("asked to") }),
        }
    }

    fn flushed(&mut self) {
        self.tricks.flushes.fetch_add(1, Ordering::Relaxed);
    }

    fn streams(&self, method: &str, _: Option<&RawValue>) -> bool {
        method == "events"
    }
}

/// A server in a folder of its own.
struct Daemon {
    socket: String,
    tricks: Arc<Tricks>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = ipc::address_in(dir.path());
        let listener = Listener::bind(&socket).unwrap();
        let tricks = Arc::new(Tricks::new());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server::serve(
            listener,
            Arc::new(TestService(tricks.clone())),
            limits,
            limits.budget(),
            stop.clone(),
        ));
        Self { socket, tricks, stop, serving, _dir: dir }
    }

    async fn client(&self) -> TestClient {
        TestClient(BufReader::new(ipc::connect(&self.socket).await.unwrap()))
    }

    /// Waits until so many calls of `wait` were dropped.
    async fn dropped(&self, count: usize) {
        within(async {
            while self.tricks.dropped.load(Ordering::Relaxed) < count {
                self.tricks.drop_seen.notified().await;
            }
        })
        .await;
    }
}

/// A peer that speaks in whatever bytes the test wants.
struct TestClient(BufReader<Stream>);

impl TestClient {
    async fn send(&mut self, text: impl AsRef<[u8]>) {
        let stream = self.0.get_mut();
        let sending = async {
            stream.write_all(text.as_ref()).await?;
            stream.flush().await
        };
        within(sending).await.unwrap();
    }

    /// Sends a call of `method` with this id.
    async fn call(&mut self, id: u64, method: &str) {
        self.send(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n")).await;
    }

    async fn half_close(&mut self) {
        self.0.get_mut().shutdown().await.unwrap();
    }

    /// The next line, empty at the end.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        match within(self.0.read_line(&mut line)).await {
            // Closed with something of ours unread: an end too.
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => {}
            read => {
                read.unwrap();
            }
        }
        line
    }

    /// The next line of whatever bytes, empty at the end.
    async fn line_bytes(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        // An error is an end too.
        let _ = within(self.0.read_until(b'\n', &mut line)).await;
        line
    }

    async fn value(&mut self) -> Value {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }

    /// The next answer's id and error code.
    async fn code(&mut self) -> (Value, i64) {
        let answer = self.value().await;
        (answer["id"].clone(), answer["error"]["code"].as_i64().unwrap_or_default())
    }

    /// An echo there and back: the connection is alive, and all sent before it has been looked at.
    async fn echo(&mut self) {
        self.send("{\"jsonrpc\":\"2.0\",\"id\":\"echo\",\"method\":\"echo\"}\n").await;
        assert_eq!(self.line().await, "{\"jsonrpc\":\"2.0\",\"id\":\"echo\",\"result\":{}}\n");
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not take for ever")
}

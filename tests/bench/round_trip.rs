//! A call over a held connection beside a bare echo of the same sizes on the same runtime, in one
//! run: only the ratio of the two says something about this program rather than about the machine.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Arc, mpsc};

use divan::Bencher;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use valetkey::access::peer::Peer;
use valetkey::platform::ipc::{BlockingStream, Listener, Stream, connect_blocking};
use valetkey::rpc::connection::{Later, Now, Outbox, Service, Session};
use valetkey::rpc::error::{Kind, RpcError};
use valetkey::rpc::server::{Limits, serve};

fn main() {
    divan::main();
}

/// As long as the answer to `token`.
const ANSWER_BYTES: usize = 1600;

/// The same with its envelope and its end.
const LINE_BYTES: usize = ANSWER_BYTES + r#"{"jsonrpc":"2.0","id":1,"result":}"#.len() + 1;

const REQUEST: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token\",\"params\":{\"min_ttl\":60}}\n";

struct Lender(Arc<[u8]>);

impl Service for Lender {
    type Session = Lender;

    fn open(&self, _: Peer, _: Outbox) -> Lender {
        Lender(self.0.clone())
    }

    fn refused(&self, _: &Peer) {}
}

impl Session for Lender {
    fn now(&mut self, _: &str, _: Option<&RawValue>, result: &mut Vec<u8>) -> Now {
        result.extend_from_slice(&self.0);
        Now::Done
    }

    fn later(&mut self, _: &str, _: Option<&RawValue>) -> Later {
        Box::pin(async { Err(RpcError::new(Kind::InternalError, "never asked for")) })
    }
}

/// Reads whatever comes and answers a line of the same length as the lender's.
async fn echo(listener: Listener) -> io::Result<()> {
    loop {
        let mut stream = listener.accept().await?;
        tokio::spawn(async move { echo_to(&mut stream).await });
    }
}

async fn echo_to(stream: &mut Stream) -> io::Result<()> {
    let answer = [&[b'x'; LINE_BYTES - 1][..], b"\n"].concat();
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {
        stream.write_all(&answer).await?;
    }
    Ok(())
}

/// Runs a server on a thread of its own and gives the socket once it listens.
fn start<F: Future>(dir: &Path, server: impl FnOnce(Listener) -> F + Send + 'static) -> String {
    let socket = dir.join("v.sock").to_str().expect("a plain path").to_owned();
    let (ready, listening) = mpsc::channel();
    let at = socket.clone();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = Listener::bind(&at).expect("a free path");
            ready.send(()).expect("the bench waits");
            server(listener).await
        });
    });
    listening.recv().expect("the server starts");
    socket
}

fn lender(listener: Listener) -> impl Future {
    let result = format!("\"{}\"", "x".repeat(ANSWER_BYTES - 2)).into_bytes();
    serve(listener, Arc::new(Lender(result.into())), Limits::default(), CancellationToken::new())
}

fn ask(stream: &mut BufReader<BlockingStream>, line: &mut Vec<u8>) {
    stream.get_mut().write_all(REQUEST).expect("it is read");
    line.clear();
    stream.read_until(b'\n', line).expect("it is answered");
}

fn held(bencher: Bencher, socket: &str) {
    let mut stream = BufReader::new(connect_blocking(socket).expect("it listens"));
    let mut line = Vec::new();
    bencher.bench_local(|| ask(&mut stream, &mut line));
    assert_eq!(line.len(), LINE_BYTES);
}

fn per_call(bencher: Bencher, socket: &str) {
    let mut line = Vec::new();
    bencher.bench_local(|| {
        ask(&mut BufReader::new(connect_blocking(socket).expect("it listens")), &mut line)
    });
}

#[divan::bench(sample_count = 1000, sample_size = 50)]
fn a_echo_held(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a folder");
    held(bencher, &start(dir.path(), echo));
}

#[divan::bench(sample_count = 1000, sample_size = 50)]
fn b_call_held(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a folder");
    held(bencher, &start(dir.path(), lender));
}

#[divan::bench(sample_count = 500, sample_size = 20)]
fn c_echo_per_call(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a folder");
    per_call(bencher, &start(dir.path(), echo));
}

#[divan::bench(sample_count = 500, sample_size = 20)]
fn d_call_per_call(bencher: Bencher) {
    let dir = tempfile::tempdir().expect("a folder");
    per_call(bencher, &start(dir.path(), lender));
}

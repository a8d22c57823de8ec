//! Borrowing a token from the real service beside a bare echo of the same size on the same runtime, in
//! turn, round by round. Only the ratio of the two says something about this program rather than about
//! the machine, so that is what is printed: 1.30 means that a call takes 1.3 times what an echo takes.
#![allow(clippy::print_stdout, reason = "a bench tells what it found")]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use valetkey::access::audit::Audit;
use valetkey::access::keys::Keys;
use valetkey::clock::Clock;
use valetkey::config::Config;
use valetkey::login::Logins;
use valetkey::platform::ipc::{BlockingStream, Listener, Stream, connect_blocking};
use valetkey::relay::{Kept, Relay};
use valetkey::rpc::dispatch::{About, Dispatcher, Parts, Surface};
use valetkey::rpc::server::{Limits, serve};
use valetkey::secret::{AccessToken, RefreshToken};
use valetkey::store::{Record, Source, Store};
use valetkey::vendor::{OpenAi, Origin};

/// Medians are taken over these: enough for one disturbed round, or two, to change nothing.
const ROUNDS: usize = 9;

/// How long each measurement takes.
const SPAN: Duration = Duration::from_millis(250);

/// An answer holds the token twice and comes to some 1600 bytes, as with a real one.
const TOKEN_BYTES: usize = 640;

const REQUEST: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"token\",\"params\":{\"min_ttl\":60}}\n";

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let home = folder.path().to_owned();
    keep_a_login(&home)?;
    let lender = start(&folder.path().join("lender.sock"), move |listener| lend(listener, home));
    let answer_bytes = ask(&mut open(&lender), &mut Vec::new());
    let floor =
        start(&folder.path().join("echo.sock"), move |listener| echo(listener, answer_bytes));
    println!("{ROUNDS} rounds, answers of {answer_bytes} bytes; medians, ratios within a round\n");
    println!("{:34} {:>9} {:>9} {:>7}", "", "echo", "token", "ratio");
    compare("held connection, p50", "us", || (held(&floor, 0.5), held(&lender, 0.5)));
    compare("held connection, p99", "us", || (held(&floor, 0.99), held(&lender, 0.99)));
    compare("connection per call, p50", "us", || (per_call(&floor), per_call(&lender)));
    compare("64 held connections, throughput", "/ms", || (crowd(&floor), crowd(&lender)));
    Ok(())
}

/// Puts a login into the store that needs no refresh while the bench runs.
fn keep_a_login(home: &Path) -> Result<(), Error> {
    let store = Store::open(&home.join("data"), &home.join("state"))?;
    let now = Clock::System.now();
    let vendor = Config::default().vendors["openai"].clone();
    let Origin { issuer, token_endpoint, client_id } = OpenAi::new(vendor, &Clock::System).origin();
    let record = Record {
        epoch: 1,
        generation: 1,
        source: Source { issuer, token_endpoint, client_id },
        access_token: AccessToken::new("x".repeat(TOKEN_BYTES)),
        refresh_token: RefreshToken::new("never shown".to_owned()),
        issued_at: now,
        expires_at: now.plus(Duration::from_secs(10 * 24 * 3600)),
        last_refresh_at: None,
        account_id: Some("acc-1".to_owned()),
        email: None,
        plan: None,
        fedramp: false,
        verified: true,
        refused: None,
    };
    Ok(store.slot("openai", "default").keep(&record, None)?)
}

/// What the daemon wires together, less signals and logs.
async fn lend(listener: Listener, home: std::path::PathBuf) {
    let stop = CancellationToken::new();
    let store = Store::open(&home.join("data"), &home.join("state")).expect("a free folder");
    let logins = Logins::open(store, &Config::default(), Clock::System, stop.clone())
        .await
        .expect("the login was kept");
    let audit = Audit::start(&home.join("audit"), Clock::System);
    let about = About { started_at: Clock::System.now(), socket: String::new() };
    let (reload, _reloads) = tokio::sync::mpsc::channel(1);
    let keys = Keys::open(&home.join("data"), Clock::System);
    let kept = Kept { models: home.join("models"), usage: home.join("usage.json") };
    let clock = Clock::System;
    let relay = Relay::new(logins.clone(), clock.clone(), Config::default().relay, kept);
    let parts = Parts { logins, keys, audit, clock, relay, about };
    let surface = Surface::new(parts, reload, stop.clone());
    let (service, limits) = (Arc::new(Dispatcher(Arc::new(surface))), Limits::default());
    serve(listener, service, limits, limits.budget(), stop).await;
}

/// Reads whatever comes and answers a line of the same length as the lender's.
async fn echo(listener: Listener, answer_bytes: usize) {
    let answer: Arc<[u8]> = [&vec![b'x'; answer_bytes - 1][..], b"\n"].concat().into();
    while let Ok(stream) = listener.accept().await {
        tokio::spawn(echo_to(stream, Arc::clone(&answer)));
    }
}

async fn echo_to(mut stream: Stream, answer: Arc<[u8]>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {
        stream.write_all(&answer).await?;
    }
    Ok(())
}

/// Runs a server on a thread of its own and gives the socket once it listens.
fn start<F: Future>(socket: &Path, server: impl FnOnce(Listener) -> F + Send + 'static) -> String {
    let socket = socket.to_str().expect("a plain path").to_owned();
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

fn open(socket: &str) -> BufReader<BlockingStream> {
    BufReader::with_capacity(64 * 1024, connect_blocking(socket).expect("it listens"))
}

/// Asks once and gives the answer's length.
fn ask(stream: &mut BufReader<BlockingStream>, line: &mut Vec<u8>) -> usize {
    stream.get_mut().write_all(REQUEST).expect("it is read");
    line.clear();
    stream.read_until(b'\n', line).expect("it is answered");
    assert!(!line.windows(8).any(|at| at == b"\"error\":"), "a refusal was measured");
    line.len()
}

/// The time of one call, in microseconds, that this share of calls kept below.
fn quantile(share: f64, mut call: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut times = Vec::new();
    while began.elapsed() < SPAN {
        let at = Instant::now();
        call();
        times.push(at.elapsed());
    }
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6
}

fn held(socket: &str, share: f64) -> f64 {
    let (mut stream, mut line) = (open(socket), Vec::new());
    quantile(share, || {
        ask(&mut stream, &mut line);
    })
}

fn per_call(socket: &str) -> f64 {
    let mut line = Vec::new();
    quantile(0.5, || {
        ask(&mut open(socket), &mut line);
    })
}

/// Answers in a millisecond, with a thread for each of 64 connections.
fn crowd(socket: &str) -> f64 {
    const CLIENTS: usize = 64;
    let begin = Barrier::new(CLIENTS);
    let client = || {
        let (mut stream, mut line, mut count) = (open(socket), Vec::new(), 0_u32);
        begin.wait();
        let began = Instant::now();
        while began.elapsed() < SPAN {
            ask(&mut stream, &mut line);
            count += 1;
        }
        f64::from(count) / (began.elapsed().as_secs_f64() * 1e3)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).sum()
    })
}

fn compare(what: &str, unit: &str, mut round: impl FnMut() -> (f64, f64)) {
    let rounds: Vec<_> = (0..ROUNDS).map(|_| round()).collect();
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    };
    let (echo, token, ratio) = (median(|r| r.0), median(|r| r.1), median(|r| r.1 / r.0));
    println!("{:34} {echo:>9.1} {token:>9.1} {ratio:>7.2}", format!("{what} ({unit})"));
}

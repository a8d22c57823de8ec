//! Real sockets, and a server at the other end that does exactly what each test tells it.

mod bodies;
mod reaching;
mod reuse;
mod sending;

use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Long enough for any machine: what is waited for happens, or the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A carrier that knows no proxy, whatever this machine has.
fn carrier() -> Carrier {
    Carrier::build(Some(Matcher::builder().build()), None)
}

/// A server under a test's control.
struct Server {
    listener: TcpListener,
    url: Url,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/responses", listener.local_addr().unwrap());
        Self { listener, url: Url::parse(&url).unwrap() }
    }

    async fn accept(&self) -> Line<TcpStream> {
        let accepted = tokio::time::timeout(PATIENCE, self.listener.accept()).await;
        Line(accepted.expect("somebody connects").unwrap().0)
    }

    /// Nobody else has connected.
    async fn is_left_alone(&self) -> bool {
        // The runtime looks at the sockets in between.
        tokio::task::yield_now().await;
        let mut accepting = std::pin::pin!(self.listener.accept());
        std::future::poll_fn(|cx| Poll::Ready(accepting.as_mut().poll(cx).is_pending())).await
    }
}

/// The server's end of a connection.
struct Line<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Reads one head, byte by byte: what follows it stays unread.
    async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads one request: its head, and its body by its length.
    async fn request(&mut self) -> (String, Vec<u8>) {
        let head = self.head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head, body)
    }

    async fn say(&mut self, text: impl AsRef<[u8]>) {
        self.0.write_all(text.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Reads a request and answers it with a body of known length.
    async fn serve(&mut self, body: &str) {
        self.request().await;
        self.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await;
    }

    /// Waits until the other end has closed, politely or not.
    async fn is_closed(&mut self) {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // A reset is an end as well; only waiting on is none.
        let _ended = closed.expect("the connection is closed");
    }
}

/// Moves the clock, and nothing else.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn post(carrier: &Carrier, url: &Url, body: &[u8]) -> Result<Response, NoAnswer> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer of-nothing"));
    let request = Request {
        method: Method::POST,
        url,
        headers: &headers,
        body: Bytes::copy_from_slice(body),
        connect_timeout: PATIENCE,
        first_byte_timeout: PATIENCE,
    };
    carrier.send(request).await
}

/// Posts, and reads the whole answer.
async fn ask(carrier: &Carrier, url: &Url) -> String {
    let response = post(carrier, url, b"{}").await.unwrap();
    let body = response.body.whole(1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The answer to a request, once the server has said this much of it.
async fn answered(server: &Server, said: &str) -> (Response, Line<TcpStream>) {
    let carrier = carrier();
    let (response, line) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
        let mut line = server.accept().await;
        line.request().await;
        line.say(said).await;
        line
    });
    (response.unwrap(), line)
}

/// Everything up to the end or the first error.
async fn read_out(body: &mut Incoming, at_most: usize) -> (BytesMut, std::io::Result<()>) {
    let mut out = BytesMut::new();
    loop {
        let before = out.len();
        match body.more(&mut out, at_most).await {
            Ok(0) => return (out, Ok(())),
            Ok(found) => {
                assert_eq!(out.len() - before, found, "it says how much it has appended");
                assert!(found <= at_most, "{found} of at most {at_most}");
            }
            Err(error) => {
                assert_eq!(out.len(), before);
                return (out, Err(error));
            }
        }
    }
}

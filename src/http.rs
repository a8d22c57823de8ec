//! The HTTP dialect of the socket. Not spoken yet: whoever tries is told so in HTTP.
//!
//! `serve` is the seam: it is given the connection and what was read of it already, and a service
//! put here later needs nothing else of the line dialect.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::platform::ipc::Stream;

/// The longest request head that is read: what servers commonly allow.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// How long a client may take to send its head.
const HEAD_PATIENCE: Duration = Duration::from_secs(5);

/// Why a request is not answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    /// There is no HTTP here yet.
    NotImplemented,
    /// Another user's process.
    Denied,
    /// One connection too many.
    Overloaded,
    /// No end of the head within [`MAX_HEAD_BYTES`].
    HeadTooLarge,
    /// No end of the head within [`HEAD_PATIENCE`].
    TooSlow,
}

impl Refusal {
    /// Status line, error type, code and message, in the shape that OpenAI's clients read.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::NotImplemented => (
                "501 Not Implemented",
                "server_error",
                "not_implemented",
                "This version speaks JSON-RPC here, one message a line; HTTP comes with a later one.",
            ),
            Self::Denied => (
                "403 Forbidden",
                "permission_error",
                "denied",
                "This daemon serves the user it runs as, and nobody else.",
            ),
            Self::Overloaded => (
                "503 Service Unavailable",
                "server_error",
                "overloaded",
                "Too many clients are connected; try again shortly.",
            ),
            Self::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "invalid_request_error",
                "head_too_large",
                "The request's head is longer than 16 KiB.",
            ),
            Self::TooSlow => (
                "408 Request Timeout",
                "invalid_request_error",
                "timeout",
                "The request's head took longer than 5 seconds.",
            ),
        }
    }

    fn response(self) -> String {
        let (status, kind, code, message) = self.words();
        let body = serde_json::json!({
            "error": { "message": message, "type": kind, "param": null, "code": code }
        })
        .to_string();
        let retry = if matches!(self, Self::Overloaded) { "retry-after: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Serves a connection whose first bytes were not of the line dialect; `head` is what was read so far.
pub(crate) async fn serve(stream: Stream, head: Vec<u8>) {
    refuse(stream, head, Refusal::NotImplemented).await;
}

/// Reads a request's head, answers with the refusal, and closes.
pub(crate) async fn refuse(mut stream: Stream, mut head: Vec<u8>, refusal: Refusal) {
    let read = async {
        while !head_is_whole(&head) {
            if head.len() > MAX_HEAD_BYTES {
                return Some(Refusal::HeadTooLarge);
            }
            head.reserve(1024);
            if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
                return None;
            }
        }
        Some(refusal)
    };
    let answer = match tokio::time::timeout(HEAD_PATIENCE, read).await {
        Ok(Some(refusal)) => refusal,
        Ok(None) => return,
        Err(_) => Refusal::TooSlow,
    };
    if stream.write_all(answer.response().as_bytes()).await.is_ok() {
        stream.linger().await;
    }
}

/// Whether an empty line ends the head (RFC 9112 section 2.1; a lone `\n` is accepted as section 2.2 allows).
fn head_is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

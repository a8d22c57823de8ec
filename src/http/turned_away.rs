//! Clients that get no further than the threshold are told why, in HTTP.
//!
//! Nothing of theirs is parsed: a stranger, or one client too many, is worth no more than a fixed answer.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::door::HEAD_PATIENCE;
use super::error_body;
use super::stream::Io;
use crate::platform::ipc::Stream;
use crate::rpc::connection::Refusal;

/// What is read of such a client's request, before it is answered.
const MAX_REFUSED_BYTES: usize = 16 * 1024;

/// How long such a client may go on sending before it has to have read why.
const LINGER: Duration = Duration::from_secs(1);

/// Why a client gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It runs under another user.
    Stranger,
    /// There are too many.
    Crowd,
    /// It speaks the line dialect where only HTTP is spoken.
    NotHttp,
}

impl Why {
    /// Status line, error type, code and message.
    fn words(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Stranger => (
                "403 Forbidden",
                "permission_error",
                "denied",
                "This daemon serves the user it runs as, and nobody else.",
            ),
            Self::Crowd => (
                "503 Service Unavailable",
                "server_error",
                "overloaded",
                "Too many clients are connected; try again shortly.",
            ),
            Self::NotHttp => (
                "400 Bad Request",
                "invalid_request_error",
                "not_http",
                "This port speaks HTTP only; JSON-RPC is spoken on the daemon's socket.",
            ),
        }
    }

    fn response(self) -> String {
        let (status, kind, code, message) = self.words();
        let body = error_body(kind, Some(code), message, None).to_string();
        let retry = if self == Self::Crowd { "retry-after: 1\r\n" } else { "" };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{retry}connection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Turns a peer of the socket away.
pub(super) async fn peer(stream: Stream, read: Vec<u8>, refusal: Refusal) {
    let why = match refusal {
        Refusal::Stranger => Why::Stranger,
        Refusal::Crowd => Why::Crowd,
    };
    answer(Io::Socket(stream), read, why).await;
}

/// Reads a request's head, answers why it goes no further, and closes.
pub(super) async fn answer(mut io: Io, mut head: Vec<u8>, why: Why) {
    let reading = async {
        let mut open = why != Why::NotHttp;
        while open && !head_is_whole(&head) && head.len() < MAX_REFUSED_BYTES {
            head.reserve(1024);
            open = matches!(io.read_buf(&mut head).await, Ok(1..));
        }
    };
    // A head that never ends is answered like any other.
    let _ = tokio::time::timeout(HEAD_PATIENCE, reading).await;
    let parting = async {
        io.write_all(why.response().as_bytes()).await?;
        io.shutdown().await?;
        // Read on, so that a client in the middle of sending gets to read this instead of a reset.
        let mut ignored = Vec::with_capacity(MAX_REFUSED_BYTES);
        while io.read_buf(&mut ignored).await? > 0 {
            ignored.clear();
        }
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection ends here.
    let _ = tokio::time::timeout(LINGER, parting).await;
}

/// Whether an empty line ends the head (RFC 9112 section 2.1; a lone `\n` is accepted as section 2.2 allows).
fn head_is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_answer_is_whole_http() {
        for why in [Why::Stranger, Why::Crowd, Why::NotHttp] {
            let response = why.response();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())), "{head}");
            assert!(head.ends_with("\r\nconnection: close"), "{head}");
            assert_eq!(head.contains("retry-after"), why == Why::Crowd);
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(body["error"]["message"].is_string() && body["error"]["param"].is_null());
        }
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for (head, whole) in [("GET / HTTP/1.1\r\n\r\n", true), ("a\n\nb", true), ("a\r\n", false)]
        {
            assert_eq!(head_is_whole(head.as_bytes()), whole, "{head:?}");
        }
    }
}

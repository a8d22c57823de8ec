//! Request bodies: read within bounds, whatever they are packed in.
//!
//! A body may come compressed (the Codex CLI sends `zstd`), and a few kilobytes can then stand for
//! gigabytes. So the bounds hold for what comes out, too, and what is held counts against the same
//! budget as the lines of the socket.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::bufread::MultiGzDecoder;
use http_body::{Body as _, Frame};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::error;
use crate::rpc::connection::{Budget, Charge, UNCOUNTED_BYTES};

/// How long a client may fall silent in the middle of a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// The zstd window that is taken at least: what RFC 8878 section 3.1.1.1.2 asks of every decoder.
const WINDOW_BYTES: u64 = 8 << 20;

/// What is unpacked at once, between looks at the bounds.
const STEP_BYTES: usize = 64 * 1024;

/// What is kept free at once for a body of a length that was told. Memory that is never written to costs
/// nothing, and copying a usual request twice does.
const RESERVED_BYTES: usize = 1 << 20;

/// What is read, and for how long, of a body that nobody wants: a client that is still sending when the
/// connection closes may never get to read its answer.
const DISCARDED: (usize, Duration) = (8 << 20, Duration::from_secs(2));

/// How large bodies may be, one and all together. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    max_bytes: usize,
    budget: Budget,
}

impl Bounds {
    /// Bodies of at most `max_bytes`, packed and unpacked, counted in `budget`.
    pub(crate) fn new(max_bytes: usize, budget: Budget) -> Self {
        Self { max_bytes, budget }
    }

    /// The same budget with another bound for each body.
    pub(crate) fn of_at_most(&self, max_bytes: usize) -> Self {
        Self { max_bytes: self.max_bytes.min(max_bytes), budget: self.budget.clone() }
    }

    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }
}

/// Reads a body to its end and unpacks it. Its bytes count against the budget until the last clone of
/// them is dropped.
///
/// # Errors
/// The answer to give: 413 for one that is too large, 415 for an unknown packing, 400 for one that is
/// not what its header says, 503 where too much is in flight, 408 for a client that falls silent.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    bounds: &Bounds,
) -> Result<Bytes, Response> {
    let known = match Packing::of(headers) {
        Ok(_) if body.size_hint().lower() > bounds.max_bytes as u64 => {
            Err(Trouble::TooLarge(bounds.max_bytes))
        }
        other => other,
    };
    let packing = match known {
        Ok(packing) => packing,
        Err(trouble) => {
            discard(headers, body).await;
            return Err(trouble.answer());
        }
    };
    let held = match collect(&mut body, bounds).await {
        Ok(held) => held,
        Err(trouble) => {
            if matches!(trouble, Trouble::TooLarge(_) | Trouble::NoRoom) {
                discard(&HeaderMap::new(), body).await;
            }
            return Err(trouble.answer());
        }
    };
    let unpacked = match packing {
        Packing::None => Ok(held),
        packing => {
            let max_bytes = bounds.max_bytes;
            let unpacking = tokio::task::spawn_blocking(move || unpack(packing, held, max_bytes));
            unpacking.await.unwrap_or(Err(Trouble::Bad("unpacking it failed".to_owned())))
        }
    };
    unpacked.map(Bytes::from_owner).map_err(Trouble::answer)
}

/// Reads a body that nobody wants, within bounds, before it is answered.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) {
    // Who waits for `100 Continue` has sent nothing yet, and reading would be asking for it.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let (most, patience) = DISCARDED;
    let reading = async {
        let mut read = 0;
        while read < most
            && let Some(Ok(frame)) = next(&mut body).await
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    // What is not read by then is the client's own affair.
    let _ = tokio::time::timeout(patience, reading).await;
}

async fn next(body: &mut Body) -> Option<Result<Frame<Bytes>, axum::Error>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await
}

/// Bytes, and what they take of the budget.
struct Held {
    bytes: Vec<u8>,
    charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is wrong with a body.
#[derive(Debug)]
enum Trouble {
    TooLarge(usize),
    UnknownPacking(String),
    Bad(String),
    NoRoom,
    TooSlow,
    Gone,
}

impl Trouble {
    fn answer(self) -> Response {
        let (status, kind, code, message) = match self {
            Self::TooLarge(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "invalid_request_error",
                "request_too_large",
                format!(
                    "The request's body is larger than {max} bytes, which `daemon.max_message_bytes` sets."
                ),
            ),
            Self::UnknownPacking(name) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request_error",
                "unsupported_encoding",
                format!("The body is encoded as {name:?}; send it as it is, or as zstd or gzip."),
            ),
            Self::Bad(why) => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "invalid_encoding",
                format!("The body is not what its content-encoding says: {why}."),
            ),
            Self::NoRoom => (
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                "overloaded",
                "Too many bytes are in flight; try again shortly.".to_owned(),
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "invalid_request_error",
                "timeout",
                format!("Nothing more of the body came for {} seconds.", PATIENCE.as_secs()),
            ),
            Self::Gone => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "incomplete_body",
                "The body ended early.".to_owned(),
            ),
        };
        let mut answer = error(status, kind, Some(code), &message, None);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

/// What a body is packed in (RFC 9110 section 8.4.1, RFC 8878).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Zstd,
    Gzip,
}

impl Packing {
    fn of(headers: &HeaderMap) -> Result<Self, Trouble> {
        let mut named = headers.get_all(header::CONTENT_ENCODING).iter();
        let Some(value) = named.next() else { return Ok(Self::None) };
        let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
        match (name.as_str(), named.next()) {
            ("" | "identity", None) => Ok(Self::None),
            ("zstd", None) => Ok(Self::Zstd),
            ("gzip" | "x-gzip", None) => Ok(Self::Gzip),
            // One in the other is of use to nobody here.
            _ => Err(Trouble::UnknownPacking(name.chars().take(64).collect())),
        }
    }
}

async fn collect(body: &mut Body, bounds: &Bounds) -> Result<Held, Trouble> {
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut held = Held { bytes: Vec::new(), charge: bounds.budget.nothing() };
    held.bytes.reserve_exact(expected.min(RESERVED_BYTES));
    loop {
        let frame = match tokio::time::timeout(PATIENCE, next(body)).await {
            Err(_) => return Err(Trouble::TooSlow),
            Ok(None) => return Ok(held),
            Ok(Some(Err(_))) => return Err(Trouble::Gone),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers say nothing that is needed here.
        let Ok(data) = frame.into_data() else { continue };
        let length = held.bytes.len() + data.len();
        if length > bounds.max_bytes {
            return Err(Trouble::TooLarge(bounds.max_bytes));
        }
        if !held.charge.set(counted(length)) {
            return Err(Trouble::NoRoom);
        }
        if length > held.bytes.capacity() {
            // Doubled, but never beyond the length that was told.
            let wanted = (2 * length).min(expected.max(length));
            held.bytes.reserve_exact(wanted - held.bytes.len());
        }
        held.bytes.extend_from_slice(&data);
    }
}

fn counted(bytes: usize) -> usize {
    if bytes > UNCOUNTED_BYTES { bytes } else { 0 }
}

/// Runs where it may take its time.
fn unpack(packing: Packing, packed: Held, max_bytes: usize) -> Result<Held, Trouble> {
    let Held { bytes: source, charge } = packed;
    let mut out = Unpacked { bytes: Vec::new(), charge, packed_bytes: source.len(), max_bytes };
    match packing {
        Packing::None => return Ok(Held { bytes: source, charge: out.charge }),
        Packing::Gzip => out.drain(MultiGzDecoder::new(&source[..]))?,
        Packing::Zstd => {
            let mut rest = &source[..];
            // A body may be several frames one after another (RFC 8878 section 3.1).
            while !rest.is_empty() {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(WINDOW_BYTES.max(max_bytes as u64));
                let frame = StreamingDecoder::new_with_decoder(&mut rest, decoder)
                    .map_err(|error| Trouble::Bad(error.to_string()))?;
                out.drain(frame)?;
            }
        }
    }
    let Unpacked { bytes, mut charge, .. } = out;
    // What it was packed in is gone by now.
    charge.set(counted(bytes.len()));
    Ok(Held { bytes, charge })
}

struct Unpacked {
    bytes: Vec<u8>,
    charge: Charge,
    packed_bytes: usize,
    max_bytes: usize,
}

impl Unpacked {
    fn drain(&mut self, mut source: impl Read) -> Result<(), Trouble> {
        loop {
            let before = self.bytes.len();
            if before > self.max_bytes {
                return Err(Trouble::TooLarge(self.max_bytes));
            }
            if !self.charge.set(counted(self.packed_bytes + before + STEP_BYTES)) {
                return Err(Trouble::NoRoom);
            }
            let step = (&mut source).take(STEP_BYTES as u64).read_to_end(&mut self.bytes);
            match step {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Bad(error.to_string())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    const ROOM: usize = 10 << 20;

    fn bounds(max_bytes: usize) -> Bounds {
        Bounds::new(max_bytes, Budget::new(ROOM))
    }

    fn encoded(name: &'static str) -> HeaderMap {
        [(header::CONTENT_ENCODING, HeaderValue::from_static(name))].into_iter().collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
    }

    async fn status(result: Result<Bytes, Response>) -> u16 {
        let answer = result.expect_err("it is refused");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"]["message"].is_string() && body["error"]["code"].is_string());
        status
    }

    #[tokio::test]
    async fn a_body_comes_out_as_it_was_before_it_was_packed() {
        let text = "{\"input\": \"hello hello hello\"}".repeat(5000);
        let twice = [gzip(text.as_bytes()), gzip(b"!")].concat();
        let frames = [zstd(text.as_bytes()), zstd(b"!")].concat();
        for (name, body) in [
            ("identity", text.clone().into_bytes()),
            ("gzip", gzip(text.as_bytes())),
            ("X-GZIP", gzip(text.as_bytes())),
            ("zstd", zstd(text.as_bytes())),
        ] {
            let read = read(&encoded(name), body.into(), &bounds(ROOM)).await.unwrap();
            assert_eq!(read, text, "{name}");
        }
        for (name, body) in [("gzip", twice), ("zstd", frames)] {
            let read = read(&encoded(name), body.into(), &bounds(ROOM)).await.unwrap();
            assert_eq!(read, format!("{text}!"), "{name}: one after another");
        }
        assert_eq!(read(&HeaderMap::new(), Body::empty(), &bounds(0)).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_bomb_is_too_large_and_not_unpacked_to_its_end() {
        let zeros = vec![0; 20 << 20];
        for (name, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
            let result = read(&encoded(name), bomb.into(), &bounds(1 << 20)).await;
            assert_eq!(status(result).await, 413, "{name}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_unpacked_is_refused() {
        let cut = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
        let text = "some text that is long enough to be cut".repeat(100);
        for (name, body, expected) in [
            ("gzip", b"not gzip".to_vec(), 400),
            ("zstd", b"not zstd".to_vec(), 400),
            ("gzip", cut(gzip(text.as_bytes())), 400),
            ("zstd", cut(zstd(text.as_bytes())), 400),
            ("zstd", [zstd(b"x"), b"rubbish".to_vec()].concat(), 400),
            ("br", b"x".to_vec(), 415),
            ("gzip, zstd", b"x".to_vec(), 415),
        ] {
            let result = read(&encoded(name), body.into(), &bounds(ROOM)).await;
            assert_eq!(status(result).await, expected, "{name}");
        }
    }

    #[tokio::test]
    async fn bodies_count_against_the_budget_until_they_are_dropped() {
        let bounds = bounds(ROOM);
        let body = || Body::from(vec![b'x'; 6 << 20]);
        let held = read(&HeaderMap::new(), body(), &bounds).await.unwrap();
        let (kept, part) = (held.clone(), held.slice(..1));
        drop(held);
        assert_eq!(status(read(&HeaderMap::new(), body(), &bounds).await).await, 503);
        drop((kept, part));
        read(&HeaderMap::new(), body(), &bounds).await.unwrap();
        assert!(bounds.budget.take(ROOM).is_some(), "all of it was given back");
    }

    #[tokio::test]
    async fn a_body_that_says_it_is_too_large_is_not_waited_for() {
        let result = read(&HeaderMap::new(), Body::from(vec![0; 100]), &bounds(99)).await;
        assert_eq!(status(result).await, 413);
    }
}

//! The head of a request as it is written, and the head of an answer as it is read (RFC 9112).
//!
//! Strict where two readers could come to disagree on where a message ends: there a guess would be
//! taken for the next answer on the same connection.

use bytes::{Buf as _, Bytes, BytesMut};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};
use http::{Method, StatusCode};

use super::Request;
use super::connect::authority;
use super::framing::Framing;

/// The largest head taken, 1xx answers before it included. Common servers send two kilobytes; a
/// policy header or a set of cookies can be long.
pub(super) const MAX_HEAD_BYTES: usize = 64 << 10;
/// The most headers taken: three times what the API sends behind its proxies.
const MAX_HEADERS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where the body ends.
    pub(super) framing: Framing,
    /// Whether the connection may be used again behind the body.
    pub(super) persists: bool,
}

/// The request's head, ready to be sent.
pub(super) fn encode(request: &Request<'_>) -> Bytes {
    let url = request.url;
    let mut head = Vec::with_capacity(1 << 10);
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| head.extend_from_slice(part));
    put(&[request.method.as_str().as_bytes(), b" ", url.path().as_bytes()]);
    if let Some(query) = url.query() {
        put(&[b"?", query.as_bytes()]);
    }
    put(&[b" HTTP/1.1\r\nhost: ", authority(url).as_bytes(), b"\r\n"]);
    let own = |name: &HeaderName| {
        [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].iter().any(|own| own == name)
    };
    for (name, value) in request.headers.iter().filter(|(name, _)| !own(name)) {
        put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    // A method that expects a body says that there is none (RFC 9110 section 8.6).
    let expects = matches!(request.method, Method::POST | Method::PUT | Method::PATCH);
    if expects || !request.body.is_empty() {
        put(&[b"content-length: ", request.body.len().to_string().as_bytes(), b"\r\n"]);
    }
    put(&[b"\r\n"]);
    head.into()
}

/// Takes the head of the final answer to a `method` from the beginning of what has arrived, and the
/// 1xx answers before it. `seen` counts their bytes from one call to the next.
///
/// # Errors
/// Why this is no answer that can be understood.
pub(super) fn decode(
    arrived: &mut BytesMut,
    seen: &mut usize,
    method: &Method,
) -> Result<Option<Head>, String> {
    loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut fields);
        let status = parsed.parse(arrived).map_err(|error| format!("a bad answer: {error}"))?;
        let length = match status {
            httparse::Status::Complete(length) => length,
            httparse::Status::Partial => arrived.len(),
        };
        if *seen + length > MAX_HEAD_BYTES {
            return Err(format!("the head of the answer is longer than {MAX_HEAD_BYTES} bytes"));
        }
        if status.is_partial() {
            return Ok(None);
        }
        let code = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
        let code = code.ok_or("a bad answer: no such status")?;
        if code == StatusCode::SWITCHING_PROTOCOLS {
            return Err("a bad answer: it changes to a protocol that nobody asked for".to_owned());
        }
        if code.is_informational() {
            *seen += length;
            arrived.advance(length);
            continue;
        }
        let version = parsed.version;
        let headers = collect(parsed.headers)?;
        arrived.advance(length);
        return finish(code, version == Some(1), headers, method).map(Some);
    }
}

fn collect(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err("a bad answer: a header that is none".to_owned());
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn finish(
    status: StatusCode,
    current: bool,
    headers: HeaderMap,
    method: &Method,
) -> Result<Head, String> {
    let closes = headers.get_all(CONNECTION).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"close"))
    });
    let framing = framing(status, current, &headers, method)?;
    // HTTP/1.0 could ask to persist, but nothing that speaks it is worth keeping.
    let persists = current && !closes && !matches!(framing, Framing::UntilClose { .. });
    Ok(Head { status, headers, framing, persists })
}

/// RFC 9112 section 6.3, where it leaves a choice the strict one.
fn framing(
    status: StatusCode,
    current: bool,
    headers: &HeaderMap,
    method: &Method,
) -> Result<Framing, &'static str> {
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD
        || (*method == Method::CONNECT && status.is_success());
    if bodiless {
        return Ok(Framing::Length(0));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (codings.next(), lengths.next()) {
        (Some(_), Some(_)) => Err("a bad answer: both a length and chunks"),
        (Some(_), None) if !current => Err("a bad answer: chunks in HTTP/1.0"),
        (Some(coding), None) => {
            let chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            if chunked && codings.next().is_none() {
                Ok(Framing::chunked())
            } else {
                Err("a bad answer: a transfer coding that nobody asked for")
            }
        }
        (None, Some(length)) if lengths.next().is_none() => {
            let text = length.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
            let length = text.and_then(|text| text.parse().ok());
            length.map(Framing::Length).ok_or("a bad answer: a length that is no number")
        }
        (None, Some(_)) => Err("a bad answer: more than one length"),
        (None, None) => Ok(Framing::UntilClose { over: false }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::framing::Stand;
    use super::*;

    fn encoded(method: Method, url: &str, body: &'static str) -> String {
        let url = reqwest::Url::parse(url).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static("text/event-stream"));
        for own in ["host", "connection", "content-length", "transfer-encoding"] {
            headers.insert(own, HeaderValue::from_static("wrong"));
        }
        let head = encode(&Request {
            method,
            url: &url,
            headers: &headers,
            body: Bytes::from_static(body.as_bytes()),
            connect_timeout: Duration::ZERO,
            first_byte_timeout: Duration::ZERO,
        });
        String::from_utf8(head.to_vec()).unwrap()
    }

    #[test]
    fn a_request_says_where_to_and_how_long_it_is() {
        assert_eq!(
            encoded(Method::POST, "https://me:pw@api.example/v1/responses?a=b#c", "{}"),
            "POST /v1/responses?a=b HTTP/1.1\r\nhost: api.example\r\naccept: text/event-stream\r\n\
             content-length: 2\r\n\r\n"
        );
        let empty = encoded(Method::POST, "http://[::1]:8080", "");
        assert!(empty.starts_with("POST / HTTP/1.1\r\nhost: [::1]:8080\r\n"), "{empty}");
        assert!(empty.ends_with("content-length: 0\r\n\r\n"), "{empty}");
        assert!(!encoded(Method::GET, "http://127.0.0.1/", "").contains("content-length"));
    }

    fn decoded(text: &str) -> Result<Option<Head>, String> {
        decode(&mut BytesMut::from(text), &mut 0, &Method::POST)
    }

    fn framed(headers: &str) -> Result<Framing, String> {
        let head = decoded(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n"))?;
        Ok(head.expect("a whole head").framing)
    }

    #[test]
    fn a_head_says_where_the_body_ends() {
        assert!(matches!(framed("content-length: 12\r\n"), Ok(Framing::Length(12))));
        assert!(matches!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked(_))));
        assert!(matches!(framed(""), Ok(Framing::UntilClose { over: false })));
        for status in ["204 No Content", "304 Not Modified"] {
            let head = decoded(&format!("HTTP/1.1 {status}\r\n\r\n")).unwrap().unwrap();
            assert_eq!(head.framing.stand(), Stand::Over);
        }
        let to_head = "HTTP/1.1 200\r\ncontent-length: 5\r\n\r\n";
        let head = decode(&mut BytesMut::from(to_head), &mut 0, &Method::HEAD).unwrap().unwrap();
        assert_eq!(head.framing.stand(), Stand::Over);
    }

    #[test]
    fn what_leaves_the_end_in_doubt_is_an_error() {
        for headers in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert!(framed(headers).is_err(), "{headers}");
        }
        assert!(decoded("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(decoded("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
        assert!(decoded("SSH-2.0-OpenSSH_9.6\r\n").is_err());
        assert!(decoded("HTTP/2 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn only_what_persists_is_kept() {
        let persists = |head: &str| decoded(head).unwrap().unwrap().persists;
        assert!(persists("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"));
        assert!(persists("HTTP/1.1 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n"));
        assert!(!persists("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1\r\n\r\n"));
        assert!(!persists("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n"));
        assert!(!persists("HTTP/1.1 200 OK\r\n\r\n"));
    }

    #[test]
    fn answers_on_the_way_are_skipped_wherever_they_are_cut() {
        let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                    HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
        for cut in 0..wire.len() {
            let (first, second) = wire.split_at(cut);
            let (mut arrived, mut seen) = (BytesMut::from(first), 0);
            let mut head = decode(&mut arrived, &mut seen, &Method::POST).unwrap();
            assert_eq!(head.is_some(), cut >= wire.len() - 2, "cut at {cut}");
            arrived.extend_from_slice(second.as_bytes());
            if head.is_none() {
                head = decode(&mut arrived, &mut seen, &Method::POST).unwrap();
            }
            let head = head.expect("everything has arrived");
            assert_eq!(head.status, StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(head.headers["retry-after"], "7");
            assert_eq!(arrived, "{}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let headers = |count: usize| "a: b\r\n".repeat(count);
        assert!(framed(&headers(MAX_HEADERS)).is_ok());
        assert!(framed(&headers(MAX_HEADERS + 1)).is_err());
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MAX_HEAD_BYTES));
        assert!(decoded(&long).is_err());
        // Nor can answers on the way be sent for ever.
        let interim = "HTTP/1.1 102 Processing\r\n\r\n";
        assert!(decoded(&interim.repeat(MAX_HEAD_BYTES / interim.len() + 1)).is_err());
    }
}

//! One HTTP exchange on the daemon's socket, read as slowly as a test likes, with its end looked at:
//! whether a stream was whole or broke off is half of what is tested of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use super::Socket;
use super::socket::connect;

/// A request that was sent and not answered yet. Dropped, its client is gone.
#[derive(Debug)]
pub(crate) struct Asked(Socket);

/// An answer whose head has come. Dropped, its client is gone.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    reader: BufReader<Socket>,
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    Chunked,
    /// Bytes still to come.
    Length(usize),
}

/// What comes of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    /// The end, as the framing announces it.
    End,
    /// The connection ended before that.
    Broken,
}

impl Asked {
    /// Sends a request on a connection of its own.
    #[track_caller]
    pub(crate) fn send(
        socket: &Path,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Self {
        let mut stream = connect(socket);
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: valetkey\r\n");
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            let length = body.len();
            head += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        head += "\r\n";
        head += body.unwrap_or_default();
        stream.write_all(head.as_bytes()).unwrap();
        Self(stream)
    }

    /// Waits for the head of the answer.
    #[track_caller]
    pub(crate) fn answer(self) -> Exchange {
        let mut reader = BufReader::new(self.0);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap_or_else(|error| panic!("no answer: {error}"));
            assert!(line.ends_with("\r\n"), "the head breaks off: {line:?}");
            line.truncate(line.len() - 2);
            line
        };
        let first = line();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no HTTP: {first}"));
        let mut headers = Vec::new();
        loop {
            let line = line();
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value);
        let framing = match (header("transfer-encoding"), header("content-length")) {
            (Some(_), None) => Framing::Chunked,
            (None, Some(length)) => Framing::Length(length.parse().unwrap()),
            (None, None) if matches!(status, 204 | 304) => Framing::Length(0),
            other => panic!("a body of unknown length: {other:?}"),
        };
        Exchange { status, headers, reader, framing }
    }
}

impl Exchange {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Holds it to a status, and shows what came instead.
    #[track_caller]
    pub(crate) fn has_status(&mut self, status: u16) {
        if self.status != status {
            let text = self.rest().0;
            panic!("{} instead of {status}: {text}", self.status);
        }
    }

    /// The next piece, as the daemon wrote it.
    pub(crate) fn next(&mut self) -> Piece {
        let count = match self.framing {
            Framing::Length(0) => return Piece::End,
            Framing::Length(left) => left,
            Framing::Chunked => {
                let mut line = String::new();
                match self.reader.read_line(&mut line) {
                    Ok(_) if line.ends_with('\n') => (),
                    _ => return Piece::Broken,
                }
                usize::from_str_radix(line.trim_end(), 16).unwrap()
            }
        };
        let ends = if matches!(self.framing, Framing::Chunked) { 2 } else { 0 };
        let mut bytes = vec![0; count + ends];
        if self.reader.read_exact(&mut bytes).is_err() {
            return Piece::Broken;
        }
        bytes.truncate(count);
        if let Framing::Length(left) = &mut self.framing {
            *left -= count;
        }
        if bytes.is_empty() { Piece::End } else { Piece::Bytes(bytes) }
    }

    /// All that is still to come, and whether it came to its announced end.
    pub(crate) fn rest(&mut self) -> (String, bool) {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Piece::Bytes(bytes) => all.extend(bytes),
                end => return (String::from_utf8(all).unwrap(), end == Piece::End),
            }
        }
    }

    /// Reads until the text so far holds `part`, and gives that text.
    #[track_caller]
    pub(crate) fn until(&mut self, part: &str) -> String {
        let mut text = String::new();
        while !text.contains(part) {
            match self.next() {
                Piece::Bytes(bytes) => text += std::str::from_utf8(&bytes).unwrap(),
                end => panic!("{end:?} before {part:?}: {text}"),
            }
        }
        text
    }

    /// The rest of a body that is whole.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        let (text, whole) = self.rest();
        assert!(whole, "it broke off: {text}");
        text
    }

    /// A whole body of JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The error of a refusal in OpenAI's shape, which has all four members.
    #[track_caller]
    pub(crate) fn error(&mut self) -> Value {
        let mut body = self.json();
        let error = body["error"].take();
        for name in ["message", "type", "param", "code"] {
            assert!(error.get(name).is_some(), "no {name} in {error}");
        }
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
        error
    }
}

/// The data of every event of a stream, in order; what is no JSON (`[DONE]`) as a string.
pub(crate) fn events(stream: &str) -> Vec<Value> {
    let data = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).unwrap_or_else(|_| data.into())).collect()
}

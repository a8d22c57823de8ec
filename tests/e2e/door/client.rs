//! One connection at either door, on which requests follow each other.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::support::{Daemon, LONG, Response, Socket, connect};

/// Bytes there and back.
pub(super) trait Wire: Read + Write + Send {
    /// Ends the input of the other side; says whether it could do so and still hear it.
    fn half_close(&self) -> bool;
}

impl Wire for TcpStream {
    fn half_close(&self) -> bool {
        self.shutdown(Shutdown::Write).unwrap();
        true
    }
}

impl Wire for Socket {
    #[cfg(unix)]
    fn half_close(&self) -> bool {
        self.shutdown(Shutdown::Write).unwrap();
        true
    }

    /// A pipe closes in both directions at once.
    #[cfg(windows)]
    fn half_close(&self) -> bool {
        false
    }
}

/// A connection that is kept from one request to the next.
pub(super) struct Web {
    wire: Box<dyn Wire>,
    host: String,
}

impl Web {
    #[track_caller]
    pub(super) fn tcp(address: &str) -> Self {
        let wire = TcpStream::connect(address).unwrap_or_else(|e| panic!("{address}: {e}"));
        wire.set_read_timeout(Some(LONG)).unwrap();
        Self { wire: Box::new(wire), host: address.to_owned() }
    }

    #[track_caller]
    pub(super) fn socket(daemon: &Daemon) -> Self {
        Self { wire: Box::new(connect(&daemon.socket())), host: "valetkey".to_owned() }
    }

    #[track_caller]
    pub(super) fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.send("GET", path, headers, b"")
    }

    #[track_caller]
    pub(super) fn post(&mut self, path: &str, body: &str) -> Response {
        self.send("POST", path, &[], body.as_bytes())
    }

    #[track_caller]
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.ask(method, path, headers, body);
        self.answer().expect("an answer")
    }

    /// Sends a request without waiting for the answer. A `host` among the headers replaces the usual.
    #[track_caller]
    pub(super) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.raw(format!("{head}\r\n").as_bytes());
        self.raw(body);
    }

    /// Sends bytes as they are. A peer that has closed already is no surprise to these tests.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.wire.write_all(bytes);
    }

    /// Ends the input of the other side, where the connection has such an end; says whether it has.
    pub(super) fn half_close(&self) -> bool {
        self.wire.half_close()
    }

    /// The next answer, of a length that it tells; nothing where the connection ends first.
    #[track_caller]
    pub(super) fn answer(&mut self) -> Option<Response> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.push(self.byte()?);
        }
        let head = Response::parse(&bytes);
        assert_eq!(head.header("transfer-encoding"), None, "no test here needs that");
        let length = head.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.wire.read_exact(&mut body).unwrap();
        bytes.extend_from_slice(&body);
        Some(Response::parse(&bytes))
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.wire.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Ok(_) => None,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

//! A client of the line dialect that can also misbehave.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::socket::{bound_reads, connect};
use super::{LONG, Socket};

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    reader: BufReader<Socket>,
    next_id: u64,
    /// Notifications that came while something else was waited for.
    pub(crate) notifications: Vec<Value>,
}

impl Line {
    #[track_caller]
    pub(crate) fn connect(socket: &Path) -> Self {
        Self { reader: BufReader::new(connect(socket)), next_id: 0, notifications: Vec::new() }
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends one line.
    pub(crate) fn send(&mut self, message: &Value) {
        self.send_raw(&format!("{message}\n"));
    }

    /// Sends a request and gives its id.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        self.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}));
        id
    }

    /// The next line, whatever it is; nothing at the end.
    #[track_caller]
    pub(crate) fn recv(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))),
            Err(error) => panic!("nothing came: {error}"),
        }
    }

    /// The next answer, to whatever call; notifications before it are set aside.
    #[track_caller]
    pub(crate) fn recv_answer(&mut self) -> Value {
        loop {
            let message = self.recv().expect("the daemon closed the connection");
            if message.get("method").is_none() {
                return message;
            }
            self.notifications.push(message);
        }
    }

    /// The answer to `id`; what comes before it is set aside if it is a notification.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: u64) -> Result<Value, Value> {
        loop {
            let mut message = self.recv().expect("the daemon closed the connection");
            if message.get("method").is_some() {
                self.notifications.push(message);
                continue;
            }
            assert_eq!(message["id"], id, "an answer to something else: {message}");
            assert_eq!(message["jsonrpc"], "2.0");
            return match message.get_mut("error") {
                Some(error) => Err(error.take()),
                None => Ok(message["result"].take()),
            };
        }
    }

    /// Calls and waits.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        let id = self.request(method, params);
        self.answer(id)
    }

    /// The next notification.
    #[track_caller]
    pub(crate) fn notification(&mut self) -> Value {
        if !self.notifications.is_empty() {
            return self.notifications.remove(0);
        }
        let message = self.recv().expect("the daemon closed the connection");
        assert!(message.get("method").is_some(), "no notification: {message}");
        message
    }

    /// Says that nothing more will be sent, as socat does at the end of its input.
    #[cfg(unix)]
    pub(crate) fn half_close(&mut self) {
        self.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// What still comes when nothing is owed any more: before the daemon's end, where ours can be told without
    /// closing both directions, and before the answer to one more call elsewhere.
    #[track_caller]
    pub(crate) fn surplus(&mut self) -> Option<Value> {
        #[cfg(unix)]
        {
            self.half_close();
            self.recv()
        }
        #[cfg(not(unix))]
        {
            let id = self.request("ping", &json!({}));
            self.recv().filter(|message| message["id"] != id)
        }
    }

    /// Listens for so long and expects to hear nothing.
    #[track_caller]
    pub(crate) fn is_silent_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            bound_reads(self.reader.get_mut(), left);
            match self.stream().read(&mut [0]) {
                Ok(count) => panic!("{count} bytes came"),
                // A signal for this process ends such a read early; that is no sound.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        }
        bound_reads(self.reader.get_mut(), LONG);
    }

    /// The stream itself, for tests of bytes.
    pub(crate) fn stream(&mut self) -> &mut Socket {
        self.reader.get_mut()
    }
}

//! A daemon that says what a test wants it to say, at the moment that the test wants it said.
//!
//! How the command line shows a stream, a pause or an error cannot be seen where both ends decide.
//! This end is the test's: a real socket, the line dialect, and no daemon behind it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Deref;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};

use interprocess::local_socket::Stream;
use interprocess::local_socket::traits::ListenerExt as _;
use serde_json::{Value, json};

use crate::support::{Home, LONG, listen};

/// What the other end of one connection can be told.
pub(super) struct Talk<'a> {
    stream: &'a Stream,
    is_over: bool,
}

impl Talk<'_> {
    /// Says one line; false where nobody listens any more.
    pub(super) fn say(&mut self, message: &Value) -> bool {
        self.stream.write_all(format!("{message}\n").as_bytes()).is_ok()
    }

    pub(super) fn answer(&mut self, call: &Value, result: &Value) -> bool {
        self.say(&json!({"jsonrpc": "2.0", "id": call["id"], "result": result}))
    }

    pub(super) fn refuse(&mut self, call: &Value, code: i32, data: &Value) -> bool {
        let error = json!({"code": code, "message": "The fake says no.", "data": data});
        self.say(&json!({"jsonrpc": "2.0", "id": call["id"], "error": error}))
    }

    /// One event of a stream.
    pub(super) fn event(&mut self, call: &Value, event: &Value) -> bool {
        let params = json!({"id": call["id"], "event": event});
        self.say(&json!({"jsonrpc": "2.0", "method": "responses.event", "params": params}))
    }

    /// A piece of text in a stream.
    pub(super) fn text(&mut self, call: &Value, piece: &str) -> bool {
        let event =
            json!({"type": "response.output_text.delta", "output_index": 0, "delta": piece});
        self.event(call, &event)
    }

    /// Breaks the connection off, as soon as the script is done with the call.
    pub(super) fn hang_up(&mut self) {
        self.is_over = true;
    }
}

/// A home whose daemon is the test.
pub(super) struct Fake {
    home: Home,
    heard: Receiver<Value>,
}

impl Deref for Fake {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Fake {
    /// Serves every connection with `script`, which is shown each call.
    pub(super) fn start(script: impl Fn(&Value, &mut Talk) + Clone + Send + 'static) -> Self {
        let home = Home::with_config("");
        let listener = listen(&home.socket());
        let (tell, heard) = channel();
        // Ends with the test's process: nothing of it outlives its socket.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (script, tell, stream) = (script.clone(), tell.clone(), stream.unwrap());
                std::thread::spawn(move || {
                    let mut talk = Talk { stream: &stream, is_over: false };
                    for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                        let call: Value = serde_json::from_str(&line).unwrap();
                        let _ = tell.send(call.clone());
                        script(&call, &mut talk);
                        if talk.is_over {
                            break;
                        }
                    }
                    let _ = tell.send(Value::Null);
                });
            }
        });
        Self { home, heard }
    }

    /// The next call that came; null where a connection ended.
    #[track_caller]
    pub(super) fn heard(&self) -> Value {
        self.heard.recv_timeout(LONG).expect("a client says something")
    }

    /// The parameters of the next call, which is of this method.
    #[track_caller]
    pub(super) fn heard_call(&self, method: &str) -> Value {
        let mut call = self.heard();
        assert_eq!(call["method"], method, "{call}");
        call["params"].take()
    }

    /// Runs a verb beside the test.
    pub(super) fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::of(command.spawn().unwrap())
    }
}

/// A verb under way.
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) out: BufReader<ChildStdout>,
    pub(super) err: BufReader<ChildStderr>,
}

impl Running {
    fn of(mut child: Child) -> Self {
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, out: BufReader::new(out), err: BufReader::new(err) }
    }
}

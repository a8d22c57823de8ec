//! Named pipes.

mod client;
mod server;

use std::io;
use std::task::Context;

use interprocess::os::windows::named_pipe::PipeListenerOptions;
use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::tokio::PipeListener;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tokio::net::windows::named_pipe::ServerOptions;
use tokio::sync::Mutex;
use widestring::U16CString;

use super::Credentials;
use crate::platform::access_list::{self, Of};

pub use client::BlockingStream;
pub(super) use server::Stream;

/// What lies in a pipe in each direction before the writer waits, in bytes. With less than a few requests and
/// answers each would wait for the other to read.
const BUFFER_BYTES: u32 = 64 * 1024;

/// Accepts connections. The pipe has one free end at a time.
#[derive(Debug)]
pub(super) struct Listener {
    accepting: Mutex<PipeListener<Bytes, Bytes>>,
    options: PipeListenerOptions<'static>,
    socket: String,
}

impl Listener {
    /// A pipe with this security descriptor, in the security descriptor definition language. Other machines are
    /// not let in, and a name that is taken is refused (`FILE_FLAG_FIRST_PIPE_INSTANCE`), by whomever: both are
    /// what interprocess does unless told otherwise.
    fn new(socket: &str, descriptor: &str) -> io::Result<Self> {
        let text = |text: &str| U16CString::from_str(text).map_err(io::Error::other);
        let mut options = PipeListenerOptions::new().path(text(socket)?);
        options.security_descriptor = Some(SecurityDescriptor::deserialize(&text(descriptor)?)?);
        options.input_buffer_size_hint = BUFFER_BYTES;
        options.output_buffer_size_hint = BUFFER_BYTES;
        let options = options.to_owned()?;
        let accepting = Mutex::new(options.create_tokio_duplex()?);
        Ok(Self { accepting, options, socket: socket.to_owned() })
    }

    /// The same with another free end. A pipe has one security descriptor, its first end's.
    fn renewed(&self) -> io::Result<PipeListener<Bytes, Bytes>> {
        let mut end = ServerOptions::new();
        let end =
            end.in_buffer_size(BUFFER_BYTES).out_buffer_size(BUFFER_BYTES).create(&self.socket)?;
        Ok(PipeListener::from_tokio_and_options(end, self.options.to_owned()?))
    }
}

/// What the name of each pipe of this machine begins with.
const OF_THIS_MACHINE: &str = r"\\.\pipe\";

/// Refuses what is no name of a pipe of this machine. Windows would open any other path as what it is: a file, or
/// another machine's pipe, to which it would prove who this user is.
fn check(socket: &str) -> io::Result<()> {
    // Both slashes part a path, and `..` leads out of the folder of pipes.
    let is_pipe = socket.split_at_checked(OF_THIS_MACHINE.len()).is_some_and(|(start, own)| {
        start.eq_ignore_ascii_case(OF_THIS_MACHINE)
            && own.split(['\\', '/']).all(|part| !matches!(part, "" | "." | ".."))
    });
    if is_pipe {
        return Ok(());
    }
    let why = format!(
        "a pipe of this machine is called {OF_THIS_MACHINE}NAME: \
         set VALETKEY_SOCKET or daemon.socket to such a name"
    );
    Err(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// Listens where nobody does yet.
pub(super) fn bind(socket: &str) -> io::Result<Listener> {
    check(socket)?;
    // Says so where somebody serves this very pipe already. Between this question and the pipe's making the system
    // itself refuses a second one.
    match client::open(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return Err(taken()),
    }
    let listener = Listener::new(socket, &access_list::owner_alone(Of::Object)?);
    listener.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => taken(),
        _ => error,
    })
}

fn taken() -> io::Error {
    io::Error::new(
        io::ErrorKind::AddrInUse,
        "another daemon, with another data directory or of another user, answers there",
    )
}

/// A pipe's name ends with the last who has it open.
pub(super) fn remove_abandoned(_: &str) -> io::Result<bool> {
    Ok(false)
}

pub(super) async fn accept(listener: &Listener) -> io::Result<Stream> {
    let mut accepting = listener.accepting.lock().await;
    let accepted = accepting.accept().await;
    if accepted.is_err() {
        // A client that came and went before it was waited for leaves an end that no other can take.
        *accepting = listener.renewed()?;
    }
    accepted.map(Stream::new)
}

/// Makes a pipe that is somebody else's. Windows lets nobody do that without the right to restore backups; Wine
/// does.
#[cfg(test)]
pub(super) fn listening_as_another_user(socket: &str) -> Option<Box<dyn std::any::Any>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let entered = runtime.enter();
    let listener = Listener::new(socket, "O:S-1-5-21-1-2-3-1001D:P(A;;FA;;;WD)").ok()?;
    drop(entered);
    Some(Box::new((listener, runtime)))
}

/// A pipe's name that no other test has.
#[cfg(test)]
pub(super) fn address_in(folder: &std::path::Path) -> String {
    // The folders of tests have names that nothing else has.
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    format!(r"\\.\pipe\valetkey-test-{}-{own}", std::process::id())
}

#[cfg(test)]
pub(super) fn as_another_user(_: &str, _: &str) -> Option<String> {
    None
}

#[cfg(test)]
pub(super) async fn connect(socket: &str) -> io::Result<Stream> {
    use interprocess::os::windows::named_pipe::tokio::DuplexPipeStream;
    DuplexPipeStream::connect_by_path(socket).await.map(Stream::new)
}

pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
    stream.credentials()
}

/// Pipes close in both directions at once.
pub(super) fn hung_up(_: &Stream, _: &mut Context<'_>) -> bool {
    true
}

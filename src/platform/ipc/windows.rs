//! Named pipes.

mod client;

use std::io;
use std::task::Context;

use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::U16CString;

use super::{Credentials, name};
use crate::platform::access_list::{self, Of};

pub(super) use client::BlockingStream;
pub(super) use interprocess::local_socket::tokio::{Listener, Stream};

/// Listens where nobody does yet. Other machines are not let in, and a name that is taken is refused
/// (`FILE_FLAG_FIRST_PIPE_INSTANCE`), by whomever: both are what interprocess does unless told otherwise.
pub(super) fn bind(socket: &str) -> io::Result<Listener> {
    name(socket)?;
    // Says so where somebody serves this very pipe already, also to one who serves it for us alone. Between this
    // question and the pipe's making the system itself refuses a second one.
    match client::open(socket) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => return Err(taken()),
    }
    made(socket, &access_list::owner_alone(Of::Object)?).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => taken(),
        _ => error,
    })
}

/// A pipe with this security descriptor, in the security descriptor definition language.
fn made(socket: &str, descriptor: &str) -> io::Result<Listener> {
    let descriptor = U16CString::from_str(descriptor).map_err(io::Error::other)?;
    ListenerOptions::new()
        .name(name(socket)?)
        .security_descriptor(SecurityDescriptor::deserialize(&descriptor)?)
        .create_tokio()
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
    listener.accept().await
}

/// Makes a pipe that is somebody else's. Windows lets nobody do that without the right to restore backups; Wine
/// does.
#[cfg(test)]
pub(super) fn listening_as_another_user(socket: &str) -> Option<Box<dyn std::any::Any>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let entered = runtime.enter();
    let listener = made(socket, "O:S-1-5-21-1-2-3-1001D:P(A;;FA;;;WD)").ok()?;
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
    use interprocess::local_socket::traits::tokio::Stream as _;
    Stream::connect(name(socket)?).await
}

/// The process alone: the pipe lets in nobody but its owner.
pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
    let pid = stream.peer_creds()?.pid();
    Ok(Credentials { pid: pid.and_then(|pid| u32::try_from(pid).ok()), uid: None })
}

/// Pipes close in both directions at once.
pub(super) fn hung_up(_: &Stream, _: &mut Context<'_>) -> bool {
    true
}

//! Named pipes.

mod client;
mod server;

use std::io;
use std::task::Context;

use interprocess::ConnectWaitMode;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{ConnectOptions, ListenerOptions};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::U16CString;

use super::{Credentials, name};
use crate::platform::access_list::{self, Of};

pub(super) use client::BlockingStream;
pub(super) use interprocess::local_socket::tokio::Listener;
pub(super) use server::Stream;

/// Listens where nobody does yet. Other machines are not let in, and a name that is taken is refused
/// (`FILE_FLAG_FIRST_PIPE_INSTANCE`), by whomever: both are what interprocess does unless told otherwise.
pub(super) fn bind(socket: &str) -> io::Result<Listener> {
    refuse_second(socket)?;
    let descriptor = access_list::owner_alone(Of::Object)?;
    let descriptor = U16CString::from_str(descriptor).map_err(io::Error::other)?;
    ListenerOptions::new()
        .name(name(socket)?)
        .security_descriptor(SecurityDescriptor::deserialize(&descriptor)?)
        .create_tokio()
        .map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => taken(),
            _ => error,
        })
}

/// Says so where somebody serves this very pipe already. Between this question and the pipe's making the system
/// itself refuses a second one.
fn refuse_second(socket: &str) -> io::Result<()> {
    let asking = ConnectOptions::new().name(name(socket)?);
    match asking.wait_mode(ConnectWaitMode::Deferred).connect_sync() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(error),
        _ => Err(taken()),
    }
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
    listener.accept().await.map(Stream::new)
}

#[cfg(test)]
pub(super) fn listening_as_another_user(_: &str) -> Option<Box<dyn std::any::Any>> {
    None
}

#[cfg(test)]
pub(super) fn as_another_user(_: &str, _: &str) -> Option<String> {
    None
}

#[cfg(test)]
pub(super) async fn connect(socket: &str) -> io::Result<Stream> {
    use interprocess::local_socket::tokio::Stream as Pipe;
    use interprocess::local_socket::traits::tokio::Stream as _;
    Pipe::connect(name(socket)?).await.map(Stream::new)
}

pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
    stream.credentials()
}

/// Pipes close in both directions at once.
pub(super) fn hung_up(_: &Stream, _: &mut Context<'_>) -> bool {
    true
}

//! Named pipes.

use std::io;
use std::task::Context;

use interprocess::local_socket::traits::StreamCommon as _;
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::u16cstr;

use super::{Credentials, ListenerOptions, from_creds, name};

pub(super) use interprocess::local_socket::tokio::{Listener, Stream};

pub(super) fn bind(socket: &str) -> io::Result<Listener> {
    // Protected, and with one entry: all rights for the owner, who is whoever makes the pipe.
    let owner_only = SecurityDescriptor::deserialize(u16cstr!("D:P(A;;GA;;;OW)"))?;
    ListenerOptions::new().name(name(socket)?).security_descriptor(owner_only).create_tokio()
}

/// A pipe's name ends with the last who has it open.
pub(super) fn remove_abandoned(_: &str) -> io::Result<bool> {
    Ok(false)
}

pub(super) async fn accept(listener: &Listener) -> io::Result<Stream> {
    listener.accept().await
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
    use interprocess::local_socket::traits::tokio::Stream as _;
    Stream::connect(name(socket)?).await
}

pub(super) fn credentials(stream: &Stream) -> io::Result<Credentials> {
    Ok(from_creds(&stream.peer_creds()?))
}

/// Pipes close in both directions at once.
pub(super) fn hung_up(_: &Stream, _: &mut Context<'_>) -> bool {
    true
}

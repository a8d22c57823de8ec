//! A client's end of whatever the system has for a socket: two names of the same few calls.

use std::path::Path;

use interprocess::local_socket::{GenericFilePath, Listener, ListenerOptions, ToFsName as _};

use super::LONG;

#[cfg(unix)]
pub(crate) use std::os::unix::net::UnixStream as Socket;

#[cfg(windows)]
pub(crate) use windows::Socket;

/// A connection whose reads do not hang: an answer takes less than [`LONG`].
#[track_caller]
pub(crate) fn connect(name: &Path) -> Socket {
    let mut socket =
        Socket::connect(name).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
    bound_reads(&mut socket, LONG);
    socket
}

/// Listens where a client looks for its daemon.
#[track_caller]
pub(crate) fn listen(name: &Path) -> Listener {
    let options = ListenerOptions::new().name(name.to_fs_name::<GenericFilePath>().unwrap());
    // A client asks whose a pipe is, and under Wine one that was made without a descriptor is nobody's.
    #[cfg(windows)]
    let options = windows::own(options);
    options.create_sync().unwrap_or_else(|error| panic!("{}: {error}", name.display()))
}

/// Ends each read from now on after so long.
pub(crate) fn bound_reads(socket: &mut Socket, time: std::time::Duration) {
    socket.set_read_timeout(Some(time)).unwrap();
}

#[cfg(windows)]
mod windows {
    use std::io::{self, Read, Write};
    use std::path::Path;
    use std::time::Duration;

    use interprocess::local_socket::ListenerOptions;
    use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
    use interprocess::os::windows::security_descriptor::SecurityDescriptor;
    use valetkey::platform::access_list::own_sid;
    use valetkey::platform::ipc::{BlockingStream, connect_blocking};
    use widestring::U16CString;

    /// Makes a pipe that is to be made this user's alone.
    pub(super) fn own(options: ListenerOptions<'_>) -> ListenerOptions<'_> {
        let own = own_sid().unwrap();
        let descriptor = U16CString::from_str(format!("O:{own}D:P(A;;FA;;;{own})")).unwrap();
        options.security_descriptor(SecurityDescriptor::deserialize(&descriptor).unwrap())
    }

    /// A named pipe, opened by name. It has no half that could be closed before the other.
    #[derive(Debug)]
    pub(crate) struct Socket(BlockingStream);

    impl Socket {
        pub(crate) fn connect(name: impl AsRef<Path>) -> io::Result<Self> {
            let name = name.as_ref().to_str().ok_or(io::ErrorKind::InvalidInput)?;
            connect_blocking(name).map(Self)
        }

        pub(crate) fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
            self.0.set_timeout(timeout)
        }

        pub(crate) fn try_clone(&self) -> io::Result<Self> {
            self.0.another().map(Self)
        }
    }

    impl Read for Socket {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }

    impl Write for Socket {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0.write(buf)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.flush()
        }
    }
}

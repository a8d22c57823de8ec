//! How a test hears that its daemon is ready: as a service manager does, or by an answer.

use std::process::Command;
use std::time::Duration;

use super::Home;

/// How long the daemon's word is waited for before its process is looked at.
const SLICE: Duration = Duration::from_millis(50);

#[cfg(unix)]
pub(super) use unix::Readiness;

#[cfg(unix)]
mod unix {
    use std::os::unix::net::UnixDatagram;

    use super::{Command, Home, SLICE};

    /// The socket of sd_notify(3).
    #[derive(Debug)]
    pub(in super::super) struct Readiness {
        socket: UnixDatagram,
        path: std::path::PathBuf,
    }

    impl Readiness {
        pub(in super::super) fn of(home: &Home) -> Self {
            let path = home.path().join("notify");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_read_timeout(Some(SLICE)).unwrap();
            Self { socket, path }
        }

        pub(in super::super) fn announce(&self, command: &mut Command) {
            command.env("NOTIFY_SOCKET", &self.path);
        }

        /// A line that begins so, if the daemon says one now.
        pub(in super::super) fn heard(&self, beginning: &str) -> Option<String> {
            let mut datagram = [0; 4096];
            let length = self.socket.recv(&mut datagram).ok()?;
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            text.lines().find(|line| line.starts_with(beginning)).map(str::to_owned)
        }
    }
}

#[cfg(windows)]
pub(super) use windows::Readiness;

#[cfg(windows)]
mod windows {
    use std::io::{Read as _, Write as _};

    use super::super::Socket;
    use super::{Command, Home, SLICE};

    /// The pipe.
    #[derive(Debug)]
    pub(in super::super) struct Readiness(std::path::PathBuf);

    impl Readiness {
        pub(in super::super) fn of(home: &Home) -> Self {
            Self(home.socket())
        }

        pub(in super::super) fn announce(&self, _: &mut Command) {}

        /// Whether it answers there, which is when the daemon would say that it is ready. It closes this
        /// connection itself, and so has a place to give again when the test begins.
        pub(in super::super) fn heard(&self, beginning: &str) -> Option<String> {
            const ASKING: &[u8] =
                b"GET /healthz HTTP/1.1\r\nhost: valetkey\r\nconnection: close\r\n\r\n";

            assert_eq!(beginning, "READY=1", "nothing else can be told here");
            let answer = Socket::connect(&self.0).and_then(|mut pipe| {
                pipe.write_all(ASKING)?;
                let mut answer = String::new();
                pipe.read_to_string(&mut answer).map(|_| answer)
            });
            if answer.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
                return Some(beginning.to_owned());
            }
            std::thread::sleep(SLICE / 10);
            None
        }
    }
}

//! How a starter hears that its daemon is ready: sd_notify(3) where the system has it, asking where not.

pub(super) use system::{announce, prepare};

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::time::{Duration, Instant};

    /// Longer than any message of sd_notify(3) that we care for.
    const DATAGRAM_BYTES_MAX: usize = 4096;

    /// A directory that only we can enter, with the socket on which the daemon says `READY=1`.
    pub(in super::super) type Place = tempfile::TempDir;

    /// Who listens there.
    pub(in super::super) struct Waiter(UnixDatagram);

    pub(in super::super) fn prepare(_is_up: impl Fn() -> bool) -> io::Result<(Place, Waiter)> {
        let dir = tempfile::Builder::new().prefix("valetkey-").tempdir()?;
        let socket = UnixDatagram::bind(dir.path().join("ready"))?;
        Ok((dir, Waiter(socket)))
    }

    pub(in super::super) fn announce(place: &Place, command: &mut Command) {
        command.env("NOTIFY_SOCKET", place.path().join("ready"));
        // What the starter's own manager told it is no business of the daemon's.
        for name in ["WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
        {
            command.env_remove(name);
        }
    }

    impl Waiter {
        pub(in super::super) fn wait(self, within: Duration) -> bool {
            let end = Instant::now() + within;
            let mut datagram = [0; DATAGRAM_BYTES_MAX];
            loop {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() || self.0.set_read_timeout(Some(left)).is_err() {
                    return false;
                }
                match self.0.recv(&mut datagram) {
                    Ok(len)
                        if datagram[..len]
                            .split(|b| *b == b'\n')
                            .any(|line| line == b"READY=1") =>
                    {
                        return true;
                    }
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return false,
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::process::Command;
    use std::time::{Duration, Instant};

    /// How often a daemon that cannot speak up is looked for.
    const LOOK_EVERY: Duration = Duration::from_millis(20);

    /// Nothing: these systems know no readiness datagram.
    pub(in super::super) struct Place;

    /// Asks again and again whether the daemon answers, within a bound.
    pub(in super::super) struct Waiter(Box<dyn Fn() -> bool + Send>);

    pub(in super::super) fn prepare(
        is_up: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<(Place, Waiter)> {
        Ok((Place, Waiter(Box::new(is_up))))
    }

    pub(in super::super) fn announce(_place: &Place, _command: &mut Command) {}

    impl Waiter {
        pub(in super::super) fn wait(self, within: Duration) -> bool {
            let end = Instant::now() + within;
            while Instant::now() < end {
                if (self.0)() {
                    return true;
                }
                std::thread::sleep(LOOK_EVERY);
            }
            false
        }
    }
}

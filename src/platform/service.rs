//! The service manager above us, where there is one: what it hands over and what it wants to hear.

#[cfg(target_os = "linux")]
mod systemd {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use sd_notify::NotifyState;

    use crate::platform::ipc::Listener;

    fn tell(states: &[NotifyState<'_>]) {
        // Nobody may be listening: then there is nobody to tell.
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }

    /// The socket that systemd listens on for us, if it does (sd_listen_fds(3)).
    ///
    /// # Errors
    /// Where what was handed over is not a listening Unix socket.
    pub fn inherited_listener() -> io::Result<Option<Listener>> {
        let mut fds = listenfd::ListenFd::from_env();
        let listener = if fds.len() > 0 { fds.take_unix_listener(0)? } else { None };
        listener.map(|listener| Listener::inherited(OwnedFd::from(listener))).transpose()
    }

    /// We are ready to serve.
    pub fn ready(status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// We are going down.
    pub fn stopping() {
        tell(&[NotifyState::Stopping]);
    }

    /// We are alive.
    pub fn feed_watchdog() {
        tell(&[NotifyState::Watchdog]);
    }

    /// How often the watchdog wants to be fed, if there is one: half its patience, as its manual advises.
    #[must_use]
    pub fn watchdog_interval() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|patience| patience / 2)
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use std::time::Duration;

    use crate::platform::ipc::Listener;

    /// No service manager hands over a socket here.
    ///
    /// # Errors
    /// None.
    pub fn inherited_listener() -> io::Result<Option<Listener>> {
        Ok(None)
    }

    /// We are ready to serve.
    pub fn ready(_status: &str) {}

    /// We are going down.
    pub fn stopping() {}

    /// We are alive.
    pub fn feed_watchdog() {}

    /// How often a watchdog wants to be fed: there is none.
    #[must_use]
    pub fn watchdog_interval() -> Option<Duration> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub use none::{feed_watchdog, inherited_listener, ready, stopping, watchdog_interval};
#[cfg(target_os = "linux")]
pub use systemd::{feed_watchdog, inherited_listener, ready, stopping, watchdog_interval};

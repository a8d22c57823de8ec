//! What the outside asks of the whole process: to stop, or to read its configuration again.

/// A request from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop in an orderly way (SIGTERM, SIGINT; Ctrl-C, Ctrl-Break, the end of the session).
    Stop,
    /// Read the configuration again (SIGHUP).
    Reload,
}

#[cfg(unix)]
pub use unix::{Signals, on_interrupt};
#[cfg(windows)]
pub use windows::{Signals, on_interrupt};

#[cfg(unix)]
mod unix {
    use std::io;
    use std::os::unix::net::UnixStream as StdStream;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::UnixStream;

    use super::Signal;

    /// The signals as they come. A handler may only write a byte, so that is what each does.
    #[derive(Debug)]
    pub struct Signals {
        stop: UnixStream,
        reload: UnixStream,
    }

    impl Signals {
        /// Takes over the signals; they no longer end the process by themselves.
        ///
        /// # Errors
        /// Where the pipes or handlers cannot be made.
        pub fn new() -> io::Result<Self> {
            Ok(Self { stop: pipe(&[SIGTERM, SIGINT])?, reload: pipe(&[SIGHUP])? })
        }

        /// Waits for the next.
        pub async fn next(&mut self) -> Signal {
            let (mut stop, mut reload) = ([0_u8; 1], [0_u8; 16]);
            tokio::select! {
                biased;
                _ = self.stop.read(&mut stop) => Signal::Stop,
                // Several in a row ask for the same thing.
                _ = self.reload.read(&mut reload) => Signal::Reload,
            }
        }
    }

    /// From now on the first SIGINT or SIGTERM only sets `asked`, and the second ends the process there and then,
    /// with this exit status.
    ///
    /// # Errors
    /// Where a handler cannot be set.
    pub fn on_interrupt(asked: &Arc<AtomicBool>, status: i32) -> io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            // In this order: what is looked at first was set by an earlier signal.
            flag::register_conditional_shutdown(signal, status, asked.clone())?;
            flag::register(signal, asked.clone())?;
        }
        Ok(())
    }

    fn pipe(signals: &[i32]) -> io::Result<UnixStream> {
        let (ours, handlers) = StdStream::pair()?;
        for signal in signals {
            signal_hook::low_level::pipe::register(*signal, handlers.try_clone()?)?;
        }
        ours.set_nonblocking(true)?;
        UnixStream::from_std(ours)
    }
}

#[cfg(windows)]
mod windows {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::runtime::Builder;
    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, CtrlLogoff, CtrlShutdown};
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};

    use super::Signal;

    /// The console's events as they come. There is none for reading the configuration again.
    #[derive(Debug)]
    pub struct Signals {
        c: CtrlC,
        brk: CtrlBreak,
        close: CtrlClose,
        logoff: CtrlLogoff,
        shutdown: CtrlShutdown,
    }

    impl Signals {
        /// Takes over the events.
        ///
        /// # Errors
        /// Where a handler cannot be set.
        pub fn new() -> io::Result<Self> {
            Ok(Self {
                c: ctrl_c()?,
                brk: ctrl_break()?,
                close: ctrl_close()?,
                logoff: ctrl_logoff()?,
                shutdown: ctrl_shutdown()?,
            })
        }

        /// Waits for the next.
        pub async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.c.recv() => {}
                _ = self.brk.recv() => {}
                _ = self.close.recv() => {}
                _ = self.logoff.recv() => {}
                _ = self.shutdown.recv() => {}
            }
            Signal::Stop
        }
    }

    /// From now on the first event of the console only sets `asked`, and the second ends the process there and
    /// then, with this exit status. (The C library knows two of the events.)
    ///
    /// # Errors
    /// Where a handler cannot be set.
    pub fn on_interrupt(asked: &Arc<AtomicBool>, status: i32) -> io::Result<()> {
        let runtime = Builder::new_current_thread().build()?;
        let (mut signals, asked) = (Signals::new()?, asked.clone());
        std::thread::spawn(move || {
            runtime.block_on(async {
                signals.next().await;
                asked.store(true, Ordering::Relaxed);
                signals.next().await;
                std::process::exit(status)
            })
        });
        Ok(())
    }
}

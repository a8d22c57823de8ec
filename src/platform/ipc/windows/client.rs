//! A client's end of a pipe. Blocking reads and writes of a pipe know no bound, so a small runtime waits
//! for it, as the daemon's does.

use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep, timeout};

use crate::platform::access_list;
use crate::platform::ipc::Server;

/// `ERROR_PIPE_BUSY`: the last end was taken, and the daemon has not made the next one yet.
const BUSY: i32 = 231;

/// How long a daemon may take to make the next end, and how often it is looked for.
const BUSY_MAX: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How long the system may take to end a read that was given up.
const TAKEN_BACK: Duration = Duration::from_millis(20);

/// A client's end, for programs without a runtime. It is closed with the last of those that share it.
#[derive(Debug)]
pub struct BlockingStream {
    // Before the runtime that it is registered with.
    pipe: Arc<NamedPipeClient>,
    waiting: Arc<Waiting>,
    timeout: Option<Duration>,
}

/// The runtime. Nothing runs in it that its end would have to wait for, and so a client may also be dropped
/// within another one.
#[derive(Debug)]
struct Waiting {
    /// There until the end.
    runtime: Option<Runtime>,
    /// Whether something was not waited for to its end.
    gave_up: AtomicBool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        // The system takes back in its own time what was given up, and lets go of the pipe only then.
        if self.gave_up.load(Ordering::Relaxed) && Handle::try_current().is_err() {
            runtime.block_on(async { sleep(TAKEN_BACK).await });
        }
        runtime.shutdown_background();
    }
}

impl Waiting {
    fn begin() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime: Some(runtime), gave_up: AtomicBool::new(false) })
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("it is there to the end").block_on(work)
    }
}

/// Opens the pipe, within a runtime. Whoever serves it can learn who we are and not act as us
/// (`SECURITY_IDENTIFICATION`, which tokio asks for): it may not be our daemon.
pub(super) fn open(socket: &str) -> io::Result<NamedPipeClient> {
    super::check(socket)?;
    ClientOptions::new().open(socket)
}

impl BlockingStream {
    pub(in crate::platform::ipc) fn connect(socket: &str) -> io::Result<Self> {
        let waiting = Waiting::begin()?;
        let pipe = waiting.block_on(async {
            let end = Instant::now() + BUSY_MAX;
            loop {
                match open(socket) {
                    Err(error) if error.raw_os_error() == Some(BUSY) && Instant::now() < end => {
                        sleep(LOOK_EVERY).await;
                    }
                    other => return other,
                }
            }
        })?;
        Ok(Self { pipe: Arc::new(pipe), waiting: Arc::new(waiting), timeout: None })
    }

    #[cfg(test)]
    pub(in crate::platform::ipc) fn pipe(&self) -> &NamedPipeClient {
        &self.pipe
    }

    /// Who listens, by the pipe's owner. Anybody may make a pipe of any name before its rightful daemon does, but it is
    /// theirs then.
    ///
    /// # Errors
    /// Where the system does not tell, which must count as a stranger.
    pub fn server(&self) -> io::Result<Server> {
        let (owner, _) = access_list::holders(&*self.pipe)?;
        Ok(if access_list::is_ours(&owner)? { Server::Own } else { Server::Foreign(None) })
    }

    /// Bounds each read and write from now on.
    ///
    /// # Errors
    /// None here: other systems may refuse.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.timeout = timeout;
        Ok(())
    }

    /// The same connection once more, for a thread that writes while another one reads.
    ///
    /// # Errors
    /// None here: other systems may refuse.
    pub fn another(&self) -> io::Result<Self> {
        let (pipe, waiting) = (self.pipe.clone(), self.waiting.clone());
        Ok(Self { pipe, waiting, timeout: self.timeout })
    }

    /// Waits for `work`, as long as a read or a write may take. What is given up has taken nothing.
    fn wait<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        self.waiting.block_on(async {
            match self.timeout {
                None => work.await,
                Some(bound) => timeout(bound, work).await.unwrap_or_else(|_| {
                    self.waiting.gave_up.store(true, Ordering::Relaxed);
                    Err(io::ErrorKind::WouldBlock.into())
                }),
            }
        })
    }
}

/// Whether something was only said to be possible.
fn is_early<T>(outcome: &io::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.wait(async {
            loop {
                self.pipe.readable().await?;
                let read = self.pipe.try_read(buf);
                if !is_early(&read) {
                    return read;
                }
            }
        });
        match read {
            // So an end looks here.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            read => read,
        }
    }
}

impl Write for BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.wait(async {
            loop {
                self.pipe.writable().await?;
                let written = self.pipe.try_write(buf);
                if !is_early(&written) {
                    return written;
                }
            }
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

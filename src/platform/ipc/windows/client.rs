//! A client's end of a pipe. Reads of a pipe know no bound, so where one is asked for a thread reads.

use std::io::{self, Read, Write};
use std::os::windows::io::AsHandle as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use interprocess::TryClone as _;
use interprocess::local_socket::Stream;

use crate::platform::access_list;
use crate::platform::ipc::Server;

/// What is read at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// A client's end.
#[derive(Debug)]
pub(in crate::platform::ipc) struct BlockingStream {
    stream: Stream,
    timeout: Option<Duration>,
    /// From the first bound on: from then on nobody else may read.
    reader: Option<Reader>,
}

/// What a thread has read.
#[derive(Debug)]
struct Reader {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// The rest of a chunk that did not fit.
    rest: Vec<u8>,
}

impl BlockingStream {
    pub(in crate::platform::ipc) fn new(stream: Stream) -> Self {
        Self { stream, timeout: None, reader: None }
    }

    /// By the pipe's owner. Anybody may make a pipe of any name before its rightful daemon does, but it is
    /// his then.
    pub(in crate::platform::ipc) fn server(&self) -> io::Result<Server> {
        let Stream::NamedPipe(pipe) = &self.stream;
        let (owner, _) = access_list::holders(&pipe.inner().as_handle())?;
        Ok(if access_list::is_ours(&owner)? { Server::Own } else { Server::Foreign(None) })
    }

    /// Bounds reads from now on. A write is not bounded: a line fits into the pipe, or the daemon reads it.
    pub(in crate::platform::ipc) fn set_timeout(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        self.timeout = timeout;
        if timeout.is_some() && self.reader.is_none() {
            self.reader = Some(Reader::start(self.stream.try_clone()?));
        }
        Ok(())
    }

    pub(in crate::platform::ipc) fn another(&self) -> io::Result<Self> {
        self.stream.try_clone().map(Self::new)
    }
}

impl Reader {
    /// The thread ends with the connection, or with this process.
    fn start(mut stream: Stream) -> Self {
        // One chunk waits and one is in the thread's hands; more is left in the pipe.
        let (read, chunks) = sync_channel(1);
        std::thread::spawn(move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let chunk = match stream.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(count) => {
                        chunk.truncate(count);
                        Ok(chunk)
                    }
                    Err(error) => Err(error),
                };
                let is_last = chunk.is_err();
                if read.send(chunk).is_err() || is_last {
                    return;
                }
            }
        });
        Self { chunks, rest: Vec::new() }
    }

    fn read(&mut self, buf: &mut [u8], timeout: Option<Duration>) -> io::Result<usize> {
        if self.rest.is_empty() {
            let chunk = match timeout {
                None => self.chunks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(timeout) => self.chunks.recv_timeout(timeout),
            };
            self.rest = match chunk {
                Ok(chunk) => chunk?,
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::WouldBlock.into()),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            };
        }
        let count = buf.len().min(self.rest.len());
        buf[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl Read for BlockingStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.reader {
            Some(reader) => reader.read(buf, self.timeout),
            None => self.stream.read(buf),
        }
    }
}

impl Write for BlockingStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.stream.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

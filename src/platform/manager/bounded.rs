//! A program of somebody else's, run to its end or to ours: whichever comes first.

use std::io::{self, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What is kept of each of its two outputs. A manager's answer is a few hundred bytes, a unit's properties a
/// few thousand; the rest is read and forgotten, so that its pipe never fills.
const OUTPUT_BYTES_MAX: u64 = 256 * 1024;

/// How often a program that has closed its outputs is looked at, until it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Runs `command` to its end, for at most `within`; then it is killed and the error is `TimedOut`.
pub(in crate::platform) fn run_bounded(
    command: &mut Command,
    within: Duration,
) -> io::Result<Output> {
    let end = Instant::now() + within;
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let output = outcome(&mut child, end);
    if output.is_err() {
        // It may have ended at this very moment, and is then only waited for.
        let _ = child.kill();
        let _ = child.wait();
    }
    output
}

fn outcome(child: &mut Child, end: Instant) -> io::Result<Output> {
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let left = || end.saturating_duration_since(Instant::now());
    let too_late = || io::Error::from(io::ErrorKind::TimedOut);
    let stdout = stdout.recv_timeout(left()).map_err(|_| too_late())?;
    let stderr = stderr.recv_timeout(left()).map_err(|_| too_late())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Output { status, stdout, stderr });
        }
        if left().is_zero() {
            return Err(too_late());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (done, end) = channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is all there is.
            let _ = (&mut pipe).take(OUTPUT_BYTES_MAX).read_to_end(&mut kept);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        // Nobody may be waiting any more.
        let _ = done.send(kept);
    });
    end
}

//! `valetkey service logs`: the journal where there is one, else the daily files of the daemon.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::platform::manager::{self, Kind, systemd};

use super::super::Done;
use super::super::args::ServiceLogs;
use super::super::connect::Context;
use super::super::failure::{Exit, Failure};
use super::super::interrupt::Interrupt;

/// How often a file is looked at for more. A person reads along, no faster than this.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What is read of a file at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The longest line that is shown whole; the daemon's own are shorter.
const LINE_BYTES_MAX: u64 = 64 * 1024;

pub(super) fn run(context: &Context, verb: &ServiceLogs) -> Done {
    let has_unit = manager::native() == Some(Kind::Systemd) && systemd::unit_file().is_some();
    if has_unit && !logs_to_files() {
        return from_journal(verb);
    }
    from_files(&context.paths()?.log_dir(), verb)
}

/// Whether a person has asked for files where there is a journal.
fn logs_to_files() -> bool {
    std::env::var("VALETKEY_LOG_TO").is_ok_and(|to| to == "file")
}

fn from_journal(verb: &ServiceLogs) -> Done {
    let shown = systemd::journal(verb.lines, verb.follow).status();
    let status = shown.map_err(|error| {
        Failure::new(Exit::Failed, format!("journalctl could not be run: {error}"))
            .hint("`valetkey paths` shows where the log is that a daemon without a service writes")
    })?;
    // It has said itself what is wrong.
    if status.success() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

fn from_files(dir: &Path, verb: &ServiceLogs) -> Done {
    let files = log_files(dir);
    let Some(newest) = files.last().cloned() else {
        return Err(Failure::new(Exit::Failed, format!("there is no log in {}", dir.display()))
            .hint(
                "where a service manager keeps it, ask there; a daemon on a terminal writes to it",
            ));
    };
    let mut out = io::stdout().lock();
    let interrupt = if verb.follow { Some(Interrupt::watch()?) } else { None };
    let mut reader = open(&newest)?;
    for line in last_lines(&files, &mut reader, verb.lines as usize)? {
        show(&mut out, &line)?;
    }
    let Some(interrupt) = interrupt else { return Ok(out.flush()?) };
    follow(dir, newest, reader, &mut out, &interrupt)
}

/// The daemon's files, oldest first: the day is part of their name.
fn log_files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("valetkey.") && name.ends_with(".log")
    };
    let mut files: Vec<PathBuf> = entries.filter(ours).collect();
    files.sort();
    files
}

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read {}: {error}", path.display()))
    })?;
    Ok(BufReader::with_capacity(CHUNK_BYTES, file))
}

/// The last `most` lines of all files; `newest` is read to its end.
fn last_lines(
    files: &[PathBuf],
    newest: &mut BufReader<File>,
    most: usize,
) -> Result<VecDeque<Vec<u8>>, Failure> {
    let mut lines = tail(newest, most)?;
    for path in files.iter().rev().skip(1) {
        if lines.len() >= most {
            break;
        }
        let mut earlier = tail(&mut open(path)?, most - lines.len())?;
        earlier.append(&mut lines);
        lines = earlier;
    }
    Ok(lines)
}

/// The last `most` lines of one file.
fn tail(reader: &mut BufReader<File>, most: usize) -> io::Result<VecDeque<Vec<u8>>> {
    let mut lines = VecDeque::new();
    while let Some(line) = next_line(reader)? {
        lines.push_back(line);
        if lines.len() > most {
            lines.pop_front();
        }
    }
    Ok(lines)
}

/// The next piece that ends a line or is as long as one may be; nothing at the end.
fn next_line(reader: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok((!line.is_empty()).then_some(line))
}

/// Writes a line, and nothing in it that could drive a terminal.
fn show(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    let harmless = |byte: u8| byte == b'\n' || byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    let line: Vec<u8> = line.iter().map(|&byte| if harmless(byte) { byte } else { b' ' }).collect();
    out.write_all(&line)
}

/// Shows what comes, in this file and in that of the next day.
fn follow(
    dir: &Path,
    mut path: PathBuf,
    mut reader: BufReader<File>,
    out: &mut impl Write,
    interrupt: &Interrupt,
) -> Done {
    loop {
        let newest = log_files(dir).pop();
        while let Some(line) = next_line(&mut reader)? {
            show(out, &line)?;
        }
        out.flush()?;
        if interrupt.is_asked() {
            return Err(Failure::silent(Exit::Interrupted));
        }
        match newest.filter(|newest| *newest != path) {
            // What stood in the old one when this one was seen has been read above.
            Some(newest) => {
                reader = open(&newest)?;
                path = newest;
            }
            None => std::thread::sleep(LOOK_EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_reach_back_over_midnight() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("valetkey.2030-01-01.log", "a\nb\n"),
            ("valetkey.2030-01-02.log", "c\nd\n"),
            ("other.2030-01-03.log", "x\n"),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let files = log_files(dir.path());
        let last = |most| {
            let mut newest = open(files.last().unwrap()).unwrap();
            last_lines(&files, &mut newest, most)
                .unwrap()
                .into_iter()
                .flatten()
                .collect::<Vec<u8>>()
        };
        assert_eq!(last(3), b"b\nc\nd\n");
        assert_eq!(last(1), b"d\n");
        assert_eq!(last(99), b"a\nb\nc\nd\n");
        assert_eq!(last(0), b"");
    }

    #[test]
    fn a_log_cannot_drive_a_terminal() {
        let mut shown = Vec::new();
        show(&mut shown, "a\u{1b}[2J\u{7}é\tb\n".as_bytes()).unwrap();
        assert_eq!(shown, "a [2J é\tb\n".as_bytes());
    }
}

//! The files of the trail: appended to, and put aside when they have grown.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::Entry;
use crate::platform::files;

/// The size at which a file is put aside: some twenty thousand entries.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Files kept, the one being written included.
const KEPT_FILES: usize = 5;

/// The folder of the trail and the file that is written now.
#[derive(Debug)]
pub(super) struct Files {
    dir: PathBuf,
    /// Absent before the first line, and after a failure until the next attempt.
    newest: Option<(File, u64)>,
}

impl Files {
    /// Nothing is opened before the first line is written.
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), newest: None }
    }

    /// Appends whole lines.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let outcome = self.try_append(lines);
        if outcome.is_err() {
            self.newest = None;
        }
        outcome
    }

    fn try_append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.newest()?.1 >= MAX_FILE_BYTES {
            self.newest = None;
            put_aside(&self.dir)?;
        }
        let (file, size) = self.newest()?;
        file.write_all(lines)?;
        *size += lines.len() as u64;
        Ok(())
    }

    fn newest(&mut self) -> io::Result<&mut (File, u64)> {
        if self.newest.is_none() {
            files::create_dir(&self.dir)?;
            let path = path(&self.dir, 0);
            let mut file = files::append(&path)?;
            let mut size = file.metadata()?.len();
            if size > 0 && !ends_whole(&path)? {
                // A process was killed in the middle of a line, or the disk was full: ours begins anew.
                file.write_all(b"\n")?;
                size += 1;
            }
            return Ok(self.newest.insert((file, size)));
        }
        Ok(self.newest.as_mut().expect("it was just found to be there"))
    }
}

fn ends_whole(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// The file with so many newer ones beside it.
fn path(dir: &Path, age: usize) -> PathBuf {
    if age == 0 { dir.join("audit.jsonl") } else { dir.join(format!("audit.{age}.jsonl")) }
}

/// Renames each file to the next age; the oldest is overwritten.
fn put_aside(dir: &Path) -> io::Result<()> {
    for age in (1..KEPT_FILES).rev() {
        match fs::rename(path(dir, age - 1), path(dir, age)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// The newest entries across all files, the newest last. Lines that are no entry (cut off by a kill,
/// or of a later version) are passed over.
pub(super) fn newest(dir: &Path, limit: usize) -> io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for age in 0..KEPT_FILES {
        let left = limit - found.len();
        if left == 0 {
            break;
        }
        let file = match File::open(path(dir, age)) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e),
        };
        let lines = BufReader::new(file).split(b'\n').collect::<io::Result<Vec<_>>>()?;
        let entries = lines.iter().rev().filter_map(|line| serde_json::from_slice(line).ok());
        found.extend(entries.take(left));
    }
    found.reverse();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64) -> Vec<u8> {
        format!(
            "{{\"at\":{number},\"client\":{{}},\"method\":\"token\",\"outcome\":\"{}\"}}\n",
            "x".repeat(100_000)
        )
        .into_bytes()
    }

    #[test]
    fn the_trail_is_bounded_and_read_across_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path());
        for number in 0..300 {
            files.append(&line(number)).unwrap();
        }
        let sizes: Vec<u64> = fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), KEPT_FILES);
        assert!(sizes.iter().all(|size| *size < MAX_FILE_BYTES + 200_000), "{sizes:?}");
        let seen: Vec<u64> =
            newest(dir.path(), 100).unwrap().iter().map(|entry| entry.at.0).collect();
        assert_eq!(seen, (200..300).collect::<Vec<_>>());
    }

    #[test]
    fn a_line_cut_off_by_a_kill_costs_itself_only() {
        let dir = tempfile::tempdir().unwrap();
        Files::new(dir.path()).append(&line(1)).unwrap();
        let cut = fs::read(path(dir.path(), 0)).unwrap();
        fs::write(path(dir.path(), 0), [&cut[..], &cut[..50]].concat()).unwrap();
        Files::new(dir.path()).append(&line(2)).unwrap();
        let seen: Vec<u64> =
            newest(dir.path(), 10).unwrap().iter().map(|entry| entry.at.0).collect();
        assert_eq!(seen, [1, 2]);
    }
}

//! What setup remembers of each file that it changed: the file as it was, and what was put in.
//!
//! One record and one backup an agent, in the state folder and for their owner alone, since a
//! configuration can hold anybody's keys. Both are gone once all is undone.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::platform::files;
use crate::platform::paths::Paths;

use super::super::failure::{Exit, Failure};
use super::agent::Replaced;
use super::hunks::Hunk;

/// The form of a record; another is not read.
const VERSION: u32 = 1;

/// The largest configuration that is looked at. They have some kilobytes.
pub(super) const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// The largest record: a file may stand in it twice, escaped.
const RECORD_BYTES_MAX: u64 = 4 * FILE_BYTES_MAX;

/// The longest name of a key.
const KEY_NAME_BYTES_MAX: u64 = 64;

/// Under which name the change of our own configuration is remembered.
pub(super) const DOOR: &str = "http.listen";

/// What was done to one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    /// The file, as the agent calls it.
    pub(super) file: PathBuf,
    /// The digest of what stood there; nothing where there was no file.
    pub(super) before: Option<String>,
    /// The digest of what was written.
    pub(super) after: String,
    /// Folders that had to be made for it, the outermost first.
    pub(super) folders: Vec<PathBuf>,
    pub(super) hunks: Vec<Hunk>,
    pub(super) replaced: Replaced,
}

impl Record {
    pub(super) fn new(file: &Path, before: Option<&[u8]>, after: &[u8]) -> Self {
        Self {
            version: VERSION,
            file: file.to_owned(),
            before: before.map(digest),
            after: digest(after),
            folders: Vec::new(),
            hunks: Vec::new(),
            replaced: Replaced::new(),
        }
    }
}

/// The records.
pub(super) struct Shelf(PathBuf);

impl Shelf {
    pub(super) fn of(paths: &Paths) -> Self {
        Self(paths.state_dir.join("setup"))
    }

    /// The record of this name.
    pub(super) fn record(&self, name: &str) -> Result<Option<Record>, Failure> {
        let path = self.path(name, "json");
        let Some(bytes) = read(&path, RECORD_BYTES_MAX)? else { return Ok(None) };
        let record = serde_json::from_slice::<Record>(&bytes).ok();
        let record = record.filter(|record| record.version == VERSION).ok_or_else(|| {
            let backup = self.path(name, "backup");
            Failure::new(Exit::Failed, format!("{} cannot be understood", path.display())).hint(
                format!(
                    "put {} in the place of the file it was taken of, or remove both",
                    backup.display()
                ),
            )
        })?;
        Ok(Some(record))
    }

    /// The file as it was, if it can be vouched for.
    pub(super) fn backup(&self, name: &str, record: &Record) -> Result<Option<Vec<u8>>, Failure> {
        let bytes = read(&self.path(name, "backup"), FILE_BYTES_MAX + 1)?;
        Ok(bytes.filter(|bytes| record.before.as_deref() == Some(&digest(bytes))))
    }

    /// Keeps a record and the file as it was. After a crash there is the old pair or the new one: each
    /// record says by its digest which backup is its own.
    pub(super) fn keep(
        &self,
        name: &str,
        record: &Record,
        before: Option<&[u8]>,
    ) -> Result<(), Failure> {
        let keep = || {
            files::private_dir(&self.0).map_err(io::Error::other)?;
            match before {
                Some(bytes) => files::replace(&self.path(name, "backup"), bytes)?,
                None => files::remove(&self.path(name, "backup"))?,
            }
            files::replace(&self.path(name, "json"), &serde_json::to_vec(record)?)
        };
        keep().map_err(|error| {
            let folder = self.0.display();
            Failure::new(
                Exit::Failed,
                format!("nothing was changed, as no backup can be kept in {folder}: {error}"),
            )
        })
    }

    /// Forgets a record and its backup. The last one takes the folder with it.
    pub(super) fn forget(&self, name: &str) -> Result<(), Failure> {
        for ending in ["json", "backup"] {
            let path = self.path(name, ending);
            files::remove(&path).map_err(|error| {
                Failure::new(Exit::Failed, format!("{} cannot be removed: {error}", path.display()))
            })?;
        }
        // Others may stand there.
        let _ = std::fs::remove_dir(&self.0);
        Ok(())
    }

    /// The name of the key that was made for an agent.
    pub(super) fn key_name(&self, agent: &str) -> Option<String> {
        let bytes =
            files::read(&self.path(agent, "key-name"), KEY_NAME_BYTES_MAX).ok().flatten()?;
        String::from_utf8(bytes).ok()
    }

    /// Remembers it, or that there is none any more.
    pub(super) fn set_key_name(&self, agent: &str, name: Option<&str>) -> io::Result<()> {
        let path = self.path(agent, "key-name");
        let Some(name) = name else {
            files::remove(&path)?;
            let _ = std::fs::remove_dir(&self.0);
            return Ok(());
        };
        files::private_dir(&self.0).map_err(io::Error::other)?;
        files::replace(&path, name.as_bytes())
    }

    fn path(&self, name: &str, ending: &str) -> PathBuf {
        self.0.join(format!("{name}.{ending}"))
    }
}

/// By what a file's content is known again: SHA-256, in hexadecimal digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, Failure> {
    files::read(path, most).map_err(|error| {
        Failure::new(Exit::Failed, format!("{} cannot be used: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_is_kept_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path().join("setup"));
        assert!(shelf.record("codex").unwrap().is_none());
        let record = Record::new(Path::new("/x"), Some(b"before"), b"after");
        shelf.keep("codex", &record, Some(b"before")).unwrap();
        shelf.keep(DOOR, &Record::new(Path::new("/y"), None, b"after"), None).unwrap();
        assert_eq!(shelf.record("codex").unwrap(), Some(record.clone()));
        assert_eq!(shelf.backup("codex", &record).unwrap().as_deref(), Some(&b"before"[..]));
        // A crash between the two writes of a later change.
        std::fs::write(shelf.path("codex", "backup"), "of another time").unwrap();
        assert_eq!(shelf.backup("codex", &record).unwrap(), None);
        shelf.forget("codex").unwrap();
        shelf.forget("codex").expect("twice is no error");
        shelf.forget(DOOR).unwrap();
        assert!(!folder.path().join("setup").exists());
    }

    #[test]
    fn a_record_that_cannot_be_understood_is_an_error_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf(folder.path().to_owned());
        std::fs::write(shelf.path("codex", "json"), "{").unwrap();
        assert_eq!(shelf.record("codex").unwrap_err().code(), 1);
        assert!(shelf.path("codex", "json").exists());
    }
}

//! The steps on one login's files, each of which leaves either the old or the new state behind.
//!
//! The room for an answer is made before the issuer is asked: once it has answered, the old refresh
//! token is dead, and a full disk must not be what loses the new one.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::format::{self, MAX_BYTES, Record, Unreadable};
use super::{Store, StoreError};
use crate::clock::Timestamp;
use crate::platform::files::{self, Untrusted};

/// The least room made for an answer, in bytes: JWTs of a business account reach several kilobytes each.
const ROOM_BYTES: usize = 16 * 1024;

/// That a refresh was begun. Found at start it means: the refresh token may be used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// The epoch of the login being refreshed.
    pub epoch: u64,
    /// The generation being refreshed.
    pub generation: u64,
    /// How many attempts on this generation had an unknown outcome before this one.
    pub attempt: u32,
    /// When.
    pub begun_at: Timestamp,
}

/// Room for an answer, reserved on the disk.
#[derive(Debug)]
pub struct Room {
    file: File,
    bytes: usize,
}

/// What stands in a spare file.
#[derive(Debug)]
pub(super) enum Spare {
    Mark(Mark),
    Answer(Box<Record>),
}

/// The places of one login's files.
#[derive(Clone, Debug)]
pub struct Slot {
    dir: PathBuf,
    rescue_dir: PathBuf,
    name: String,
    // Holds the lock for as long as anybody can write.
    _store: Store,
}

impl Slot {
    pub(super) fn new(store: &Store, name: &str) -> Self {
        Self {
            dir: store.credentials.clone(),
            rescue_dir: store.rescue.clone(),
            name: name.to_owned(),
            _store: store.clone(),
        }
    }

    /// The credential file.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    /// Whether anything stands here that may be a login.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        let places = [self.path(), self.spare_path(), self.rescue_path()];
        places.iter().any(|path| std::fs::symlink_metadata(path).is_ok())
    }

    pub(super) fn spare_path(&self) -> PathBuf {
        self.dir.join(format!("{}.spare", self.name))
    }

    pub(super) fn rescue_path(&self) -> PathBuf {
        self.rescue_dir.join(format!("{}.json", self.name))
    }

    /// Reserves room for the answer and marks the refresh as begun, both flushed to the disk.
    ///
    /// # Errors
    /// Where the disk is full or takes no writes. Nothing has happened then.
    pub fn make_room(&self, mark: &Mark, current: &Record) -> Result<Room, StoreError> {
        let path = self.spare_path();
        let mut content = format::encode(mark);
        let bytes = ROOM_BYTES.max(2 * format::encode(current).len());
        content.resize(bytes.max(content.len()), b' ');
        let made = files::create(&path).and_then(|mut file| {
            file.write_all(&content)?;
            file.sync_all()?;
            files::sync_dir(&self.dir)?;
            Ok(Room { file, bytes: content.len() })
        });
        made.map_err(|source| {
            // Half a spare would read as "begun, outcome unknown" at the next start.
            let _ = std::fs::remove_file(&path);
            StoreError::new("make room in", &path, source)
        })
    }

    /// Takes the mark away: the refresh token was not used.
    ///
    /// # Errors
    /// Where the removal does not reach the disk.
    pub fn clear_mark(&self) -> Result<(), StoreError> {
        let path = self.spare_path();
        files::remove(&path)
            .and_then(|()| files::sync_dir(&self.dir))
            .map_err(|source| StoreError::new("clear", &path, source))
    }

    /// Keeps a record: in the room made for it, or else in a new file. When this returns, a power cut
    /// no longer loses it. Copies of it elsewhere are removed.
    ///
    /// # Errors
    /// Where no new file could be completed; the old one then stands untouched.
    pub fn keep(&self, record: &Record, room: Option<Room>) -> Result<(), StoreError> {
        let path = self.path();
        let bytes = format::encode(record);
        let in_room =
            room.filter(|room| bytes.len() <= room.bytes).map(|room| self.keep_in(room, &bytes));
        match in_room {
            Some(Ok(())) => {}
            _ => self.keep_anew(&bytes).map_err(|source| StoreError::new("save", &path, source))?,
        }
        // What is left over is older than what was just kept; the next start would only remove it too.
        let _ = files::remove(&self.spare_path());
        let _ = files::remove(&self.rescue_path());
        Ok(())
    }

    fn keep_in(&self, mut room: Room, bytes: &[u8]) -> io::Result<()> {
        room.file.rewind()?;
        room.file.write_all(bytes)?;
        room.file.set_len(bytes.len() as u64)?;
        room.file.sync_all()?;
        // Windows moves nothing over another while it is open.
        drop(room);
        files::move_over(&self.spare_path(), &self.path())?;
        files::sync_dir(&self.dir)
    }

    fn keep_anew(&self, bytes: &[u8]) -> io::Result<()> {
        files::replace(&self.path(), bytes)
    }

    /// Keeps a second copy in the state directory, for when the first place takes no writes.
    ///
    /// # Errors
    /// Where this place takes none either.
    pub fn rescue(&self, record: &Record) -> Result<(), StoreError> {
        let path = self.rescue_path();
        files::replace(&path, &format::encode(record))
            .map_err(|source| StoreError::new("save a second copy in", &path, source))
    }

    /// Keeps an answer that could not be believed where nothing will lend it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn quarantine(&self, record: &Record, now: Timestamp) -> Result<PathBuf, StoreError> {
        let path = self.aside("quarantined", now);
        files::replace(&path, &format::encode(record))
            .map_err(|source| StoreError::new("quarantine", &path, source))?;
        Ok(path)
    }

    /// Takes away a record that came to nothing, and its mark. What was kept aside stays.
    ///
    /// # Errors
    /// Where the removal does not reach the disk.
    pub fn discard(&self) -> Result<(), StoreError> {
        let path = self.path();
        files::remove(&path)
            .and_then(|()| files::remove(&self.spare_path()))
            .and_then(|()| files::sync_dir(&self.dir))
            .map_err(|source| StoreError::new("remove", &path, source))
    }

    /// Removes every file of this login, copies and all that was kept aside included.
    ///
    /// # Errors
    /// The first that could not be removed; the others were tried all the same.
    pub fn remove_all(&self) -> Result<(), StoreError> {
        let mut paths = vec![self.path(), self.spare_path(), self.rescue_path()];
        paths.extend(self.asides());
        let mut result = Ok(());
        for path in paths {
            if let Err(source) = files::remove(&path) {
                result = result.and(Err(StoreError::new("remove", &path, source)));
            }
        }
        for dir in [&self.dir, &self.rescue_dir] {
            if let Err(source) = files::sync_dir(dir) {
                result = result.and(Err(StoreError::new("flush", dir, source)));
            }
        }
        result
    }

    /// What was kept aside and still stands there.
    #[must_use]
    pub fn asides(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return Vec::new() };
        let prefix = format!("{}.json.", self.name);
        let ours = |entry: &std::fs::DirEntry| {
            let file = entry.file_name();
            let rest = file.to_str().and_then(|file| file.strip_prefix(&prefix));
            rest.and_then(|rest| rest.split_once('-')).is_some_and(|(kind, when)| {
                matches!(kind, "damaged" | "newer" | "quarantined" | "torn" | "refused")
                    && when.ends_with('Z')
            })
        };
        let mut paths: Vec<_> = entries.flatten().filter(ours).map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }

    /// Moves a file that could not be read to a name that tells what and when.
    pub(super) fn set_aside(
        &self,
        path: &Path,
        kind: &str,
        now: Timestamp,
    ) -> Result<PathBuf, StoreError> {
        let aside = self.aside(kind, now);
        std::fs::rename(path, &aside)
            .and_then(|()| files::sync_dir(&self.dir))
            .map_err(|source| StoreError::new("keep aside", path, source))?;
        Ok(aside)
    }

    fn aside(&self, kind: &str, now: Timestamp) -> PathBuf {
        self.dir.join(format!("{}.json.{kind}-{}", self.name, now.compact()))
    }

    pub(super) fn read_spare(&self) -> Result<Option<Result<Spare, Unreadable>>, Untrusted> {
        let Some(bytes) = read(&self.spare_path())? else { return Ok(None) };
        let spare = format::decode::<Mark>(&bytes)
            .map(Spare::Mark)
            .or_else(|_| format::decode(&bytes).map(|record| Spare::Answer(Box::new(record))));
        Ok(Some(spare))
    }
}

/// The content of a file that must be ours; nothing where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Untrusted> {
    files::read(path, MAX_BYTES)
}

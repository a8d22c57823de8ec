//! What to believe at a start: of several copies, after whatever ended the last run.
//!
//! The answer of a refresh may stand in the credential, in the spare (the power failed before the
//! rename) or in the state directory (the disk was full). The newest of the same epoch is the login;
//! a mark without an answer means that nobody knows whether the refresh token still works.

use super::file::{Slot, Spare, read};
use super::format::{self, Record, Unreadable};
use super::{StoreError, ledger::Entry};
use crate::clock::Timestamp;
use crate::platform::files::{self, Untrusted};

/// A login as found at a start.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest copy that can be trusted.
    pub record: Option<Record>,
    /// Set where a refresh of just this record was begun and its outcome is not known.
    pub interrupted: Option<Interrupted>,
    /// What had to be kept aside, as sentences for a person.
    pub notices: Vec<String>,
}

/// A refresh without a known outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// How many attempts ended so, this one included.
    pub attempts: u32,
}

impl Slot {
    /// Reads what stands on the disk, keeps aside what cannot be read, completes a save that was cut
    /// off, and forgets what belongs to an epoch that `ledger` says is over.
    ///
    /// # Errors
    /// Where the system does not let us read: then nothing is known, and nothing may be overwritten.
    pub fn load(&self, ledger: Entry, now: Timestamp) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        let main = self.read_login(&mut loaded, now)?;
        let spare = self.read_spare_file(&mut loaded, now)?;
        let rescued = self.read_rescue();

        let current = |record: &Record| record.epoch >= ledger.epoch;
        if let Some(stale) =
            [main.as_ref(), rescued.as_ref()].into_iter().flatten().find(|r| !current(r))
        {
            tracing::info!(epoch = stale.epoch, "finishing a logout that was cut off");
        }
        let (answer, mark) = match spare {
            Some(Spare::Answer(answer)) => (Some(*answer), None),
            Some(Spare::Mark(mark)) => (None, Some(mark)),
            None => (None, None),
        };
        let main = main.filter(current);
        let before = main.as_ref().map(|record| (record.epoch, record.generation));
        let newest = [main, answer, rescued]
            .into_iter()
            .flatten()
            .filter(current)
            .max_by_key(|record| (record.epoch, record.generation));
        let Some(newest) = newest else {
            self.forget_if_over(ledger, &loaded);
            return Ok(loaded);
        };
        if before != Some((newest.epoch, newest.generation)) {
            tracing::info!(generation = newest.generation, "completing a save that was cut off");
            if let Err(error) = self.keep(&newest, None) {
                loaded.notices.push(error.to_string());
            }
        }
        let torn = loaded.interrupted.take();
        loaded.interrupted = match mark {
            Some(mark) if (mark.epoch, mark.generation) == (newest.epoch, newest.generation) => {
                Some(Interrupted { attempts: mark.attempt.saturating_add(1) })
            }
            // A mark of another generation: that refresh has ended, its answer is what we hold.
            Some(_) => {
                self.clear_mark()?;
                None
            }
            // A torn answer to the record that is still the newest; another copy of the answer settles it.
            None => torn.filter(|_| before == Some((newest.epoch, newest.generation))),
        };
        loaded.record = Some(newest);
        Ok(loaded)
    }

    /// The record on the disk just now, where it is newer than (`epoch`, `generation`).
    ///
    /// # Errors
    /// Where it cannot be read; it is left as it is.
    pub fn newer_than(&self, epoch: u64, generation: u64) -> Result<Option<Record>, StoreError> {
        let path = self.path();
        let bytes = read(&path).map_err(|source| StoreError::new("read", &path, source))?;
        let record = bytes.and_then(|bytes| format::decode::<Record>(&bytes).ok());
        Ok(record.filter(|record| record.epoch == epoch && record.generation > generation))
    }

    fn read_login(
        &self,
        loaded: &mut Loaded,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let path = self.path();
        let (kind, why) = match read(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => match format::decode(&bytes) {
                Ok(record) => return Ok(Some(record)),
                Err(why @ Unreadable::Newer(_)) => ("newer", why.to_string()),
                Err(why @ Unreadable::Damaged(_)) => ("damaged", why.to_string()),
            },
            Err(why @ (Untrusted::NotPlain | Untrusted::Foreign(_))) => {
                ("refused", why.to_string())
            }
            Err(source) => return Err(StoreError::new("read", &path, source)),
        };
        let aside = self.set_aside(&path, kind, now)?;
        let notice = format!(
            "{} could not be used: {why}; it was kept as {}",
            path.display(),
            aside.display()
        );
        tracing::warn!("{notice}");
        loaded.notices.push(notice);
        Ok(None)
    }

    fn read_spare_file(
        &self,
        loaded: &mut Loaded,
        now: Timestamp,
    ) -> Result<Option<Spare>, StoreError> {
        let path = self.spare_path();
        match self.read_spare() {
            Ok(None) => Ok(None),
            Ok(Some(Ok(spare))) => Ok(Some(spare)),
            Ok(Some(Err(_))) | Err(Untrusted::NotPlain | Untrusted::Foreign(_)) => {
                // Cut off between the mark and the answer: the issuer may have answered.
                self.set_aside(&path, "torn", now)?;
                loaded.interrupted = Some(Interrupted { attempts: 1 });
                Ok(None)
            }
            Err(source) => Err(StoreError::new("read", &path, source)),
        }
    }

    fn read_rescue(&self) -> Option<Record> {
        let path = self.rescue_path();
        match read(&path) {
            Ok(bytes) => {
                let record = bytes.map(|bytes| format::decode::<Record>(&bytes));
                if let Some(Err(why)) = &record {
                    tracing::warn!(file = %path.display(), %why, "the second copy cannot be used; it is left where it is");
                }
                record.and_then(Result::ok)
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the second copy cannot be read");
                None
            }
        }
    }

    /// A logout bumps the ledger before it removes files; where it was cut off in between, it is
    /// finished here. Without a ledger entry, or with something just kept aside, nothing is removed.
    fn forget_if_over(&self, ledger: Entry, loaded: &Loaded) {
        if ledger.epoch > 0 && loaded.notices.is_empty() && loaded.interrupted.is_none() {
            for path in [self.path(), self.spare_path(), self.rescue_path()] {
                if let Err(error) = files::remove(&path) {
                    tracing::warn!(file = %path.display(), %error, "could not finish a logout");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::format::tests::record;
    use crate::store::{Mark, Store};

    const NOW: Timestamp = Timestamp(1_795_311_553_123);

    struct Scratch {
        _dir: tempfile::TempDir,
        slot: Slot,
    }

    fn scratch() -> Scratch {
        let dir = tempfile::tempdir().expect("a folder");
        let store =
            Store::open(&dir.path().join("data"), &dir.path().join("state")).expect("opens");
        Scratch { slot: store.slot("openai", "default"), _dir: dir }
    }

    fn mark(generation: u64, attempt: u32) -> Mark {
        Mark { epoch: 1, generation, attempt, begun_at: NOW }
    }

    fn load(slot: &Slot) -> Loaded {
        slot.load(Entry { epoch: 1, generation: 0 }, NOW).expect("loads")
    }

    #[test]
    fn what_was_kept_is_found_and_leaves_nothing_beside_it() {
        let s = scratch();
        let old = record(1, 1);
        s.slot.keep(&old, None).expect("keeps");
        let room = s.slot.make_room(&mark(1, 0), &old).expect("makes room");
        s.slot.keep(&record(1, 2), Some(room)).expect("keeps");
        let loaded = load(&s.slot);
        assert_eq!(loaded.record.expect("a login").generation, 2);
        assert_eq!(loaded.interrupted, None);
        assert!(!s.slot.spare_path().exists());
    }

    #[test]
    fn a_crash_after_asking_is_an_unknown_outcome_until_the_mark_is_cleared() {
        let s = scratch();
        s.slot.keep(&record(1, 1), None).expect("keeps");
        s.slot.make_room(&mark(1, 2), &record(1, 1)).expect("makes room");
        assert_eq!(load(&s.slot).interrupted, Some(Interrupted { attempts: 3 }));
        s.slot.clear_mark().expect("clears");
        assert_eq!(load(&s.slot).interrupted, None);
    }

    #[test]
    fn an_answer_cut_off_before_its_rename_is_adopted() {
        let s = scratch();
        s.slot.keep(&record(1, 1), None).expect("keeps");
        std::fs::write(s.slot.spare_path(), format::encode(&record(1, 2))).expect("writes");
        assert_eq!(load(&s.slot).record.expect("a login").generation, 2);
        assert_eq!(load(&s.slot).record.expect("still there").generation, 2);
        assert!(!s.slot.spare_path().exists());
    }

    #[test]
    fn a_torn_answer_is_kept_aside_and_counts_as_unknown() {
        let s = scratch();
        s.slot.keep(&record(1, 1), None).expect("keeps");
        let answer = format::encode(&record(1, 2));
        std::fs::write(s.slot.spare_path(), &answer[..answer.len() / 2]).expect("writes");
        let loaded = load(&s.slot);
        assert_eq!(loaded.record.expect("the old login").generation, 1);
        assert_eq!(loaded.interrupted, Some(Interrupted { attempts: 1 }));
        assert_eq!(s.slot.asides().len(), 1);
    }

    #[test]
    fn a_second_copy_is_adopted_only_in_its_own_epoch() {
        let s = scratch();
        s.slot.keep(&record(2, 5), None).expect("keeps");
        s.slot.rescue(&record(1, 9)).expect("rescues");
        assert_eq!(load(&s.slot).record.expect("a login").generation, 5);
        s.slot.rescue(&record(2, 6)).expect("rescues");
        assert_eq!(load(&s.slot).record.expect("a login").generation, 6);
        assert!(!s.slot.rescue_path().exists());
    }

    #[test]
    fn a_logout_cut_off_is_finished() {
        let s = scratch();
        s.slot.keep(&record(1, 5), None).expect("keeps");
        let loaded = s.slot.load(Entry { epoch: 2, generation: 5 }, NOW).expect("loads");
        assert!(loaded.record.is_none());
        assert!(!s.slot.path().exists());
    }

    #[test]
    fn damaged_and_newer_files_are_kept_aside_whole() {
        for (content, kind) in
            [(&b"{not json"[..], "damaged"), (br#"{"version":9}"#, "newer"), (b"", "damaged")]
        {
            let s = scratch();
            std::fs::write(s.slot.path(), content).expect("writes");
            let loaded = load(&s.slot);
            assert!(loaded.record.is_none() && loaded.notices.len() == 1);
            let asides = s.slot.asides();
            let name = asides[0].file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
            assert!(name.starts_with(&format!("openai.json.{kind}-20")), "{name}");
            assert_eq!(std::fs::read(&asides[0]).expect("reads"), content);
        }
    }

    #[test]
    fn a_link_is_refused_and_its_target_untouched() {
        let s = scratch();
        let target = s.slot.path().with_file_name("elsewhere");
        std::fs::write(&target, format::encode(&record(1, 1))).expect("writes");
        std::fs::hard_link(&target, s.slot.path()).expect("links");
        let loaded = load(&s.slot);
        assert!(loaded.record.is_none());
        assert!(loaded.notices[0].contains("plain file"), "{:?}", loaded.notices);
        assert!(target.exists());
    }

    #[test]
    fn logout_leaves_nothing() {
        let s = scratch();
        s.slot.keep(&record(1, 1), None).expect("keeps");
        s.slot.quarantine(&record(1, 2), NOW).expect("quarantines");
        s.slot.rescue(&record(1, 3)).expect("rescues");
        s.slot.make_room(&mark(1, 0), &record(1, 1)).expect("makes room");
        s.slot.remove_all().expect("removes");
        let left =
            std::fs::read_dir(s.slot.path().parent().expect("a folder")).expect("reads").count();
        assert_eq!(left, 0);
        assert!(!s.slot.rescue_path().exists());
    }
}

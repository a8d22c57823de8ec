//! The audit trail: who asked for what, and what became of it. Holds no secret.
//!
//! A person who wonders which program used the login finds it here. Keeping the trail must never
//! delay or fail the call it tells of: entries go through a bounded queue to one task that writes
//! what has gathered, and a disk that is full costs entries, which are counted, not tokens.

mod files;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::{Clock, Timestamp};
use files::Files;

/// Entries waiting to be written. A disk that stalls for longer than this many take to gather costs entries.
const QUEUE_ENTRIES: usize = 4096;

/// Entries written at once.
const BATCH_ENTRIES: usize = 512;

/// How long entries gather before they are written, so that a client that connects for each call costs
/// a thread's wake-up ten times a second and not each time. A killed daemon loses what gathered.
const GATHER: Duration = Duration::from_millis(100);

/// Entries that one look at the trail gives at most.
const MAX_TAIL: usize = 10_000;

/// One line of the trail. Names a token by its generation only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub client: ClientId,
    /// For what.
    pub method: String,
    /// Of which vendor.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Of which account.
    #[serde(default)]
    pub account: Option<String>,
    /// `ok`, or the error's kind.
    pub outcome: String,
    /// Which token was lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// How many like it in a row on one connection; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The process at the other end, as the kernel names it, or the key that it showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientId {
    /// Process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// User id.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The program's path.
    #[serde(default)]
    pub exe: Option<String>,
    /// The name of the key or lease, where one was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A handle on the trail, cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    queue: mpsc::Sender<Job>,
    /// There is no time to gather more.
    hurry: Arc<Notify>,
    lost: Arc<AtomicU64>,
    dir: Arc<Path>,
}

#[derive(Debug)]
enum Job {
    Write(Box<Entry>),
    /// Answered when all that was queued before is written.
    Flush(oneshot::Sender<()>),
}

impl Audit {
    /// Starts the task that writes the trail in `dir`, making what is missing when there is something to
    /// write. The task ends with the last handle.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(dir: &Path, clock: Clock) -> Self {
        let files = Files::new(dir);
        let (queue, jobs) = mpsc::channel(QUEUE_ENTRIES);
        let (lost, hurry) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        tokio::spawn(write(jobs, hurry.clone(), files, lost.clone(), clock));
        Self { queue, hurry, lost, dir: dir.into() }
    }

    /// Adds an entry. Never waits and never fails: where the queue is full the entry is lost, and the
    /// trail says how many were.
    pub fn record(&self, entry: Entry) {
        if self.queue.try_send(Job::Write(Box::new(entry))).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if self.queue.capacity() == QUEUE_ENTRIES / 2 {
            self.hurry.notify_one();
        }
    }

    /// Waits until everything recorded so far is with the operating system (or is lost).
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Job::Flush(done)).await.is_ok() {
            self.hurry.notify_one();
            // An error means that the writing task is gone, and everything with it.
            let _ = written.await;
        }
    }

    /// The newest entries, at most `limit`, the newest last.
    ///
    /// # Errors
    /// Where the files cannot be read.
    pub async fn tail(&self, limit: usize) -> io::Result<Vec<Entry>> {
        self.flush().await;
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || files::newest(&dir, limit.min(MAX_TAIL)))
            .await
            .map_err(io::Error::other)?
    }
}

/// Writes what gathers in the queue, in batches, until all handles are gone.
async fn write(
    mut jobs: mpsc::Receiver<Job>,
    hurry: Arc<Notify>,
    mut files: Files,
    lost: Arc<AtomicU64>,
    clock: Clock,
) {
    let mut failing = false;
    while let Some(first) = jobs.recv().await {
        if jobs.len() < BATCH_ENTRIES {
            // A hurry that is over by now costs a small batch.
            let _ = tokio::time::timeout(GATHER, hurry.notified()).await;
        }
        let (mut entries, waiting) = gathered(first, &mut jobs);
        let (missing, count) = (lost.swap(0, Ordering::Relaxed), entries.len() as u64);
        if missing > 0 {
            tracing::warn!(entries = missing, "audit entries were lost");
            entries.insert(0, gap(clock.now(), missing));
        }
        if !entries.is_empty() {
            let writing = tokio::task::spawn_blocking(move || {
                let outcome = files.append(&lines(&entries));
                (files, outcome)
            });
            // The runtime is shutting down: nothing more can be written.
            let Ok((returned, outcome)) = writing.await else {
                return;
            };
            files = returned;
            if let Err(e) = &outcome {
                lost.fetch_add(missing + count, Ordering::Relaxed);
                if !failing {
                    tracing::warn!(error = %e, "the audit trail cannot be written");
                }
            }
            failing = outcome.is_err();
        }
        for done in waiting {
            // Whoever waited may have stopped waiting.
            let _ = done.send(());
        }
    }
}

/// A batch from the front of the queue: entries, and those who wait until they are written.
fn gathered(first: Job, jobs: &mut mpsc::Receiver<Job>) -> (Vec<Entry>, Vec<oneshot::Sender<()>>) {
    let (mut entries, mut waiting) = (Vec::new(), Vec::new());
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Write(entry) => entries.push(*entry),
            Job::Flush(done) => waiting.push(done),
        }
        next = if entries.len() < BATCH_ENTRIES { jobs.try_recv().ok() } else { None };
    }
    (entries, waiting)
}

fn lines(entries: &[Entry]) -> Vec<u8> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, entry)
            .expect("an entry is strings and numbers, and a Vec takes them all");
        lines.push(b'\n');
    }
    lines
}

/// What stands in the trail in place of entries that were lost.
fn gap(at: Timestamp, count: u64) -> Entry {
    Entry {
        at,
        client: ClientId { pid: Some(std::process::id()), ..ClientId::default() },
        method: "audit".to_owned(),
        vendor: None,
        account: None,
        outcome: "lost".to_owned(),
        generation: None,
        count: Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64) -> Entry {
        Entry {
            at: Timestamp(number),
            client: ClientId { pid: Some(7), uid: Some(8), exe: Some("/bin/x".into()), name: None },
            method: "token".into(),
            vendor: Some("openai".into()),
            account: Some("default".into()),
            outcome: "ok".into(),
            generation: Some(number),
            count: None,
        }
    }

    #[tokio::test]
    async fn the_newest_entries_come_last_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::start(dir.path(), Clock::System);
        (0..1000).for_each(|number| audit.record(entry(number)));
        assert_eq!(audit.tail(2).await.unwrap(), [entry(998), entry(999)]);
        drop(audit);
        let audit = Audit::start(dir.path(), Clock::System);
        audit.record(entry(1000));
        assert_eq!(audit.tail(5000).await.unwrap(), (0..=1000).map(entry).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_full_queue_loses_entries_and_the_trail_says_how_many() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::start(dir.path(), Clock::System);
        // The writing task cannot run before we wait for something.
        let queue = u64::try_from(QUEUE_ENTRIES).unwrap();
        (0..queue + 5).for_each(|number| audit.record(entry(number)));
        let all = audit.tail(MAX_TAIL).await.unwrap();
        let lost = all
            .iter()
            .filter(|entry| entry.outcome == "lost")
            .map(|entry| entry.count)
            .collect::<Vec<_>>();
        assert_eq!(lost, [Some(5)]);
        assert_eq!(all.len(), QUEUE_ENTRIES + 1);
    }

    #[tokio::test]
    async fn a_disk_that_fails_loses_entries_but_no_call() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("audit");
        std::fs::write(&kept, "in the way").unwrap();
        let failing = Audit::start(&kept, Clock::System);
        failing.record(entry(1));
        failing.record(entry(2));
        failing.flush().await;
        assert_eq!(failing.lost.load(Ordering::Relaxed), 2);
        std::fs::remove_file(&kept).unwrap();
        failing.record(entry(3));
        let all = failing.tail(10).await.unwrap();
        assert_eq!((all[0].outcome.as_str(), all[0].count), ("lost", Some(2)));
        assert_eq!(all[1..], [entry(3)]);
    }
}

//! What the daemon counts: cheap enough for every call, read when somebody asks.
//!
//! The counters stand apart from those who show them, so that whoever counts needs to know nothing of
//! formats. Lending takes no lock for it: one relaxed addition.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kinds of errors told apart. There are some twenty; what comes beyond is counted as `other`, so that a
/// kind made of somebody's input can never fill the memory.
const MOST_KINDS: usize = 64;

/// How a completion is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// `POST /v1/responses`.
    HttpResponses,
    /// `POST /v1/chat/completions`.
    HttpChat,
    /// `responses.create`.
    RpcResponses,
    /// `chat.completions.create`.
    RpcChat,
}

impl Via {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::HttpResponses, Self::HttpChat, Self::RpcResponses, Self::RpcChat];

    /// The method that it is, or would be in the line dialect.
    #[must_use]
    pub fn method(self) -> &'static str {
        match self {
            Self::HttpResponses | Self::RpcResponses => "responses.create",
            Self::HttpChat | Self::RpcChat => "chat.completions.create",
        }
    }

    /// The dialect and the API, as labels.
    #[must_use]
    pub fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::HttpResponses => ("http", "responses"),
            Self::HttpChat => ("http", "chat"),
            Self::RpcResponses => ("rpc", "responses"),
            Self::RpcChat => ("rpc", "chat"),
        }
    }
}

/// What a refresh came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new token.
    Granted,
    /// Another process had refreshed already.
    Newer,
    /// It failed without using the refresh token up.
    Harmless,
    /// Nobody knows whether the refresh token was used up.
    Unknown,
    /// The issuer refused for good.
    Refused,
    /// There was no room to keep the answer, so nothing was asked.
    NoRoom,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Granted, Self::Newer, Self::Harmless, Self::Unknown, Self::Refused, Self::NoRoom];

    /// As a label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Newer => "newer",
            Self::Harmless => "harmless",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::NoRoom => "no_room",
        }
    }
}

/// The counters. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    lends: AtomicU64,
    refreshes: [AtomicU64; Outcome::ALL.len()],
    streams: [AtomicU64; Via::ALL.len()],
    streams_open: AtomicU64,
    bytes: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
}

/// All counters at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Tokens lent.
    pub lends: u64,
    /// Refreshes, by what came of them, in the order of [`Outcome::ALL`].
    pub refreshes: [u64; Outcome::ALL.len()],
    /// Completions begun, in the order of [`Via::ALL`].
    pub streams: [u64; Via::ALL.len()],
    /// Completions under way.
    pub streams_open: u64,
    /// Bytes carried to clients.
    pub bytes: u64,
    /// Failed calls and completions, by kind.
    pub errors: BTreeMap<String, u64>,
}

impl Meter {
    /// A token was lent.
    pub fn lent(&self) {
        add(&self.0.lends, 1);
    }

    /// A refresh ended.
    pub fn refreshed(&self, outcome: Outcome) {
        add(&self.0.refreshes[outcome as usize], 1);
    }

    /// A completion begins. It stays open until what is given back is dropped.
    #[must_use]
    pub fn stream_opened(&self, via: Via) -> OpenStream {
        add(&self.0.streams[via as usize], 1);
        add(&self.0.streams_open, 1);
        OpenStream(self.clone())
    }

    /// So many bytes of a completion went to a client.
    pub fn bytes(&self, count: u64) {
        add(&self.0.bytes, count);
    }

    /// A call or a completion failed, in one word.
    pub fn error(&self, kind: &str) {
        let mut errors = locked(&self.0.errors);
        if let Some(count) = errors.get_mut(kind) {
            *count += 1;
        } else {
            let kind = if errors.len() < MOST_KINDS { kind } else { "other" };
            *errors.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// Every counter as it stands.
    #[must_use]
    pub fn read(&self) -> Reading {
        let counts = &self.0;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Reading {
            lends: value(&counts.lends),
            refreshes: counts.refreshes.each_ref().map(value),
            streams: counts.streams.each_ref().map(value),
            streams_open: value(&counts.streams_open),
            bytes: value(&counts.bytes),
            errors: locked(&counts.errors).clone(),
        }
    }
}

/// A completion under way, for as long as this lives.
#[derive(Debug)]
pub struct OpenStream(Meter);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.0.streams_open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_counted_under_its_own_name() {
        let meter = Meter::default();
        meter.lent();
        for outcome in Outcome::ALL {
            (0..=outcome as usize).for_each(|_| meter.refreshed(outcome));
        }
        let open: Vec<_> = Via::ALL.into_iter().map(|via| meter.stream_opened(via)).collect();
        meter.bytes(7);
        meter.error("usage_limit");
        meter.error("usage_limit");
        let read = meter.read();
        assert_eq!((read.lends, read.bytes, read.streams_open), (1, 7, 4));
        assert_eq!((read.refreshes, read.streams), ([1, 2, 3, 4, 5, 6], [1; 4]));
        assert_eq!(read.errors, [("usage_limit".to_owned(), 2)].into());
        drop(open);
        assert_eq!((meter.read().streams_open, meter.read().streams), (0, [1; 4]));
    }

    #[test]
    fn names_from_outside_cannot_fill_the_memory() {
        let meter = Meter::default();
        for number in 0..1000 {
            meter.error(&format!("kind {number}"));
        }
        let read = meter.read();
        assert_eq!(read.errors["other"], 1000 - MOST_KINDS as u64);
        assert_eq!(read.errors.len(), MOST_KINDS + 1);
    }
}

//! A stream on its way through: untouched but for one event, and what is learned of it. Pure.
//!
//! What the API sends goes on at once and byte for byte, line ends and comments included: a client sees
//! what it would have seen without anybody between. The one exception is the last event, whose object the
//! Codex backend leaves without its output (see [`super::rebuild`]). So all that is ever held back is the
//! beginning of an event that does not yet say what it is, and that last event until it is whole. Deltas,
//! which are nearly all there is, are told by their first line and never read.

mod reading;
mod seen;

use bytes::BytesMut;

use self::reading::{Reading, late, splice};
use super::rebuild::Items;
use super::sse::{Boundary, TooLong, fields};

pub(super) use self::seen::Kind;
pub use self::seen::{End, Failed, Seen, Tokens};

/// The longest event that is held back or kept to be read: pictures travel in events of a few megabytes.
const HELD_BYTES: usize = 16 << 20;

/// What is kept of a buffer after the large event that needed it.
const KEPT_BYTES: usize = 16 * 1024;

/// Carries one stream.
#[derive(Debug, Default)]
pub struct Passing {
    boundary: Boundary,
    under_way: UnderWay,
    /// Bytes of the event under way: held back, or copied to be read when it is whole.
    held: Vec<u8>,
    /// The first line of the last whole piece of the answer: the next one's is likely the same.
    usual: Vec<u8>,
    items: Items,
    seen: Seen,
}

/// The event that is neither quite here nor quite gone.
#[derive(Debug)]
enum UnderWay {
    /// It has not said what it is: all of it is held back. Between two events, none of it is here.
    Unknown(Reading),
    /// It goes on as it comes.
    Through,
    /// It goes on as it comes, and a copy is kept to be read.
    Copied(Kind),
    /// It is held back until it is whole.
    HeldBack(Kind),
    /// As above, but longer than what may be held: it goes on as it comes.
    Overlong(Kind),
}

impl Default for UnderWay {
    fn default() -> Self {
        Self::Unknown(Reading::default())
    }
}

impl Passing {
    /// Carries a stream from its first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what has arrived, appends to `out` what may go on now.
    ///
    /// # Errors
    /// [`TooLong`] where an event of 16 MiB has not said what it is. A longer one that has, goes on
    /// untouched.
    pub fn feed(&mut self, arrived: &[u8], out: &mut BytesMut) -> Result<(), TooLong> {
        let (mut at, mut gone) = (0, 0);
        while at < arrived.len() {
            if self.between_events() {
                at += self.boundary.between(&arrived[at..]);
                if at == arrived.len() {
                    break;
                }
            }
            let end = self.boundary.end(&arrived[at..]);
            let next = end.map_or(arrived.len(), |length| at + length);
            let piece = &arrived[at..next];
            let usual = self.seen.content && !self.usual.is_empty() && self.between_events();
            if !(usual && end.is_some() && piece.starts_with(&self.usual)) {
                let before = &arrived[gone..at];
                let mut onward = Onward { out, before, taken: false };
                self.take(piece, end.is_some(), &mut onward)?;
                if onward.taken {
                    gone = next;
                }
            }
            at = next;
        }
        out.extend_from_slice(&arrived[gone..]);
        Ok(())
    }

    /// Upstream has ended: appends what was held back, which never became whole.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if let UnderWay::Unknown(_) | UnderWay::HeldBack(_) = self.under_way {
            out.extend_from_slice(&self.held);
        }
        self.held = Vec::new();
        self.under_way = UnderWay::default();
    }

    /// What is known of the stream so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    fn between_events(&self) -> bool {
        matches!(self.under_way, UnderWay::Unknown(_)) && self.held.is_empty()
    }

    /// Takes the next piece of the event under way, `last` where it ends there. A piece that is not taken
    /// out of `onward` goes on as it is.
    fn take(&mut self, piece: &[u8], last: bool, onward: &mut Onward<'_>) -> Result<(), TooLong> {
        match self.under_way {
            UnderWay::Unknown(_) => return self.unknown(piece, last, onward),
            UnderWay::Through => {}
            UnderWay::Copied(kind) => {
                self.held.extend_from_slice(piece);
                if self.held.len() > HELD_BYTES {
                    self.not_kept(kind);
                    self.under_way = UnderWay::Through;
                } else if last {
                    let event = std::mem::take(&mut self.held);
                    self.read(kind, &event);
                    self.held = event;
                }
            }
            UnderWay::HeldBack(kind) => {
                self.held.extend_from_slice(piece);
                self.held_back(kind, last, onward);
                return Ok(());
            }
            UnderWay::Overlong(kind) => {
                if last {
                    self.seen.whole(kind, "");
                }
            }
        }
        if last {
            self.forget();
        }
        Ok(())
    }

    /// An event of which it was not yet known what it is.
    fn unknown(
        &mut self,
        piece: &[u8],
        last: bool,
        onward: &mut Onward<'_>,
    ) -> Result<(), TooLong> {
        let held = !self.held.is_empty();
        if held {
            self.held.extend_from_slice(piece);
        }
        let event = if held { &self.held } else { piece };
        let UnderWay::Unknown(reading) = &mut self.under_way else { return Ok(()) };
        let mut kind = reading.kind(event);
        if kind.is_none() && event.len() > HELD_BYTES {
            return Err(TooLong { longest: HELD_BYTES });
        }
        if kind.is_none() && last {
            kind = late(event);
            if kind.is_none() {
                // A comment, a blank line: no event at all.
                if held {
                    onward.instead(&self.held);
                }
                self.forget();
                return Ok(());
            }
        }
        let Some(kind) = kind else {
            if !held {
                self.held.extend_from_slice(piece);
            }
            onward.instead(&[]);
            return Ok(());
        };
        self.seen.begun(kind);
        if let Kind::Final { .. } = kind {
            if !held {
                self.held.extend_from_slice(piece);
            }
            self.under_way = UnderWay::HeldBack(kind);
            self.held_back(kind, last, onward);
            return Ok(());
        }
        if held {
            onward.instead(&self.held);
        }
        self.known(kind, piece, held, last);
        Ok(())
    }

    /// An event that goes on, now that it is known to be of this kind.
    fn known(&mut self, kind: Kind, piece: &[u8], held: bool, last: bool) {
        if !kind.is_read() {
            if last && !held && kind == Kind::Content && self.seen.content {
                self.usual.clear();
                self.usual.extend_from_slice(reading::first_line(piece));
            }
            self.under_way = UnderWay::Through;
        } else if !last {
            if !held {
                self.held.extend_from_slice(piece);
            }
            self.under_way = UnderWay::Copied(kind);
            return;
        } else if held {
            let event = std::mem::take(&mut self.held);
            self.read(kind, &event);
        } else {
            self.read(kind, piece);
        }
        self.held.clear();
        if last {
            self.forget();
        }
    }

    /// The last event, of which all that is here is held.
    fn held_back(&mut self, kind: Kind, last: bool, onward: &mut Onward<'_>) {
        if self.held.len() > HELD_BYTES {
            onward.instead(&self.held);
            self.held.clear();
            self.under_way = UnderWay::Overlong(kind);
            if last {
                self.seen.whole(kind, "");
                self.forget();
            }
        } else if last {
            let event = std::mem::take(&mut self.held);
            onward.instead(&[]);
            self.last_event(kind, &event, onward.out);
            self.forget();
        } else {
            onward.instead(&[]);
        }
    }

    fn last_event(&mut self, kind: Kind, event: &[u8], out: &mut BytesMut) {
        let Some(data) = fields(event).data else {
            out.extend_from_slice(event);
            return;
        };
        self.seen.whole(kind, &data);
        if !splice(event, &data, &self.items, out) {
            out.extend_from_slice(event);
        }
    }

    /// Reads an event that is whole and went on.
    fn read(&mut self, kind: Kind, event: &[u8]) {
        if event.len() > HELD_BYTES {
            return self.not_kept(kind);
        }
        let Some(data) = fields(event).data else { return };
        match kind {
            Kind::Item => self.items.item(&data),
            Kind::Text => self.items.text(&data),
            _ => self.seen.whole(kind, &data),
        }
    }

    /// An event went on that was too long to be read.
    fn not_kept(&mut self, kind: Kind) {
        self.held = Vec::new();
        match kind {
            Kind::Item | Kind::Text => self.items.spoil(),
            _ => self.seen.whole(kind, ""),
        }
    }

    /// The event is over.
    fn forget(&mut self) {
        self.held.clear();
        self.held.shrink_to(KEPT_BYTES);
        self.under_way = UnderWay::default();
    }
}

/// Where bytes go on to.
struct Onward<'a> {
    out: &'a mut BytesMut,
    /// What arrived before this piece and has yet to go on.
    before: &'a [u8],
    taken: bool,
}

impl Onward<'_> {
    /// Lets these bytes go on in place of the piece.
    fn instead(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(std::mem::take(&mut self.before));
        self.out.extend_from_slice(bytes);
        self.taken = true;
    }
}

#[cfg(test)]
mod tests;

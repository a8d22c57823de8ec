//! Server-sent events from arbitrary chunks. Pure.
//!
//! A stream arrives in pieces that end anywhere: within a line, within a character, between the two
//! bytes of a line's end. This is the one place that knows where an event ends and what its fields are,
//! by WHATWG HTML section 9.2 ("Server-sent events"): lines end in LF, CRLF or CR, a blank line ends an
//! event, comments begin with a colon. Every byte is looked at once, however small the pieces.

use std::borrow::Cow;
use std::str;

/// What is kept of a buffer after the large event that needed it: an ordinary event fits.
const KEPT_BYTES: usize = 16 * 1024;

/// The mark of byte order that a stream may begin with, and which means nothing.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// An event longer than the bound. Nothing after it can be trusted to begin where it seems to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {longest} bytes")]
pub struct TooLong {
    /// The bound, in bytes.
    pub longest: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What its `event` field says; empty where there is none.
    pub name: &'a str,
    /// Its `data` lines, joined by LF.
    pub data: Cow<'a, str>,
}

/// Finds events in bytes that arrive as they please.
#[derive(Debug)]
pub struct Decoder {
    boundary: Boundary,
    /// The beginning of an event not yet complete.
    held: Vec<u8>,
    longest: usize,
    /// Whether the first event, which alone may follow a byte order mark, has been seen.
    begun: bool,
}

impl Decoder {
    /// A decoder of events of at most `longest` bytes, line ends included.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { boundary: Boundary::default(), held: Vec::new(), longest, begun: false }
    }

    /// Calls `each` for every event that `bytes` completes. Nothing is copied of an event that lies whole
    /// in `bytes` and has one line of data.
    ///
    /// # Errors
    /// [`TooLong`] for an event longer than the bound, after those before it; the stream cannot be read on.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event<'_>)) -> Result<(), TooLong> {
        let mut rest = bytes;
        loop {
            if self.held.is_empty() {
                rest = &rest[self.boundary.between(rest)..];
            }
            let end = self.boundary.end(rest);
            let (piece, later) = rest.split_at(end.unwrap_or(rest.len()));
            if self.held.len() + piece.len() > self.longest {
                return Err(TooLong { longest: self.longest });
            }
            if end.is_none() {
                self.held.extend_from_slice(piece);
                return Ok(());
            }
            if self.held.is_empty() {
                emit(piece, &mut self.begun, each);
            } else {
                self.held.extend_from_slice(piece);
                emit(&self.held, &mut self.begun, each);
                self.held.clear();
                self.held.shrink_to(KEPT_BYTES);
            }
            rest = later;
        }
    }
}

fn emit(event: &[u8], begun: &mut bool, each: &mut dyn FnMut(Event<'_>)) {
    let first = !std::mem::replace(begun, true);
    let event = if first { event.strip_prefix(BOM).unwrap_or(event) } else { event };
    let Fields { name, data } = fields(event);
    if let Some(data) = data {
        each(Event { name: &name, data });
    }
}

/// Where events end. It remembers where in a line the bytes so far have ended, so that none is looked at
/// twice.
#[derive(Debug, Default)]
pub(super) struct Boundary {
    /// The line under way has bytes already: its end ends no event.
    within_line: bool,
    /// The last byte was a CR, of which an LF right after is a part.
    after_return: bool,
}

impl Boundary {
    /// How many of `bytes`, which begin between two events, still belong to the end of the former: one,
    /// where the CR came before and the LF of the pair comes now.
    pub(super) fn between(&mut self, bytes: &[u8]) -> usize {
        if !self.after_return || bytes.is_empty() {
            return 0;
        }
        self.after_return = false;
        usize::from(bytes[0] == b'\n')
    }

    /// How many of `bytes` belong to the event under way, where they hold its end: all of the blank line
    /// that ends it, but for the LF of a CRLF (see [`Self::between`]), so that its length does not depend
    /// on how it arrived.
    pub(super) fn end(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if std::mem::take(&mut self.after_return) && bytes[at] == b'\n' {
                at += 1;
                continue;
            }
            if !self.within_line && matches!(bytes[at], b'\n' | b'\r') {
                self.after_return = bytes[at] == b'\r';
                return Some(at + 1);
            }
            let Some(length) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) else {
                self.within_line = true;
                return None;
            };
            at += length + 1;
            self.within_line = false;
            self.after_return = bytes[at - 1] == b'\r';
        }
        None
    }
}

/// The lines of `bytes`, ends left off. A CRLF gives a blank line more, which nobody minds.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let Some(length) = memchr::memchr2(b'\n', b'\r', bytes) else {
            rest = None;
            return (!bytes.is_empty()).then_some(bytes);
        };
        rest = Some(&bytes[length + 1..]);
        Some(&bytes[..length])
    })
}

/// The value of a line that sets `field`, without the one space that may stand before it.
pub(super) fn value<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// What the fields of one event come to.
pub(super) struct Fields<'a> {
    /// The last `event` field; empty where there is none.
    pub(super) name: Cow<'a, str>,
    /// The `data` fields joined by LF; `None` where there are none, and hence no event.
    pub(super) data: Option<Cow<'a, str>>,
}

/// Reads the bytes of one event. Invalid UTF-8 is replaced, as section 9.2.4 asks.
pub(super) fn fields(event: &[u8]) -> Fields<'_> {
    let mut name: &[u8] = &[];
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in lines(event) {
        if let Some(value) = value(line, b"data") {
            match &mut data {
                None => data = Some(Cow::Borrowed(value)),
                Some(before) => {
                    let before = before.to_mut();
                    before.push(b'\n');
                    before.extend_from_slice(value);
                }
            }
        } else if let Some(value) = value(line, b"event") {
            name = value;
        }
    }
    let data = data.map(|data| match data {
        Cow::Borrowed(data) => String::from_utf8_lossy(data),
        Cow::Owned(data) => Cow::Owned(
            String::from_utf8(data)
                .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()),
        ),
    });
    Fields { name: String::from_utf8_lossy(name), data }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = Vec<(String, String)>;

    /// Every event of `stream` when it arrives cut at `cuts`.
    fn found(stream: &[u8], cuts: &[usize], longest: usize) -> (Found, Result<(), TooLong>) {
        let mut decoder = Decoder::new(longest);
        let mut events = Vec::new();
        let mut rest = stream;
        for cut in cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let mut keep =
                |event: Event<'_>| events.push((event.name.to_owned(), event.data.into_owned()));
            if let Err(too_long) = decoder.feed(now, &mut keep) {
                return (events, Err(too_long));
            }
        }
        (events, Ok(()))
    }

    #[track_caller]
    fn holds(stream: &[u8], expected: &[(&str, &str)]) {
        let (events, outcome) = found(stream, &[], 1 << 20);
        let events: Vec<_> = events.iter().map(|(n, d)| (n.as_str(), d.as_str())).collect();
        assert_eq!((events.as_slice(), outcome), (expected, Ok(())));
    }

    #[test]
    fn a_blank_line_ends_an_event_whatever_ends_a_line() {
        holds(b"event: a\ndata: 1\n\ndata: 2\n\n", &[("a", "1"), ("", "2")]);
        holds(b"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", &[("a", "1"), ("", "2")]);
        holds(b"event: a\rdata: 1\r\rdata: 2\r\r", &[("a", "1"), ("", "2")]);
        holds(b"data: 1\r\n\rdata: 2\n\r\ndata: 3\r\n\n", &[("", "1"), ("", "2"), ("", "3")]);
    }

    #[test]
    fn fields_are_read_as_the_standard_says() {
        holds(
            b"data:1\n\ndata:  2\n\ndata\n\ndata:\n\n",
            &[("", "1"), ("", " 2"), ("", ""), ("", "")],
        );
        holds(b"data: a\ndata\ndata:b\n\n", &[("", "a\n\nb")]);
        holds(b"event: a\nevent: b\ndata: 1\n\ndata: 2\n\n", &[("b", "1"), ("", "2")]);
        holds(
            b": hello\n\n:\n\ndata: 1\n: between\nid: 7\nretry: 3\nodd\ndatax: 2\n\n",
            &[("", "1")],
        );
        holds(b"event: lonely\n\n\n\n\n", &[]);
        holds(b"data: never ended\n", &[]);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_only() {
        holds(b"\xEF\xBB\xBFdata: 1\n\n\xEF\xBB\xBFdata: 2\n\n", &[("", "1")]);
        holds(b"\xEF\xBB\xBF\ndata: 1\n\n", &[("", "1")]);
    }

    #[test]
    fn invalid_characters_are_replaced_and_split_ones_are_not() {
        holds(b"data: a\xFFb\ndata: \xC3\n\n", &[("", "a\u{FFFD}b\n\u{FFFD}")]);
        let stream = "data: 𝄞é\n\n".as_bytes();
        for cut in 0..stream.len() {
            assert_eq!(found(stream, &[cut], 100).0, [(String::new(), "𝄞é".to_owned())]);
        }
    }

    #[test]
    fn nothing_is_copied_of_an_event_that_came_whole() {
        let stream = b"event: a\ndata: {}\n\n";
        let mut events = 0;
        Decoder::new(100)
            .feed(stream, &mut |event| {
                assert!(matches!(event.data, Cow::Borrowed("{}")));
                events += 1;
            })
            .unwrap();
        assert_eq!(events, 1);
    }

    #[test]
    fn the_longest_event_is_taken_and_one_byte_more_is_not() {
        let fits = found(b"data: 1\n\ndata: 2\n\n", &[], 9);
        assert_eq!(fits, (vec![(String::new(), "1".into()), (String::new(), "2".into())], Ok(())));
        let too_long = Err(TooLong { longest: 8 });
        assert_eq!(
            found(b"data:1\n\ndata: 2\n\n", &[], 8),
            (vec![(String::new(), "1".into())], too_long)
        );
        assert_eq!(found(b"data: never ended", &[], 8), (vec![], too_long));
    }

    #[test]
    fn an_event_that_comes_byte_by_byte_costs_no_more_than_its_length() {
        // Were each byte to look at all before it, this would take minutes.
        let mut decoder = Decoder::new(4 << 20);
        let mut events = 0;
        let stream = [b"data: ".as_slice(), &[b'x'; 2 << 20], b"\n\n"].concat();
        for byte in stream.chunks(1) {
            decoder.feed(byte, &mut |event| events += event.data.len()).unwrap();
        }
        assert_eq!(events, 2 << 20);
        assert!(decoder.held.capacity() <= KEPT_BYTES);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_stream_arrives(
            stream in "(\u{FEFF}|[é:]|data|event|: ?|[ab ]|\r|\n|\r\n|\n\n){0,40}",
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
            longest in 1_usize..40,
        ) {
            let whole = found(stream.as_bytes(), &[], longest);
            prop_assert_eq!(&found(stream.as_bytes(), &cuts, longest), &whole);
            let bytes = vec![1; stream.len()];
            prop_assert_eq!(&found(stream.as_bytes(), &bytes, longest), &whole);
        }

        #[test]
        fn no_bytes_are_too_odd(stream in proptest::collection::vec(any::<u8>(), 0..200), cut: usize) {
            prop_assert_eq!(found(&stream, &[cut], 100), found(&stream, &[], 100));
        }
    }
}

//! One message a line: finds lines in bytes that arrive as they please. Pure.
//!
//! This is why `socat` and a shell script are enough to speak to the daemon. The buffer here is all
//! that a connection holds of what its client sent, so its bounds are the connection's bounds: a
//! line has a longest length, a byte is searched once, and the memory of one large message is given
//! back after it.

/// What a quiet connection keeps: an ordinary request fits, and a thousand silent ones cost a megabyte.
const SMALL_BYTES: usize = 1024;

/// The largest buffer kept after the message that needed it, and what a client that pipelines is
/// read in at once.
const KEPT_BYTES: usize = 16 * 1024;

/// What [`Lines::next`] finds.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line, without its end and never blank.
    Line(&'a [u8]),
    /// None until more is read.
    More,
    /// A line longer than the bound. Nothing after it can be trusted to begin where it seems to.
    TooLong,
}

/// The bytes of one connection that are not yet consumed.
#[derive(Debug)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Where the first line not yet given out begins.
    start: usize,
    /// How far line ends were looked for already.
    scanned: usize,
    longest: usize,
    skipping: bool,
}

impl Lines {
    /// An empty buffer for lines of at most `longest` bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, longest, skipping: false }
    }

    /// The buffer, with room to read into. Only ever append to it.
    pub fn space(&mut self) -> &mut Vec<u8> {
        // The last read may have left something behind for want of room: there is much to come.
        let filled = self.bytes.len() == self.bytes.capacity();
        if self.start > 0 {
            // What is moved is a line's beginning, which then stands at the front: moved once only.
            self.bytes.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        let held = self.bytes.len();
        if self.bytes.capacity() > KEPT_BYTES && held <= SMALL_BYTES {
            self.bytes.shrink_to(SMALL_BYTES);
        }
        let capacity = self.bytes.capacity();
        let room =
            if filled { (2 * capacity).clamp(SMALL_BYTES, KEPT_BYTES) } else { SMALL_BYTES / 2 };
        if capacity - held < room {
            // Doubling keeps copying linear; the bound keeps doubling from overshooting it.
            let left = self.longest.saturating_sub(held).max(SMALL_BYTES);
            self.bytes.reserve_exact(held.max(room).max(SMALL_BYTES).min(left));
        }
        &mut self.bytes
    }

    /// The next line, blank ones passed over.
    #[allow(
        clippy::should_implement_trait,
        reason = "a line borrows from the buffer, as an iterator's item cannot"
    )]
    pub fn next(&mut self) -> Next<'_> {
        loop {
            let Some(length) = memchr::memchr(b'\n', &self.bytes[self.scanned..]) else {
                self.scanned = self.bytes.len();
                if self.skipping {
                    self.start = self.scanned;
                }
                return if self.pending() > self.longest { Next::TooLong } else { Next::More };
            };
            let (start, end) = (self.start, self.scanned + length);
            if std::mem::take(&mut self.skipping) {
                (self.start, self.scanned) = (end + 1, end + 1);
                continue;
            }
            if end - start > self.longest {
                return Next::TooLong;
            }
            (self.start, self.scanned) = (end + 1, end + 1);
            if !self.bytes[start..end].trim_ascii().is_empty() {
                return Next::Line(without_return(&self.bytes[start..end]));
            }
        }
    }

    /// What is left when the input has ended: a last line without an end counts as one.
    /// To be called once [`Self::next`] finds no more.
    pub fn last(&mut self) -> Option<&[u8]> {
        let start = std::mem::replace(&mut self.start, self.bytes.len());
        self.scanned = self.start;
        let line = &self.bytes[start..];
        (!self.skipping && !line.trim_ascii().is_empty()).then(|| without_return(line))
    }

    /// How many bytes of a line not yet complete are held.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// The bytes not yet consumed: what decides the dialect, and what another one goes on from.
    #[must_use]
    pub fn held(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Throws away the line that is not yet complete, to its end, however far that is.
    pub fn skip(&mut self) {
        self.start = self.bytes.len();
        self.scanned = self.start;
        self.skipping = true;
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything found in `input` when it arrives cut at `cuts`.
    fn found(input: &[u8], cuts: &[usize], longest: usize) -> (Vec<Vec<u8>>, bool) {
        let mut lines = Lines::new(longest);
        let mut seen = Vec::new();
        let mut rest = input;
        for cut in cuts.iter().map(|cut| cut % (input.len() + 1)).chain([usize::MAX]) {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            lines.space().extend_from_slice(now);
            loop {
                match lines.next() {
                    Next::Line(line) => seen.push(line.to_vec()),
                    Next::More => break,
                    Next::TooLong => return (seen, true),
                }
            }
        }
        seen.extend(lines.last().map(<[u8]>::to_vec));
        (seen, false)
    }

    #[test]
    fn ends_are_newline_with_or_without_return_and_the_last_may_lack_one() {
        let (lines, _) = found(b"a\r\n\n  \r\nb\n\tc \nd", &[], 100);
        assert_eq!(lines, [&b"a"[..], b"b", b"\tc ", b"d"]);
    }

    #[test]
    fn the_longest_line_is_taken_and_one_byte_more_is_not() {
        assert_eq!(found(b"12345\n", &[], 5), (vec![b"12345".to_vec()], false));
        assert_eq!(found(b"a\n123456\nb\n", &[], 5), (vec![b"a".to_vec()], true));
        assert_eq!(found(b"123456", &[], 5), (vec![], true));
    }

    #[test]
    fn a_skipped_line_ends_at_its_newline() {
        let mut lines = Lines::new(100);
        lines.space().extend_from_slice(b"first\nsecond begins");
        assert_eq!(lines.next(), Next::Line(b"first"));
        assert_eq!(lines.next(), Next::More);
        lines.skip();
        assert_eq!(lines.pending(), 0);
        lines.space().extend_from_slice(b" and goes on");
        assert_eq!(lines.next(), Next::More);
        assert_eq!(lines.pending(), 0);
        lines.space().extend_from_slice(b" to here\nthird\n");
        assert_eq!(lines.next(), Next::Line(b"third"));
    }

    #[test]
    fn a_large_message_gives_its_memory_back() {
        let mut lines = Lines::new(8 << 20);
        for _ in 0..1024 {
            let space = lines.space();
            space.extend_from_slice(&[b'x'; 4096]);
            assert_eq!(lines.next(), Next::More);
        }
        assert!(lines.bytes.capacity() <= (8 << 20) + SMALL_BYTES);
        lines.space().push(b'\n');
        assert!(matches!(lines.next(), Next::Line(line) if line.len() == 4 << 20));
        assert!(lines.space().capacity() <= 2 * SMALL_BYTES);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_arrive(
            input in "[ab \\r\\n]{0,60}",
            cuts in proptest::collection::vec(any::<usize>(), 0..20),
            longest in 1_usize..12,
        ) {
            prop_assert_eq!(found(input.as_bytes(), &cuts, longest), found(input.as_bytes(), &[], longest));
        }
    }
}

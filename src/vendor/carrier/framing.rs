//! Where a body ends, and which of the bytes on the wire are its own (RFC 9112 section 6).
//!
//! Chunks are undone where they lie: what arrived in one read is one slice, over whose chunk heads the
//! data is moved down. Nothing is carried over from one slice to the next but a few numbers, so it does
//! not matter where the network cut the bytes.

/// The longest line before a chunk, its size and extensions. Known servers send no extensions.
const MAX_CHUNK_LINE: usize = 4 << 10;
/// The most bytes of trailers, which nobody here reads.
const MAX_TRAILER_BYTES: usize = 16 << 10;
/// Hexadecimal digits of the largest size that can be counted.
const MAX_SIZE_DIGITS: usize = 16;

/// How the body of one answer is delimited, and how far into it we are.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked(Chunks),
    /// Everything until the connection ends, and whether it has.
    UntilClose { over: bool },
}

/// How far into a chunked body we are.
#[derive(Debug)]
pub(super) struct Chunks {
    step: Step,
    /// Bytes still to come of the chunk, or its size as far as it was read.
    left: u64,
    /// Bytes of the chunk line, or of all trailers.
    seen: usize,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug)]
enum Step {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line behind them.
    Trailer,
    TrailerLine,
    TrailerLf,
    LastLf,
    Over,
    Broken(&'static str),
}

/// What became of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// So many bytes at its beginning are data now.
    pub(super) kept: usize,
    /// So many bytes of it belonged to the body. What is behind them is nobody's.
    pub(super) used: usize,
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Open,
    Over,
    Broken(&'static str),
}

impl Framing {
    /// A chunked body, from its beginning.
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunks { step: Step::Size, left: 0, seen: 0 })
    }

    /// Takes the next bytes from the wire and moves those that are data to the beginning.
    pub(super) fn pass(&mut self, raw: &mut [u8]) -> Passed {
        match self {
            Self::Length(left) => {
                let taken = at_most(*left, raw.len());
                *left -= taken as u64;
                Passed { kept: taken, used: taken }
            }
            Self::Chunked(chunks) => chunks.pass(raw),
            Self::UntilClose { .. } => Passed { kept: raw.len(), used: raw.len() },
        }
    }

    /// The connection has ended.
    pub(super) fn close(&mut self) {
        if let Self::UntilClose { over } = self {
            *over = true;
        }
    }

    /// Whether more is to come.
    pub(super) fn stand(&self) -> Stand {
        match self {
            Self::Length(0) | Self::UntilClose { over: true } => Stand::Over,
            Self::Length(_) | Self::UntilClose { over: false } => Stand::Open,
            Self::Chunked(chunks) => match chunks.step {
                Step::Over => Stand::Over,
                Step::Broken(why) => Stand::Broken(why),
                _ => Stand::Open,
            },
        }
    }
}

impl Chunks {
    fn pass(&mut self, raw: &mut [u8]) -> Passed {
        let (mut kept, mut used) = (0, 0);
        while used < raw.len() {
            match self.step {
                Step::Data => {
                    let run = at_most(self.left, raw.len() - used);
                    raw.copy_within(used..used + run, kept);
                    self.left -= run as u64;
                    if self.left == 0 {
                        self.step = Step::DataCr;
                    }
                    (kept, used) = (kept + run, used + run);
                }
                Step::Over | Step::Broken(_) => break,
                _ => {
                    self.step = self.next(raw[used]);
                    used += 1;
                }
            }
        }
        Passed { kept, used }
    }

    /// What comes behind a byte that is not data.
    fn next(&mut self, byte: u8) -> Step {
        match (self.step, byte) {
            (Step::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte),
            // Without a digit there is no size (RFC 9112 section 7.1).
            (Step::Size, b'\r') if self.seen > 0 => Step::SizeLf,
            (Step::Size, b';' | b' ' | b'\t') if self.seen > 0 => Step::Extension,
            (Step::Size, _) => Step::Broken("a chunk has no size"),
            (Step::Extension, b'\r') => Step::SizeLf,
            // A bare line feed is where two parties can come to disagree on the end of a line.
            (Step::Extension, b'\n') => Step::Broken("a chunk line has no carriage return"),
            (Step::Extension, _) => {
                self.seen += 1;
                self.within(MAX_CHUNK_LINE, Step::Extension, "a chunk line is too long")
            }
            (Step::SizeLf, b'\n') if self.left == 0 => {
                self.seen = 0;
                Step::Trailer
            }
            (Step::SizeLf, b'\n') => Step::Data,
            (Step::DataCr, b'\r') => Step::DataLf,
            (Step::DataLf, b'\n') => {
                (self.left, self.seen) = (0, 0);
                Step::Size
            }
            (Step::Trailer, b'\r') => Step::LastLf,
            (Step::TrailerLine, b'\r') => Step::TrailerLf,
            (Step::TrailerLf, b'\n') => Step::Trailer,
            (Step::LastLf, b'\n') => Step::Over,
            (Step::Trailer | Step::TrailerLine, b'\n') => {
                Step::Broken("a trailer has no carriage return")
            }
            (Step::Trailer | Step::TrailerLine, _) => {
                self.seen += 1;
                self.within(MAX_TRAILER_BYTES, Step::TrailerLine, "the trailers are too long")
            }
            _ => Step::Broken("a chunk does not end where its size says"),
        }
    }

    fn digit(&mut self, byte: u8) -> Step {
        let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
        // Too many digits are found before any is pushed out at the top.
        self.left = (self.left << 4) | digit;
        self.seen += 1;
        self.within(MAX_SIZE_DIGITS, Step::Size, "a chunk's size has too many digits")
    }

    fn within(&self, bound: usize, step: Step, otherwise: &'static str) -> Step {
        if self.seen <= bound { step } else { Step::Broken(otherwise) }
    }
}

/// As many as are left, but no more than there are.
fn at_most(left: u64, there: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(there)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Passes the wire's bytes in pieces of these sizes (the last size goes on).
    fn pass(wire: &[u8], sizes: &[usize]) -> (Vec<u8>, usize, Stand) {
        let mut framing = Framing::chunked();
        let (mut data, mut at, mut sizes) = (Vec::new(), 0, sizes.iter());
        let mut size = usize::MAX;
        while at < wire.len() {
            size = sizes.next().copied().unwrap_or(size);
            let mut piece = wire[at..at.saturating_add(size).min(wire.len())].to_vec();
            let passed = framing.pass(&mut piece);
            data.extend_from_slice(&piece[..passed.kept]);
            at += passed.used;
            if passed.used < piece.len() || framing.stand() != Stand::Open {
                break;
            }
        }
        (data, at, framing.stand())
    }

    #[test]
    fn chunks_lose_their_heads_extensions_and_trailers() {
        let wire = b"5\r\nhello\r\n1 ;x=\"y\"\r\n,\r\n00A\r\n wide world\r\n"; // ten bytes, and one too many
        assert_eq!(pass(wire, &[]).2, Stand::Broken("a chunk does not end where its size says"));
        let wire = b"5\r\nhello\r\n1 ;x=\"y\"\r\n,\r\n00B\r\n wide world\r\n0;z\r\nA: b\r\nC: d\r\n\r\nHTTP";
        let (data, used, stand) = pass(wire, &[]);
        assert_eq!((data.as_slice(), stand), (&b"hello, wide world"[..], Stand::Over));
        assert_eq!(used, wire.len() - 4, "what comes behind is not the body's");
    }

    #[test]
    fn data_before_a_fault_is_kept() {
        let (data, _, stand) = pass(b"2\r\nok\r\nz\r\n", &[]);
        assert_eq!((data.as_slice(), stand), (&b"ok"[..], Stand::Broken("a chunk has no size")));
    }

    #[test]
    fn faults_are_named_and_final() {
        let long_line = [b"1;".as_slice(), &[b'x'; MAX_CHUNK_LINE + 1]].concat();
        let long_trailers = [b"0\r\n".as_slice(), &b"a: b\r\n".repeat(MAX_TRAILER_BYTES)].concat();
        let faulty: [&[u8]; 12] = [
            b"\r\n",
            b"-1\r\n",
            b"0x5\r\n",
            b"g\r\n",
            b" 5\r\n",
            b"5\nhello",
            b"5;x\nhello",
            b"5\rhello",
            b"00000000000000005\r\n",
            b"0\r\na: b\n\r\n",
            &long_line,
            &long_trailers,
        ];
        for wire in faulty {
            for sizes in [&[][..], &[1]] {
                let (data, _, stand) = pass(wire, sizes);
                assert!(data.is_empty());
                assert!(matches!(stand, Stand::Broken(_)), "{:?}", wire.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn the_largest_size_is_counted() {
        let (data, used, stand) = pass(b"ffffffffffffffff\r\nabc", &[]);
        assert_eq!((data.as_slice(), used, stand), (&b"abc"[..], 21, Stand::Open));
    }

    #[test]
    fn a_length_ends_where_it_says() {
        let mut framing = Framing::Length(3);
        assert_eq!(framing.pass(&mut [b'x'; 2]), Passed { kept: 2, used: 2 });
        assert_eq!(framing.stand(), Stand::Open);
        framing.close();
        assert_eq!(framing.stand(), Stand::Open, "the connection's end is not the body's");
        assert_eq!(framing.pass(&mut [b'x'; 2]), Passed { kept: 1, used: 1 });
        assert_eq!(framing.stand(), Stand::Over);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_network_cuts(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..20),
            sizes in prop::collection::vec(1_usize..400, 0..40),
            last in 1_usize..50,
        ) {
            let mut wire = Vec::new();
            for chunk in &chunks {
                wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                wire.extend_from_slice(chunk);
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
            let sizes = [sizes, vec![last]].concat();
            let (data, used, stand) = pass(&wire, &sizes);
            prop_assert_eq!(stand, Stand::Over);
            prop_assert_eq!(used, wire.len());
            prop_assert_eq!(data, chunks.concat());
        }

        #[test]
        fn no_bytes_make_it_panic_or_give_more_than_they_are(
            wire in prop::collection::vec(prop::sample::select(b"0159af\r\n;:x ".to_vec()), 0..200),
            size in 1_usize..30,
        ) {
            let (data, used, _) = pass(&wire, &[size]);
            prop_assert!(data.len() <= used && used <= wire.len());
            // The same in one piece.
            prop_assert_eq!(data, pass(&wire, &[]).0);
        }
    }
}

//! Lines are the same however their bytes arrive, and never longer than their bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valetkey::rpc::codec::{Lines, Next};

fn found<'a>(chunks: impl Iterator<Item = &'a [u8]>, longest: usize) -> (Vec<Vec<u8>>, bool) {
    let mut lines = Lines::new(longest);
    let mut seen = Vec::new();
    for chunk in chunks {
        lines.space().extend_from_slice(chunk);
        loop {
            match lines.next() {
                Next::Line(line) => {
                    assert!(line.len() <= longest && !line.contains(&b'\n') && !line.trim_ascii().is_empty());
                    seen.push(line.to_vec());
                }
                Next::More => break,
                Next::TooLong => return (seen, true),
            }
        }
        assert!(lines.pending() <= longest);
    }
    seen.extend(lines.last().map(<[u8]>::to_vec));
    (seen, false)
}

fuzz_target!(|data: &[u8]| {
    let [longest, step, input @ ..] = data else { return };
    let (longest, step) = (usize::from(*longest) + 1, usize::from(*step) + 1);
    assert_eq!(found(input.chunks(step), longest), found(std::iter::once(input), longest));
});

//! What an event is, as soon as it can be known, and how its output is put in.

use bytes::BytesMut;

use super::Kind;
use crate::relay::rebuild::{Items, response};
use crate::relay::sanitise::object::span;
use crate::relay::sse::{fields, lines, value};

/// How far into a line its event's name is looked for. The API's longest is below fifty bytes.
const NAME_BYTES: usize = 256;

/// How far an event has been looked through for what it is. What comes out depends on the event alone and
/// not on how it arrived: each decision, once possible, is the same whatever follows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Where the first line stands that may still decide.
    line: usize,
    /// How far its end was looked for.
    scanned: usize,
    /// Its data does not begin with what it is: only all of it may tell.
    late: bool,
}

impl Reading {
    /// What the event is whose bytes so far are these.
    pub(super) fn kind(&mut self, event: &[u8]) -> Option<Kind> {
        while !self.late {
            let length = memchr::memchr2(b'\n', b'\r', &event[self.scanned..]);
            let end = length.map_or(event.len(), |length| self.scanned + length);
            let mut line = &event[self.line..end];
            if self.line == 0 {
                line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
            }
            let whole = length.is_some();
            if let Some(name) = value(line, b"event") {
                match name.len() {
                    1..=NAME_BYTES if whole => return Some(Kind::of(name)),
                    0..=NAME_BYTES => {}
                    _ => return Some(Kind::Content),
                }
            } else if let Some(data) = value(line, b"data") {
                if let Some(name) = leading_type(data) {
                    return Some(Kind::of(name));
                }
                self.late = whole || data.len() > NAME_BYTES;
            }
            if !whole {
                self.scanned = event.len();
                return None;
            }
            self.line = end + 1;
            self.scanned = self.line;
        }
        None
    }
}

/// The `type` of data that begins with it, as the API's does.
fn leading_type(data: &[u8]) -> Option<&[u8]> {
    let data = &data[..data.len().min(NAME_BYTES)];
    let rest = data.strip_prefix(br#"{"type":"#)?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"\"")?;
    let name = &rest[..memchr::memchr(b'"', rest)?];
    (!name.contains(&b'\\')).then_some(name)
}

/// What a whole event is whose beginning did not tell; `None` where it is none.
pub(super) fn late(event: &[u8]) -> Option<Kind> {
    let fields = fields(event.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(event));
    let data = fields.data?;
    let named = !fields.name.is_empty();
    Some(if named { Kind::of(fields.name.as_bytes()) } else { Kind::of_data(&data) })
}

/// The first line of an event with its end, where it tells by itself what the event is; else nothing.
pub(super) fn first_line(event: &[u8]) -> &[u8] {
    let Some(end) = memchr::memchr2(b'\n', b'\r', event) else { return &[] };
    let named = value(&event[..end], b"event").is_some_and(|name| !name.is_empty());
    if named { &event[..=end] } else { &[] }
}

/// Appends the event with its output put in, leaving all else of it as it is; `false` and nothing where
/// there is nothing to put in.
pub(super) fn splice(event: &[u8], data: &str, items: &Items, out: &mut BytesMut) -> bool {
    let Some(response) = response(data) else { return false };
    let Some((range, mut output)) = items.patch(response) else { return false };
    let within = span(data, response).start;
    let lines = DataLines::of(event);
    if lines.length != data.len() {
        // Something in it was no UTF-8 and was replaced: places in one are not places in the other.
        return false;
    }
    if memchr::memchr(b'\n', output.as_bytes()).is_some() {
        // JSON in several lines of data: a line's end in it is white space, and would end ours.
        output = output.replace('\n', " ");
    }
    let (start, end) = (lines.place(within + range.start), lines.place(within + range.end));
    out.reserve(event.len() + output.len());
    out.extend_from_slice(&event[..start]);
    out.extend_from_slice(output.as_bytes());
    out.extend_from_slice(&event[end..]);
    true
}

/// Where the lines of an event's data stand in the data, and in the event.
struct DataLines {
    starts: Vec<(usize, usize)>,
    length: usize,
}

impl DataLines {
    fn of(event: &[u8]) -> Self {
        let (mut starts, mut joined, mut at) = (Vec::new(), 0, 0);
        for line in lines(event) {
            if let Some(value) = value(line, b"data") {
                starts.push((joined, at + line.len() - value.len()));
                joined += value.len() + 1;
            }
            at += line.len() + 1;
        }
        Self { starts, length: joined.saturating_sub(1) }
    }

    /// Where in the event a place in its data is.
    fn place(&self, in_data: usize) -> usize {
        let line = self.starts.partition_point(|(start, _)| *start <= in_data).saturating_sub(1);
        let (start, place) = self.starts[line];
        place + in_data - start
    }
}

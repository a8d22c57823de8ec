//! A conversation's name, for clients that give theirs none.
//!
//! The backend finds what it has cached of a prompt by `prompt_cache_key`, and without one every turn may be
//! read, and counted, anew. A conversation grows at its end, so how it began tells it from others: its
//! instructions and its first item.

use aws_lc_rs::digest;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// What is looked at of each: prompts that differ do so early, and a picture need not be read for this.
const LOOKED_AT_BYTES: usize = 16 * 1024;

/// The name of the conversation that begins so: a UUID of version 8 (RFC 9562 section 5.8). Only the beginning of
/// `input`, a JSON list, is read.
pub(super) fn name(instructions: Option<&str>, input: &str) -> String {
    let items = input.trim_start().strip_prefix('[').unwrap_or_default();
    let items = &items[..items.floor_char_boundary(LOOKED_AT_BYTES)];
    let first = Deserializer::from_str(items).into_iter::<&RawValue>().next();
    // One that is longer is told by as much of it as is looked at.
    let first = first.and_then(Result::ok).map_or(items, RawValue::get);
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [instructions.unwrap_or_default(), first] {
        let part = &part.as_bytes()[..part.len().min(LOOKED_AT_BYTES)];
        hash.update(&part.len().to_le_bytes());
        hash.update(part);
    }
    let mut uuid = [0_u8; 16];
    uuid.copy_from_slice(&hash.finish().as_ref()[..16]);
    uuid[6] = (uuid[6] & 0x0f) | 0x80;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_conversation_keeps_its_name_as_it_grows() {
        let begun = name(Some("\"I\""), r#"[{"role":"user","content":"a"}]"#);
        let grown = name(Some("\"I\""), r#"[{"role":"user","content":"a"}, {"role":"assistant"}]"#);
        assert_eq!(begun, grown);
        assert_ne!(begun, name(Some("\"I\""), r#"[{"role":"user","content":"b"}]"#));
        assert_ne!(begun, name(Some("\"J\""), r#"[{"role":"user","content":"a"}]"#));
        assert_ne!(begun, name(None, r#"[{"role":"user","content":"a"}]"#));
    }

    #[test]
    fn it_is_a_uuid_whatever_the_input() {
        let long = format!("[\"{}\"]", "\u{e9}".repeat(20_000));
        for input in ["", "[", "[]", "null", "[[[[", "[\"\u{e9}\"]", &long] {
            let name = name(None, input);
            assert_eq!(
                (name.len(), name.matches('-').count(), &name[14..15]),
                (36, 4, "8"),
                "{input}"
            );
        }
    }
}

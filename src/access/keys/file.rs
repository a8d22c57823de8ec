//! The keys' file: what is written down of a key, which is enough to know it by and not to make it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Bound, MOST_KEYS, Scope};
use crate::clock::Timestamp;
use crate::platform::files;

/// The version that is written, and the newest that is read.
const VERSION: u64 = 1;

/// The largest file that is read: all keys there may be come to a tenth of it.
const MAX_BYTES: u64 = 1 << 20;

/// One key, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) name: String,
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub(super) sha256: [u8; 32],
    pub(super) created_at: Timestamp,
    #[serde(default)]
    pub(super) expires_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) last_used_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) scopes: Vec<Scope>,
    #[serde(flatten)]
    pub(super) bound: Bound,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u64,
    keys: Vec<Kept>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// Reads the file; a missing one holds nothing. One that cannot be used is moved aside, so that nothing
/// writes over it. The error says why not even that could be done.
pub(super) fn load(path: &Path, now: Timestamp) -> Result<Vec<Kept>, String> {
    let (kind, why) = match files::read(path, MAX_BYTES) {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(bytes)) => match decode(&bytes) {
            Ok(keys) => return Ok(keys),
            Err(wrong) => wrong,
        },
        Err(error) => ("refused", error.to_string()),
    };
    let aside = path.with_extension(format!("json.{kind}-{}", now.compact()));
    match std::fs::rename(path, &aside) {
        Ok(()) => {
            tracing::error!(file = %path.display(), %why, aside = %aside.display(), "the keys could not be used; the file was kept aside");
            Ok(Vec::new())
        }
        Err(error) => Err(format!("{why}; it could not be kept aside either: {error}")),
    }
}

/// Replaces the file by a new one in one step.
pub(super) fn save(path: &Path, keys: &[Kept]) -> io::Result<()> {
    let content = Content { version: VERSION, keys: keys.to_vec() };
    let mut bytes = serde_json::to_vec(&content).map_err(io::Error::other)?;
    bytes.push(b'\n');
    files::replace(path, &bytes)
}

/// What stands in the file, or what kind of file it is and why it cannot be used.
fn decode(bytes: &[u8]) -> Result<Vec<Kept>, (&'static str, String)> {
    let damaged = |error: serde_json::Error| {
        // Only the place: serde's words may quote the content.
        let place = format!("it is damaged (line {}, column {})", error.line(), error.column());
        ("damaged", place)
    };
    let version = serde_json::from_slice::<Versioned>(bytes).map_err(damaged)?.version;
    if version > VERSION {
        let why = format!(
            "it was written by a newer version (format {version}, this program knows {VERSION})"
        );
        return Err(("newer", why));
    }
    let content: Content = serde_json::from_slice(bytes).map_err(damaged)?;
    let mut names: Vec<&str> = content.keys.iter().map(|key| key.name.as_str()).collect();
    names.sort_unstable();
    if names.len() > MOST_KEYS || names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(("damaged", "it names a key twice, or too many of them".to_owned()));
    }
    Ok(content.keys)
}

fn to_hex<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    let text: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&text)
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong = || serde::de::Error::custom("not a SHA-256 in hexadecimal");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
    }
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(name: &str) -> Kept {
        Kept {
            name: name.to_owned(),
            sha256: [0xa5; 32],
            created_at: Timestamp(1),
            expires_at: Some(Timestamp(2)),
            last_used_at: None,
            scopes: vec![Scope::Metrics],
            bound: Bound { vendor: "openai".into(), account: "default".into() },
        }
    }

    fn encoded(keys: Vec<Kept>) -> Vec<u8> {
        serde_json::to_vec(&Content { version: VERSION, keys }).unwrap()
    }

    #[test]
    fn keys_survive_their_round_trip_and_names_are_there_once() {
        let keys = vec![kept("a"), kept("b")];
        assert_eq!(decode(&encoded(keys.clone())), Ok(keys));
        assert_eq!(decode(&encoded(vec![kept("a"), kept("a")])).unwrap_err().0, "damaged");
        let many = (0..=MOST_KEYS).map(|number| kept(&number.to_string())).collect();
        assert_eq!(decode(&encoded(many)).unwrap_err().0, "damaged");
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_file_it_is_keys_or_a_reason(bytes: Vec<u8>, digest in ".{0,70}") {
            let _ = decode(&bytes);
            let text = String::from_utf8(encoded(vec![kept("a")])).unwrap();
            let spoilt = text.replace(&"a5".repeat(32), &digest.replace(['"', '\\'], ""));
            let _ = decode(spoilt.as_bytes());
        }
    }
}

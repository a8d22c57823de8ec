//! The credential's format: versioned JSON with a checksum. Pure.
//!
//! A reader must be able to tell three things apart for certain: this is a login, this was damaged, and
//! this was written by a newer version. Guessing wrong loses a login, so the checksum covers the exact
//! bytes of the body and nothing is repaired.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::clock::Timestamp;
use crate::secret::{AccessToken, RefreshToken};

/// The version that this program writes, and the newest it reads.
pub const VERSION: u64 = 1;

/// The largest file that is read. A credential is a few kilobytes; anything larger is not one.
pub const MAX_BYTES: u64 = 1 << 20;

/// One login, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Grows with each login and logout; a copy of an earlier epoch is never used again.
    pub epoch: u64,
    /// Grows with each new access token.
    pub generation: u64,
    /// Who granted it.
    pub source: Source,
    /// The token that is lent.
    #[serde(serialize_with = "reveal_access")]
    pub access_token: AccessToken,
    /// The token that buys the next.
    #[serde(serialize_with = "reveal_refresh")]
    pub refresh_token: RefreshToken,
    /// When the access token was received.
    pub issued_at: Timestamp,
    /// When it ends, by our clock.
    pub expires_at: Timestamp,
    /// When it was last renewed; the sign-in counts as the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refresh_at: Option<Timestamp>,
    /// The vendor's id of the account.
    #[serde(default)]
    pub account_id: Option<String>,
    /// The verified e-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// The subscription's plan.
    #[serde(default)]
    pub plan: Option<String>,
    /// Whether requests must carry the FedRAMP header.
    #[serde(default)]
    pub fedramp: bool,
    /// Whether the access token's signature and account have been checked.
    pub verified: bool,
    /// The issuer's final refusal of the refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// Where a grant came from. It is never shown to anybody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The issuer's identifier.
    pub issuer: String,
    /// Where its tokens are renewed.
    pub token_endpoint: String,
    /// The client it was granted to.
    pub client_id: String,
}

/// A refusal that no later attempt can undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The OAuth error code, or a reason of ours.
    pub reason: String,
    /// The issuer's words, redacted.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

fn reveal_access<S: Serializer>(token: &AccessToken, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

fn reveal_refresh<S: Serializer>(token: &RefreshToken, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    version: u64,
    #[serde(borrow)]
    login: &'a RawValue,
    checksum: std::borrow::Cow<'a, str>,
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// Why bytes are not a login of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Written by a newer version of this program.
    #[error("it was written by a newer version (format {0}, this program knows {VERSION})")]
    Newer(u64),
    /// Not JSON, not our shape, or changed since it was written.
    #[error("it is damaged ({0})")]
    Damaged(String),
}

/// The bytes of a record, a line feed included.
#[must_use]
pub fn encode<T: Serialize>(body: &T) -> Vec<u8> {
    let login = serde_json::value::to_raw_value(body)
        .expect("records serialise: string keys, finite numbers");
    let checksum = checksum(login.get()).into();
    let envelope = Envelope { version: VERSION, login: &login, checksum };
    let mut bytes = serde_json::to_vec(&envelope).expect("an envelope serialises");
    bytes.push(b'\n');
    bytes
}

/// Reads a record back. White space may follow it.
///
/// # Errors
/// [`Unreadable`], which says what to do with the file.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, Unreadable> {
    let damaged = |error: serde_json::Error| {
        // Only the place: serde's words may quote the content.
        Unreadable::Damaged(format!("line {}, column {}", error.line(), error.column()))
    };
    let version = serde_json::from_slice::<Versioned>(bytes).map_err(damaged)?.version;
    if version > VERSION {
        return Err(Unreadable::Newer(version));
    }
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(damaged)?;
    if version != VERSION {
        return Err(Unreadable::Damaged(format!("no format {version} was ever written")));
    }
    if envelope.checksum != checksum(envelope.login.get()) {
        return Err(Unreadable::Damaged("its checksum does not match".into()));
    }
    serde_json::from_str(envelope.login.get()).map_err(damaged)
}

fn checksum(body: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let mut text = String::from("sha256:");
    for byte in digest.as_ref() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn record(epoch: u64, generation: u64) -> Record {
        Record {
            epoch,
            generation,
            source: Source {
                issuer: "http://127.0.0.1:1".into(),
                token_endpoint: "http://127.0.0.1:1/oauth/token".into(),
                client_id: "client".into(),
            },
            access_token: AccessToken::new(format!("at-{generation}")),
            refresh_token: RefreshToken::new(format!("rt-{generation}")),
            issued_at: Timestamp(1_000),
            expires_at: Timestamp(3_601_000),
            last_refresh_at: None,
            account_id: Some("acc".into()),
            email: None,
            plan: Some("pro".into()),
            fedramp: false,
            verified: true,
            refused: None,
        }
    }

    #[test]
    fn a_record_survives_its_round_trip_and_trailing_room() {
        let mut bytes = encode(&record(3, 7));
        bytes.extend_from_slice(&[b' '; 4096]);
        let back: Record = decode(&bytes).expect("reads");
        assert_eq!((back.epoch, back.generation), (3, 7));
        assert_eq!(back.refresh_token.expose(), "rt-7");
        assert_eq!(encode(&back), encode(&record(3, 7)));
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let newer = br#"{"version":2,"vault":"something else entirely"}"#;
        assert!(matches!(decode::<Record>(newer), Err(Unreadable::Newer(2))));
        assert!(matches!(decode::<Record>(b"{}"), Err(Unreadable::Damaged(_))));
        assert!(matches!(decode::<Record>(b""), Err(Unreadable::Damaged(_))));
    }

    proptest! {
        #[test]
        fn no_single_changed_byte_goes_unnoticed(at in 0_usize..400, to: u8) {
            let good = encode(&record(1, 2));
            let mut bad = good.clone();
            let at = at % (good.len() - 1);
            prop_assume!(bad[at] != to);
            bad[at] = to;
            if let Ok(read) = decode::<Record>(&bad) {
                // White space between members may change; what is read may not.
                prop_assert_eq!(encode(&read), good);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = decode::<Record>(&bytes);
        }
    }
}

//! The signing keys and the tokens they sign: RS256, so that a client's verification is really tested.
//!
//! Tokens are made here by hand from RFC 7515 and 7517, with another library than the one that
//! verifies them on the client's side: a mistake shared by both would prove nothing.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::faults::Twist;
use crate::secret::random_base64url;

/// Retired keys that stay published, so that tokens signed before a rotation can still be verified.
const RETIRED_MOST: usize = 4;

/// One RSA key with its name.
struct Key {
    id: String,
    pair: KeyPair,
}

/// The issuer's keys.
pub(super) struct Keys {
    current: Key,
    retired: Vec<Key>,
    /// Never published. Made when a fault first asks for a forgery.
    rogue: Option<Key>,
}

impl Key {
    fn generate() -> Self {
        Self {
            id: random_base64url(12),
            pair: KeyPair::generate(KeySize::Rsa2048).expect("the system can make an RSA key"),
        }
    }

    fn sign(&self, message: &str) -> String {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("an RSA key can sign");
        URL_SAFE_NO_PAD.encode(signature)
    }

    /// The public half as in RFC 7517.
    fn public(&self) -> Value {
        let key = self.pair.public_key();
        json!({
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(key.modulus().big_endian_without_leading_zero()),
            "e": URL_SAFE_NO_PAD.encode(key.exponent().big_endian_without_leading_zero()),
        })
    }
}

impl Keys {
    /// One fresh key. Takes about a tenth of a second of work.
    pub(super) fn generate() -> Self {
        Self { current: Key::generate(), retired: Vec::new(), rogue: None }
    }

    /// Signs with a new key from now on. The old one stays published if `keep`.
    pub(super) fn rotate(&mut self, keep: bool) {
        let old = std::mem::replace(&mut self.current, Key::generate());
        if keep {
            self.retired.insert(0, old);
            self.retired.truncate(RETIRED_MOST);
        } else {
            self.retired.clear();
        }
    }

    /// The document at `/.well-known/jwks.json`.
    pub(super) fn published(&self) -> Value {
        let keys: Vec<Value> =
            std::iter::once(&self.current).chain(&self.retired).map(Key::public).collect();
        json!({ "keys": keys })
    }

    /// A signed JWT, spoiled as `twist` asks.
    pub(super) fn sign(&mut self, claims: &Value, twist: &Twist) -> String {
        let forged = twist.wrong_key || twist.borrow_kid;
        if forged && self.rogue.is_none() {
            self.rogue = Some(Key::generate());
        }
        let signer = match &self.rogue {
            Some(rogue) if forged => rogue,
            _ => &self.current,
        };
        let kid = if twist.borrow_kid { &self.current.id } else { &signer.id };
        let algorithm = twist.algorithm.as_deref().unwrap_or("RS256");
        let header = json!({ "alg": algorithm, "typ": "JWT", "kid": kid });
        let mut token = URL_SAFE_NO_PAD.encode(header.to_string());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = match algorithm {
            "none" => String::new(),
            // The classic confusion: a public key taken for a shared secret.
            "HS256" => hmac(signer, &token),
            _ => signer.sign(&token),
        };
        token.push('.');
        token.push_str(&signature);
        token
    }
}

fn hmac(key: &Key, message: &str) -> String {
    use aws_lc_rs::hmac;
    let public = key.pair.public_key().as_der().expect("a public key can be written out");
    let secret = hmac::Key::new(hmac::HMAC_SHA256, public.as_ref());
    URL_SAFE_NO_PAD.encode(hmac::sign(&secret, message.as_bytes()))
}

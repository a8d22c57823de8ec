//! Secrets have types, so that one kind cannot be mistaken for another and none can be printed.
//!
//! Without this room a token would be a `String`: `{:?}` in a log line, a derived `Serialize` or a
//! swapped argument would each be enough to leak the one credential that this program exists to
//! protect. Here the only way to the characters is [`AccessToken::expose`] and its siblings, which
//! can be found by searching for one word.
//!
//! Memory is wiped when a secret is dropped, as far as this program goes: serde, TLS and HTTP
//! buffers hold copies of their own that nobody wipes.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Deserialize)]
        #[serde(transparent)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes ownership of the characters.
            #[must_use]
            pub fn new(value: String) -> Self {
                Self(value.into())
            }

            /// The characters themselves. Every call of this is a place to look at in a review.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// Whether both hold the same characters, in time that does not depend on where they differ.
            #[must_use]
            pub fn matches(&self, other: &str) -> bool {
                same(self.expose().as_bytes(), other.as_bytes())
            }

            /// As [`Self::matches`], with another of its kind.
            #[must_use]
            pub fn is(&self, other: &Self) -> bool {
                self.matches(other.expose())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

secret! {
    /// The short-lived bearer token that is lent to agents (RFC 6749 section 1.4).
    AccessToken
}
secret! {
    /// The rotating token that buys the next access token, once (RFC 6749 section 1.5). Never leaves the daemon.
    RefreshToken
}
secret! {
    /// The OpenID Connect id token, read once for a person's e-mail address and then forgotten.
    IdToken
}
secret! {
    /// Any other value that must not be shown: authorization codes, PKCE verifiers, device ids.
    Secret
}

/// Bytes of a token's digest in its fingerprint: more than anybody's tokens can make collide by accident.
const FINGERPRINT_BYTES: usize = 16;

impl RefreshToken {
    /// What tells this token from others without telling anything of it: half of its SHA-256 as hexadecimal
    /// digits. A refresh token is random and long, so nobody finds it by its digest.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.expose().as_bytes());
        digest.as_ref()[..FINGERPRINT_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Compares two byte strings in constant time; lengths may be learned, contents may not.
#[must_use]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(left, right).is_ok()
}

// The crypto library has a generator too, but seeds itself with tens of milliseconds of measured jitter:
// ten times what the daemon takes to start.

/// `bytes` random bytes from the operating system's generator, as unpadded base64url.
///
/// # Panics
/// When the system has no randomness to give: going on would mean guessable secrets.
#[must_use]
pub fn random_base64url(bytes: usize) -> String {
    use base64::Engine as _;
    let mut buffer = vec![0_u8; bytes];
    getrandom::fill(&mut buffer).expect("the system's random generator works");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(buffer)
}

/// A random number between 0 and 1, for jitter.
///
/// # Panics
/// As [`random_base64url`].
#[must_use]
pub fn random_unit() -> f64 {
    let mut bytes = [0_u8; 4];
    getrandom::fill(&mut bytes).expect("the system's random generator works");
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_content_nor_length() {
        let token = AccessToken::new("at-very-secret".into());
        assert_eq!(format!("{token:?}"), "AccessToken(..)");
        assert_eq!(format!("{:?}", Some(&token)), "Some(AccessToken(..))");
    }

    #[test]
    fn comparison_is_by_content() {
        let token = RefreshToken::new("abc".into());
        assert!(token.matches("abc"));
        assert!(!token.matches("abd"));
        assert!(!token.matches("abcd"));
        assert!(token.is(&RefreshToken::new("abc".into())));
        assert!(!token.is(&RefreshToken::new("ab".into())));
    }

    #[test]
    fn a_fingerprint_is_the_same_for_the_same_token_only() {
        let print = |text: &str| RefreshToken::new(text.into()).fingerprint();
        // As `printf abc | sha256sum` says.
        assert_eq!(print("abc"), "ba7816bf8f01cfea414140de5dae2223");
        assert_ne!(print("abc"), print("abd"));
    }

    #[test]
    fn random_values_are_long_and_differ() {
        let (a, b) = (random_base64url(32), random_base64url(32));
        assert_eq!(a.len(), 43);
        assert_ne!(a, b);
    }
}

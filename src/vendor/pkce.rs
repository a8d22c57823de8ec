//! Proof Key for Code Exchange (RFC 7636): whoever steals the code from a redirect cannot use it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::secret::{Secret, random_base64url};

/// Random bytes in a verifier: 86 characters, within the 43 to 128 of section 4.1.
const VERIFIER_BYTES: usize = 64;

/// A verifier and its S256 challenge.
#[derive(Debug)]
pub struct Pkce {
    /// Kept until the code is exchanged.
    pub verifier: Secret,
    /// Shown in the authorization request.
    pub challenge: String,
}

impl Pkce {
    /// A new pair.
    #[must_use]
    pub fn new() -> Self {
        let verifier = random_base64url(VERIFIER_BYTES);
        Self { challenge: challenge(&verifier), verifier: Secret::new(verifier) }
    }
}

impl Default for Pkce {
    fn default() -> Self {
        Self::new()
    }
}

/// The S256 challenge of a verifier (section 4.2).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_has_a_legal_length() {
        assert_eq!(Pkce::new().verifier.expose().len(), 86);
    }
}

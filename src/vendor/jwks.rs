//! Believing a token: its signature, checked with the issuer's published keys (RFC 7517, RFC 8725).
//!
//! Everything shown of an account (its id, its e-mail address, its plan) comes out of a token, so none
//! of it is believed before the signature is. The times in it are compared with our own clock room.

use std::time::Duration;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use reqwest::Method;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::wire::Wire;
use crate::clock::{Clock, Timestamp};

/// How long fetched keys are used without asking again.
const FRESH: Duration = Duration::from_secs(3600);
/// How often an unknown key id may make us ask, at most.
const REFETCH: Duration = Duration::from_secs(60);
/// How far two clocks may differ unnoticed (RFC 7519 section 4.1.4 allows "a small leeway").
const LEEWAY: Duration = Duration::from_secs(60);

/// Asymmetric algorithms only: with `HS256` an issuer's public key would pass for a shared secret.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The claims of a token whose signature was checked.
pub type Claims = Map<String, Value>;

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub enum Disbelief {
    /// The keys cannot be had just now: nothing is known about the token.
    #[error("the issuer's signing keys are out of reach: {0}")]
    KeysUnreachable(String),
    /// The token is the issuer's, but its time is over.
    #[error("the token has ended already")]
    Ended,
    /// The token is not what it should be.
    #[error("the token cannot be believed: {0}")]
    Bad(String),
}

/// What a token must be to be believed.
#[derive(Debug)]
pub struct Expected<'a> {
    /// Its `iss`, a trailing slash aside.
    pub issuer: &'a str,
    /// What its `aud` must hold, if that is checked.
    pub audience: Option<&'a str>,
    /// The issuer's clock less ours.
    pub skew_millis: i64,
    /// Whether it may have ended: it is believed of whom it was for, and lent to nobody.
    pub may_have_ended: bool,
}

/// One issuer's keys, fetched when needed.
#[derive(Debug)]
pub struct Jwks {
    path: String,
    clock: Clock,
    // Held over the fetch, so that any number of waiters cause one.
    cached: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    keys: Option<JwkSet>,
    /// When they were fetched; a fetch that failed says nothing about which keys there are.
    fetched_at: Option<Timestamp>,
    /// When they were last fetched for the sake of a key id that was not among them.
    refetched_at: Option<Timestamp>,
}

impl Jwks {
    /// The keys at `path` of the issuer.
    #[must_use]
    pub fn new(path: &str, clock: Clock) -> Self {
        Self { path: path.to_owned(), clock, cached: Mutex::default() }
    }

    /// Checks signature, issuer, audience and times, and gives the claims.
    ///
    /// # Errors
    /// [`Disbelief`], which tells "not now" from "never".
    pub async fn verify(
        &self,
        wire: &Wire,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Claims, Disbelief> {
        let bad = |why: &str| Disbelief::Bad(why.to_owned());
        let header =
            jsonwebtoken::decode_header(token).map_err(|_| bad("it is not a signed JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Disbelief::Bad(format!(
                "it is signed with {:?}, which is not asymmetric",
                header.alg
            )));
        }
        let kid = header.kid.as_deref().ok_or_else(|| bad("it does not name its key"))?;
        let jwk = self.key(wire, kid).await?;
        let key =
            DecodingKey::from_jwk(&jwk).map_err(|_| bad("the issuer's key is of no known kind"))?;
        let mut validation = Validation::new(header.alg);
        // The times are checked below: the library would look at the machine's clock itself.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|_| bad("its signature does not match the issuer's keys"))?
            .claims;
        check(&claims, expected, self.clock.now())?;
        Ok(claims)
    }

    async fn key(&self, wire: &Wire, kid: &str) -> Result<Jwk, Disbelief> {
        let mut cached = self.cached.lock().await;
        let now = self.clock.now();
        let within =
            |at: Option<Timestamp>, span| at.is_some_and(|at| at <= now && now.since(at) < span);
        let known = cached.keys.as_ref().and_then(|keys| keys.find(kid)).cloned();
        let fresh = within(cached.fetched_at, FRESH);
        if fresh && let Some(jwk) = known {
            return Ok(jwk);
        }
        if fresh && within(cached.refetched_at, REFETCH) {
            // The issuer may have changed its keys since: no verdict without another look.
            return Err(Disbelief::KeysUnreachable(
                "its key is not among those fetched a moment ago; they are fetched again soon"
                    .into(),
            ));
        }
        let keys = self.fetch(wire).await?;
        let jwk = keys.find(kid).cloned();
        cached.fetched_at = Some(now);
        if fresh {
            cached.refetched_at = Some(now);
        }
        cached.keys = Some(keys);
        jwk.ok_or_else(|| {
            Disbelief::Bad("it is signed with a key that the issuer does not publish".into())
        })
    }

    async fn fetch(&self, wire: &Wire) -> Result<JwkSet, Disbelief> {
        let unreachable = |why: String| Disbelief::KeysUnreachable(why);
        let request =
            wire.request(Method::GET, &self.path).map_err(|error| unreachable(error.message))?;
        let answer = wire.send(request).await.map_err(|error| unreachable(error.message))?;
        if !answer.status.is_success() {
            return Err(unreachable(answer.describe()));
        }
        answer.json().ok_or_else(|| unreachable("the answer is not a key set".into()))
    }
}

fn check(claims: &Claims, expected: &Expected<'_>, now: Timestamp) -> Result<(), Disbelief> {
    let bad = |why: String| Err(Disbelief::Bad(why));
    let issuers_now = now.shifted(expected.skew_millis);
    let time = |name: &str| {
        claims.get(name).and_then(Value::as_f64).map(|secs| Timestamp((secs * 1000.0) as u64))
    };
    let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if issuer.trim_end_matches('/') != expected.issuer.trim_end_matches('/') {
        return bad(format!("it was issued by {issuer:?}, not by {:?}", expected.issuer));
    }
    match time("exp") {
        None => return bad("it does not say when it ends".into()),
        Some(exp) if !expected.may_have_ended && exp.plus(LEEWAY) < issuers_now => {
            return Err(Disbelief::Ended);
        }
        Some(_) => {}
    }
    if time("nbf").is_some_and(|nbf| nbf > issuers_now.plus(LEEWAY)) {
        return bad("it is not valid yet; is this machine's clock right?".into());
    }
    let Some(audience) = expected.audience else { return Ok(()) };
    let seen = claims.get("aud").cloned().unwrap_or_default();
    let holds = match &seen {
        Value::String(one) => one == audience,
        Value::Array(many) => many.iter().any(|one| one == audience),
        _ => false,
    };
    if holds { Ok(()) } else { bad(format!("it is meant for {seen}, not for {audience:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn judge(claims: &Value, audience: Option<&str>, skew_millis: i64) -> Result<(), Disbelief> {
        judge_as(claims, audience, skew_millis, false)
    }

    fn judge_as(
        claims: &Value,
        audience: Option<&str>,
        skew_millis: i64,
        may_have_ended: bool,
    ) -> Result<(), Disbelief> {
        let issuer = "https://issuer.example/";
        let expected = Expected { issuer, audience, skew_millis, may_have_ended };
        check(claims.as_object().expect("an object"), &expected, NOW)
    }

    #[test]
    fn an_end_that_is_past_can_be_allowed_for_and_nothing_else_with_it() {
        let ended = |iss: &str| json!({"iss": iss, "exp": NOW.as_secs() - 86_400, "aud": "a"});
        let good = ended("https://issuer.example");
        assert!(matches!(judge(&good, Some("a"), 0), Err(Disbelief::Ended)));
        judge_as(&good, Some("a"), 0, true).expect("it was good once");
        let bad = |judged| matches!(judged, Err(Disbelief::Bad(_)));
        assert!(bad(judge_as(&good, Some("b"), 0, true)), "another audience");
        assert!(bad(judge_as(&ended("https://other.example"), Some("a"), 0, true)), "issuer");
        assert!(bad(judge_as(&json!({"iss": "https://issuer.example"}), None, 0, true)), "no end");
    }

    #[test]
    fn issuer_end_and_audience_must_fit() {
        let good =
            json!({"iss": "https://issuer.example", "exp": NOW.as_secs() + 60, "aud": ["a", "b"]});
        judge(&good, Some("b"), 0).expect("good");
        judge(&good, None, 0).expect("good");
        judge(&good, Some("c"), 0).expect_err("another audience");
        judge(&json!({"iss": "https://other.example", "exp": NOW.as_secs() + 60}), None, 0)
            .expect_err("issuer");
        judge(&json!({"iss": "https://issuer.example"}), None, 0).expect_err("no end");
        judge(&json!({"iss": "https://issuer.example", "exp": NOW.as_secs() - 120}), None, 0)
            .expect_err("ended");
    }

    #[test]
    fn a_clock_known_to_be_wrong_is_allowed_for() {
        let issued_for_later = json!({"iss": "https://issuer.example", "exp": NOW.as_secs() + 7200, "nbf": NOW.as_secs() + 3600});
        judge(&issued_for_later, None, 0).expect_err("not yet");
        judge(&issued_for_later, None, 3_600_000).expect("the issuer's clock is an hour ahead");
        let ended = json!({"iss": "https://issuer.example", "exp": NOW.as_secs() - 3000});
        judge(&ended, None, 0).expect_err("ended");
        judge(&ended, None, -3_600_000).expect("the issuer's clock is an hour behind");
    }
}

//! Where a workspace's requests must go.
//!
//! A workspace may be bound to a region: its completions go to another origin than everybody's, or with a
//! header that names the region. The stock Codex CLI asks for this before its first turn, and so does the
//! relay, once a login. An answer that is not understood stops the requests: sent to the wrong place, they
//! would break the promise that the workspace's owner was given.
//!
//! The token goes where the answer says. Who could forge the answer has been shown the token already, with
//! the question, over TLS or to a configured loopback address; so the origin is not held to a list of
//! domains, which nobody knows and which would fail real workspaces. It is held to `https` without
//! credentials, path or query, so that no mistake there makes the token readable on the way. The only
//! exception is the configured origin itself, which is plain `http` for a stand-in on loopback.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::flight::SingleFlight;
use super::keeping::within;
use crate::clock::{Clock, Timestamp};
use crate::login::directory::Named;
use crate::login::{Lent, Login, LoginError};
use crate::vendor::{OpenAi, VendorError};

/// The header that carries [`Route::override_header`] (openai/codex, `workspace_routing.rs`).
pub const OVERRIDE_HEADER: &str = "x-openai-account-routing-override";

/// What the API says where nothing is constrained.
const NO_CONSTRAINT: &str = "NO_CONSTRAINT";
/// How long an answer that cannot be followed stands before it is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How long the token used for asking must still live.
const MIN_TTL: Duration = Duration::from_secs(60);
/// The longest origin taken, in bytes: a host name has at most 253.
const LONGEST_ORIGIN: usize = 280;
/// The longest name of a region taken, in bytes.
const LONGEST_OVERRIDE: usize = 32;

/// Where requests of one login go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The API's base, below which the completions are.
    pub api_base: Url,
    /// The value of [`OVERRIDE_HEADER`], where it must be sent.
    pub override_header: Option<String>,
}

/// Why no request can be sent for this login now.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RouteError {
    /// There is no token to ask with.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// No answer, or one that says "later": worth another try.
    #[error(
        "the API cannot be reached to learn where this workspace's requests must go: {message}"
    )]
    Unreachable {
        /// Why, redacted.
        message: String,
    },
    /// The API refused to tell.
    #[error(
        "the API refused to tell where this workspace's requests must go: HTTP {status} ({reason})"
    )]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code, or `refused` or `garbled`.
        reason: String,
        /// The API's words, redacted.
        body: String,
    },
    /// What it told cannot be followed.
    #[error(
        "the API's answer to where this workspace's requests must go cannot be followed, so none is sent: {0}"
    )]
    Unusable(String),
}

/// The routes of all logins. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    entries: Arc<Mutex<HashMap<Named, Arc<Entry>>>>,
}

/// What is known of one login.
#[derive(Debug)]
struct Entry {
    of: Of,
    settled: Mutex<Option<Settled>>,
    flight: SingleFlight<Result<Route, RouteError>>,
}

/// A login as far as routing goes: another epoch, account or API is another login.
#[derive(Debug, PartialEq, Eq)]
struct Of {
    epoch: u64,
    account_id: Option<String>,
    api_base: Url,
}

#[derive(Clone, Debug)]
struct Settled {
    at: Timestamp,
    outcome: Result<Route, RouteError>,
}

impl Routing {
    /// Where requests of this login go; asked once, and by one caller for all who wait.
    ///
    /// # Errors
    /// [`RouteError`]. Only [`RouteError::Unreachable`] is not remembered.
    pub async fn route(
        &self,
        vendor: &OpenAi,
        login: &Login,
        named: &Named,
        clock: &Clock,
    ) -> Result<Route, RouteError> {
        let epoch = login.epoch();
        let lent = login.lend(MIN_TTL).await?;
        let api_base = vendor.config().api_base.clone();
        let of = Of { epoch, account_id: lent.account_id.clone(), api_base };
        let entry = self.entry(named, of);
        if let Some(outcome) = entry.standing(clock.now()) {
            return outcome;
        }
        entry.flight.ask(entry.ask(vendor, login, &lent, clock)).await
    }

    /// The account was signed out.
    pub fn forget(&self, named: &Named) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(named);
    }

    fn entry(&self, named: &Named, of: Of) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(named).filter(|entry| entry.of == of) {
            return Arc::clone(entry);
        }
        let (settled, flight) = (Mutex::default(), SingleFlight::default());
        let entry = Arc::new(Entry { of, settled, flight });
        entries.insert(named.clone(), Arc::clone(&entry));
        entry
    }
}

impl Entry {
    /// What was settled before and still stands.
    fn standing(&self, now: Timestamp) -> Option<Result<Route, RouteError>> {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |it: &&Settled| it.outcome.is_ok() || within(now, it.at, ASK_AGAIN);
        settled.as_ref().filter(stands).map(|it| it.outcome.clone())
    }

    async fn ask(
        &self,
        vendor: &OpenAi,
        login: &Login,
        lent: &Lent,
        clock: &Clock,
    ) -> Result<Route, RouteError> {
        let told = question(vendor, login, lent).await;
        let outcome = told.and_then(|body| match body {
            Some(body) => read(&body, self.of.account_id.as_deref(), &self.of.api_base)
                .map_err(RouteError::Unusable),
            // An API without that page constrains nothing.
            None => Ok(Route { api_base: self.of.api_base.clone(), override_header: None }),
        });
        match &outcome {
            Ok(route) if route.api_base != self.of.api_base || route.override_header.is_some() => {
                tracing::info!(api_base = %route.api_base, region = ?route.override_header, "this workspace's requests go elsewhere");
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "requests of this login cannot be sent"),
        }
        if !matches!(outcome, Err(RouteError::Unreachable { .. } | RouteError::Login(_))) {
            let settled = Settled { at: clock.now(), outcome: outcome.clone() };
            *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = Some(settled);
        }
        outcome
    }
}

/// Asks the API; a token that it no longer accepts is renewed once.
async fn question(
    vendor: &OpenAi,
    login: &Login,
    lent: &Lent,
) -> Result<Option<Vec<u8>>, RouteError> {
    let told = match vendor.account_routing(&lent.headers).await {
        Err(VendorError::Refused { status: 401, .. }) => {
            let lent = login.reject(lent.generation, MIN_TTL).await?;
            vendor.account_routing(&lent.headers).await
        }
        told => told,
    };
    told.map_err(|error| match error {
        VendorError::Unreachable { message, .. } => RouteError::Unreachable { message },
        VendorError::Refused { status: status @ 500.., body, .. } => RouteError::Unreachable {
            message: format!("HTTP {status} {body}").trim_end().to_owned(),
        },
        VendorError::Refused { status, reason, body } => {
            RouteError::Refused { status, reason, body }
        }
        VendorError::DeviceLoginOff => RouteError::Unusable(error.to_string()),
    })
}

/// The answer, as far as it is read.
#[derive(Deserialize)]
struct Accounts {
    accounts: Vec<Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    workspace_backend_origin: Value,
    #[serde(default)]
    account_routing_override: Value,
}

/// What the answer means for this account.
fn read(body: &[u8], account_id: Option<&str>, api_base: &Url) -> Result<Route, String> {
    let account_id = account_id.ok_or("the login does not say which account it is for")?;
    let Accounts { accounts } =
        serde_json::from_slice(body).map_err(|_| "it is not a list of accounts")?;
    let mut ours = accounts.iter().filter(|account| account.id == account_id);
    let account = match (ours.next(), ours.next()) {
        (Some(account), None) => account,
        (None, _) => return Err("it does not mention this account".to_owned()),
        (Some(_), Some(_)) => return Err("it mentions this account more than once".to_owned()),
    };
    let api_base = match &account.workspace_backend_origin {
        Value::String(told) if told == NO_CONSTRAINT => api_base.clone(),
        Value::String(told) => relocated(told, api_base)?,
        _ => return Err("it names no origin for the workspace".to_owned()),
    };
    let override_header = match &account.account_routing_override {
        // Only the origin is always there (openai/codex): who names no region has none.
        Value::Null => None,
        Value::String(told) if told == NO_CONSTRAINT => None,
        Value::String(told) if is_region(told) => Some(told.clone()),
        _ => return Err("the region that it names is not understood".to_owned()),
    };
    Ok(Route { api_base, override_header })
}

/// The API's base at another origin, if a token may be shown there.
fn relocated(told: &str, api_base: &Url) -> Result<Url, String> {
    let wrong = |why: &str| Err(format!("the origin that it names {why}"));
    // Looked at before it is parsed: a URL parser forgives blanks, line ends and backslashes.
    if told.len() > LONGEST_ORIGIN || !told.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return wrong("is not an address");
    }
    let Some((_, authority)) = told.split_once("://") else { return wrong("is not an address") };
    let Ok(mut origin) = Url::parse(told) else { return wrong("is not an address") };
    if authority.trim_end_matches('/').contains(['/', '?', '#', '@']) || origin.path() != "/" {
        return wrong("has credentials, a path or a query");
    }
    let configured = origin.origin() == api_base.origin();
    if !configured && (origin.scheme() != "https" || !origin.has_host()) {
        return wrong("is not https, so that the token cannot be shown to it");
    }
    origin.set_path(api_base.path());
    Ok(origin)
}

/// Whether a region is named as regions are: `us`, `us_cr` or one that is not known yet.
fn is_region(told: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=LONGEST_OVERRIDE).contains(&told.len()) && told.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn base() -> Url {
        Url::parse("https://chatgpt.example/backend-api").unwrap()
    }

    fn one(origin: Value, region: Value) -> Result<Route, String> {
        let ours = json!({"id": "a1", "workspace_backend_origin": origin, "account_routing_override": region});
        let other = json!({"id": "a2", "workspace_backend_origin": 7});
        read(json!({"accounts": [other, ours]}).to_string().as_bytes(), Some("a1"), &base())
    }

    #[test]
    fn what_is_not_constrained_goes_where_everything_goes() {
        let free = Route { api_base: base(), override_header: None };
        assert_eq!(one(json!(NO_CONSTRAINT), json!(NO_CONSTRAINT)), Ok(free.clone()));
        assert_eq!(one(json!(NO_CONSTRAINT), json!(null)), Ok(free));
    }

    #[test]
    fn an_origin_takes_the_place_of_the_configured_one_and_keeps_its_path() {
        for told in [
            "https://eu.chatgpt.example",
            "https://eu.chatgpt.example/",
            "HTTPS://EU.chatgpt.example:443",
        ] {
            let route = one(json!(told), json!("us_cr")).unwrap();
            assert_eq!(route.api_base.as_str(), "https://eu.chatgpt.example/backend-api", "{told}");
            assert_eq!(route.override_header.as_deref(), Some("us_cr"));
        }
        let route = one(json!("https://eu.example:8443"), json!("moon_2")).unwrap();
        assert_eq!(route.api_base.as_str(), "https://eu.example:8443/backend-api");
        assert_eq!(route.override_header.as_deref(), Some("moon_2"));
    }

    #[test]
    fn plain_http_is_for_the_configured_origin_only() {
        let base = Url::parse("http://127.0.0.1:9000/backend-api").unwrap();
        assert_eq!(relocated("http://127.0.0.1:9000", &base), Ok(base.clone()));
        assert!(relocated("http://127.0.0.1:9001", &base).is_err());
        assert!(relocated("http://localhost:9000", &base).is_err());
        assert!(relocated("https://eu.example", &base).is_ok());
    }

    #[test]
    fn an_origin_that_a_token_must_not_be_shown_to_stops_everything() {
        for told in [
            json!("http://chatgpt.example"),
            json!("https://user@chatgpt.example"),
            json!("https://user:pass@chatgpt.example"),
            json!("https://@chatgpt.example"),
            json!("https://chatgpt.example/path"),
            json!("https://chatgpt.example/../"),
            json!("https://chatgpt.example?"),
            json!("https://chatgpt.example/#"),
            json!("https://chatgpt.example\\@evil.example"),
            json!("https://chatgpt.example\n.evil.example"),
            json!(" https://chatgpt.example"),
            json!("https:chatgpt.example"),
            json!("https:///chatgpt.example"),
            json!("https://"),
            json!("//chatgpt.example"),
            json!("chatgpt.example"),
            json!("file:///etc"),
            json!("ftp://chatgpt.example"),
            json!("no_constraint"),
            json!(""),
            json!(null),
            json!(7),
            json!(format!("https://{}.example", "a".repeat(300))),
        ] {
            assert!(one(told.clone(), json!(NO_CONSTRAINT)).is_err(), "{told}");
        }
    }

    #[test]
    fn a_region_that_is_no_word_stops_everything() {
        for told in [
            json!(""),
            json!("US"),
            json!("us cr"),
            json!("us\r\nx: y"),
            json!(7),
            json!("u".repeat(33)),
        ] {
            assert!(one(json!(NO_CONSTRAINT), told.clone()).is_err(), "{told}");
        }
    }

    #[test]
    fn the_account_must_be_there_once_and_known() {
        let entry = json!({"id": "a1", "workspace_backend_origin": NO_CONSTRAINT});
        let read = |body: Value, id| read(body.to_string().as_bytes(), id, &base());
        assert!(read(json!({"accounts": [entry]}), Some("a1")).is_ok());
        for (body, id, words) in [
            (json!({"accounts": [entry, entry]}), Some("a1"), "more than once"),
            (json!({"accounts": [entry]}), Some("a3"), "does not mention"),
            (json!({"accounts": []}), Some("a1"), "does not mention"),
            (json!({"accounts": [entry]}), None, "which account"),
            (json!({"accounts": {"a1": entry}}), Some("a1"), "not a list"),
            (json!({}), Some("a1"), "not a list"),
        ] {
            let error = read(body.clone(), id).unwrap_err();
            assert!(error.contains(words), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_told_a_token_goes_to_https_or_home(told in "(https?|HTTP|ftp)?:?/{0,3}[a-z@:/?#.\\\\%0-9\\[\\]]{0,20}") {
            if let Ok(route) = one(json!(told), json!(null)) {
                prop_assert_eq!(route.api_base.scheme(), "https");
                prop_assert_eq!(route.api_base.path(), base().path().to_owned());
                prop_assert!(route.api_base.username().is_empty() && route.api_base.password().is_none());
                prop_assert!(route.api_base.query().is_none() && route.api_base.fragment().is_none());
            }
        }
    }
}

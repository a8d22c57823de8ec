//! How a vendor is spoken to: one request, bounded in time and size, never replayed.
//!
//! What a caller must learn from a failure is whether the request can have been processed: a refresh
//! token that was perhaps used must not be shown again at once. Replays, redirects and pooled
//! connections (which an HTTP library replays on its own when the server had hung up) would blur that.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{DATE, ETAG, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url};

use super::redact::redact;
use crate::clock::{Clock, Timestamp};

/// Bound on reaching an issuer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bound on a whole request to an issuer: a person waits at the other end.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer read. Token answers and key sets are a few kilobytes, a model list some hundreds.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// The longest pause that an issuer may ask for and get.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Who we are, to anybody who asks (RFC 9110 section 10.1.5).
pub const AGENT: &str = concat!("valetkey/", env!("CARGO_PKG_VERSION"));

/// A whole answer, whatever its status.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body; not for showing before it went through [`redact`].
    pub body: Vec<u8>,
    /// How long the vendor asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The vendor's clock less ours, in milliseconds.
    pub skew_millis: i64,
    /// Whether the vendor told its time at all.
    pub is_dated: bool,
    /// What to ask with the next time, so that an unchanged answer is not sent again (RFC 9110 section 8.8.3).
    pub etag: Option<String>,
}

/// Without the body: tokens come in it.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// No whole answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NoAnswer {
    /// Whether the request may have reached the vendor.
    pub sent: bool,
    /// Which bound passed, if one did: `connect` or `total`.
    pub timeout: Option<&'static str>,
    /// Why, with its causes and without the URL.
    pub message: String,
}

/// A client for one vendor. Built on first use: TLS roots are not paid for by a daemon that only lends.
#[derive(Debug)]
pub struct Wire {
    base: Url,
    originator: String,
    client: OnceLock<Client>,
    clock: Clock,
}

impl Wire {
    /// A client that calls itself `originator`, for the origin of `base`.
    #[must_use]
    pub fn new(base: Url, originator: &str, clock: Clock) -> Self {
        Self { base, originator: originator.to_owned(), client: OnceLock::new(), clock }
    }

    /// A request to a path below the base.
    ///
    /// # Errors
    /// Where no client can be built (no usable TLS roots).
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, NoAnswer> {
        let url = join(&self.base, path);
        let client = match self.client.get() {
            Some(client) => client,
            None => {
                let built = self.build().map_err(|error| failure(error, false))?;
                self.client.get_or_init(|| built)
            }
        };
        Ok(client.request(method, url))
    }

    /// Sends a request once and reads the whole answer.
    ///
    /// # Errors
    /// [`NoAnswer`], which says whether the request may have been processed.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, NoAnswer> {
        let mut response = request.send().await.map_err(|error| {
            let sent = !(error.is_connect() || error.is_builder());
            failure(error, sent)
        })?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(error, true))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let message = format!("the answer is longer than {MAX_ANSWER_BYTES} bytes");
                return Err(NoAnswer { sent: true, timeout: None, message });
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers, now) = (response.status(), response.headers(), self.clock.now());
        let retry_after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now));
        let skew = headers.get(DATE).and_then(|value| skew(value, now));
        let etag = headers.get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let (skew_millis, is_dated) = (skew.unwrap_or(0), skew.is_some());
        Ok(Answer { status, body, retry_after, skew_millis, is_dated, etag })
    }

    fn build(&self) -> reqwest::Result<Client> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Ok(originator) = HeaderValue::from_str(&self.originator) {
            headers.insert("originator", originator);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0);
        if self.base.scheme() == "http" {
            // The configuration allows plain HTTP on loopback only: no proxy, and no roots to load.
            builder = builder.no_proxy().tls_certs_only([]);
        } else {
            builder = builder.https_only(true);
        }
        builder.build()
    }
}

impl Answer {
    /// The body as a JSON object of this shape. A list that happens to hold the members in order, which
    /// serde would take as well, is no answer of any vendor.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        let object = self.body.trim_ascii_start().starts_with(b"{");
        object.then(|| serde_json::from_slice(&self.body).ok()).flatten()
    }

    /// The answer in words for a person: status and redacted body.
    #[must_use]
    pub fn describe(&self) -> String {
        let body = redact(&self.body);
        if body.is_empty() {
            format!("HTTP {}", self.status)
        } else {
            format!("HTTP {}: {body}", self.status)
        }
    }
}

/// `path` below `base`, whose own path is kept.
#[must_use]
pub fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) =
        path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let whole = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
    url.set_path(&whole);
    url.set_query(query);
    url
}

fn failure(error: reqwest::Error, sent: bool) -> NoAnswer {
    let timeout =
        error.is_timeout().then_some(if error.is_connect() { "connect" } else { "total" });
    let error = error.without_url();
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(deeper) = cause {
        let words = deeper.to_string();
        if !message.ends_with(&words) {
            message = format!("{message}: {words}");
        }
        cause = deeper.source();
    }
    NoAnswer { sent, timeout, message }
}

/// The pause that `Retry-After` asks for, in seconds or as a date (RFC 9110 section 10.2.3); an hour at most.
#[must_use]
pub fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let pause = match text.parse::<u64>() {
        Ok(secs) => Duration::from_secs(secs),
        Err(_) => Timestamp::from_system(httpdate::parse_http_date(text).ok()?).since(now),
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

/// `Date` counts whole seconds and has travelled: differences this small are not skew.
const SKEW_GRAIN_MILLIS: u64 = 2_000;

fn skew(value: &HeaderValue, now: Timestamp) -> Option<i64> {
    let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    let skew = Timestamp::from_system(date).0.cast_signed().saturating_sub(now.0.cast_signed());
    Some(if skew.unsigned_abs() > SKEW_GRAIN_MILLIS { skew } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_appended_to_the_base() {
        let base = Url::parse("https://chatgpt.example/backend-api").expect("a URL");
        assert_eq!(
            join(&base, "/codex/models?x=1").as_str(),
            "https://chatgpt.example/backend-api/codex/models?x=1"
        );
        let root = Url::parse("https://auth.example").expect("a URL");
        assert_eq!(join(&root, "oauth/token").as_str(), "https://auth.example/oauth/token");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = Timestamp::from_secs(784_111_777);
        let parse = |text| retry_after(&HeaderValue::from_static(text), now);
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:27 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("99999999"), Some(MAX_RETRY_AFTER));
        assert_eq!(parse("soon"), None);
    }

    #[test]
    fn small_differences_are_not_skew() {
        let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(skew(&date, Timestamp(784_111_778_500)), Some(0));
        assert_eq!(skew(&date, Timestamp(784_111_777_000 - 3_600_000)), Some(3_600_000));
        assert_eq!(skew(&date, Timestamp(784_111_777_000 + 90_000)), Some(-90_000));
        assert_eq!(skew(&HeaderValue::from_static("noon"), Timestamp(0)), None);
    }
}

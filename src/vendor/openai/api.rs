//! The backend's pages about an account: its models, its limits, its workspace.
//!
//! Completions are carried elsewhere, as they come; what is asked here is small, rare and read whole.
//! Facts come from <https://github.com/openai/codex> (`codex-rs/backend-client`, `model-provider`).

use std::time::Duration;

use reqwest::header::{HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode, Url};

use super::super::VendorError;
use super::super::wire::{Answer, join};
use super::{CLIENT_VERSION, OpenAi, garbled, refused};

/// Bound on each of these questions: a completion may be waiting for the answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where the limits are told, in the order tried. Each has been refused to some accounts while the other
/// answered (numman-ali/opencode-multi-auth-codex issues 14 and 20).
const USAGE_PAGES: [&str; 2] = ["/wham/usage", "/codex/usage"];

/// The headers that a login lends together with its token (see [`OpenAi::api_headers`]).
pub type Headers = [(&'static str, String)];

/// What came of asking for the models.
#[derive(Debug)]
pub enum Listed {
    /// The list that the given validator names is still the list.
    Same,
    /// Another list.
    Anew {
        /// Its validator.
        etag: Option<String>,
        /// `{"models": [...]}` as it came.
        body: Vec<u8>,
    },
}

impl OpenAi {
    /// What the subscription offers, unless it is still the list that `etag` names.
    ///
    /// # Errors
    /// [`VendorError`], `status` 401 where the token was not accepted.
    pub async fn models(
        &self,
        headers: &Headers,
        etag: Option<&str>,
    ) -> Result<Listed, VendorError> {
        let page = format!("/codex/models?client_version={CLIENT_VERSION}");
        let answer = self.ask(&page, headers, etag).await?;
        match answer.status {
            StatusCode::NOT_MODIFIED if etag.is_some() => Ok(Listed::Same),
            status if status.is_success() => {
                Ok(Listed::Anew { etag: answer.etag, body: answer.body })
            }
            _ => Err(refused(&answer)),
        }
    }

    /// How much of the subscription is used: a JSON object as it came.
    ///
    /// # Errors
    /// As [`Self::models`].
    pub async fn usage(&self, headers: &Headers) -> Result<Vec<u8>, VendorError> {
        let [first, second] = USAGE_PAGES;
        let mut answer = self.ask(first, headers, None).await?;
        if matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            answer = self.ask(second, headers, None).await?;
        }
        object(answer)
    }

    /// To which origin requests of this account's workspace must go: a JSON object as it came, or
    /// nothing where this API has no such page.
    ///
    /// # Errors
    /// As [`Self::models`].
    pub async fn account_routing(&self, headers: &Headers) -> Result<Option<Vec<u8>>, VendorError> {
        let answer = self.ask("/wham/accounts/check", headers, None).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        object(answer).map(Some)
    }

    /// Where completions are asked for below a base, which is the configured one unless the workspace
    /// has another.
    #[must_use]
    pub fn responses_url(&self, api_base: &Url) -> Url {
        join(api_base, "/codex/responses")
    }

    async fn ask(
        &self,
        page: &str,
        headers: &Headers,
        etag: Option<&str>,
    ) -> Result<Answer, VendorError> {
        let mut request = self.api.request(Method::GET, page)?.timeout(TIMEOUT);
        for (name, value) in headers {
            // A value that no header can hold is told by the builder when the request is sent.
            request = match HeaderValue::from_str(value) {
                Ok(mut value) => {
                    value.set_sensitive(*name == "Authorization");
                    request.header(*name, value)
                }
                Err(_) => request.header(*name, value.as_str()),
            };
        }
        if let Some(etag) = etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        Ok(self.api.send(request).await?)
    }
}

/// The body of a good answer, which must be a JSON object.
fn object(answer: Answer) -> Result<Vec<u8>, VendorError> {
    if !answer.status.is_success() {
        return Err(refused(&answer));
    }
    match answer.json::<serde::de::IgnoredAny>() {
        Some(_) => Ok(answer.body),
        None => Err(garbled(&answer)),
    }
}

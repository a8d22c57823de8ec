//! One completion until its answer begins: whatever can be put right before the client's first byte is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::failure::{Failure, PAUSE};
use super::flow::Flow;
use super::passing::{End, Failed};
use super::routing::Route;
use super::{Ask, Inner, headers, sanitise, verdict};
use crate::config;
use crate::login::state::State;
use crate::login::{Lent, Login, LoginError};
use crate::secret::random_unit;
use crate::vendor::carrier::{Request, Response};
use crate::vendor::{OpenAi, wire};

/// How long the token must still live: as for anybody else who borrows one.
const MIN_TTL: Duration = Duration::from_secs(60);
/// Times that a request is sent, where what failed may pass.
const MOST_TRIES: u32 = 3;
/// Parameters that one request may lose to refusals: they are named one at a time.
const MOST_HEALS: u32 = 8;
/// The pause before the second try; it doubles before the third.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A longer pause is the client's to make: it is told how long.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The longest refusal that is read.
const MAX_REFUSAL_BYTES: usize = 256 * 1024;

/// What one completion is sent with.
pub(super) struct Attempt<'a> {
    pub(super) inner: &'a Inner,
    pub(super) ask: &'a Ask,
    pub(super) vendor: Arc<OpenAi>,
    pub(super) login: Login,
    pub(super) route: Route,
    pub(super) settings: config::Relay,
    /// The client reads failures of its own request as events of a stream.
    pub(super) events: bool,
}

/// A try that came to nothing.
struct Setback {
    failure: Failure,
    /// The refusal as it came, for finding the parameter in it.
    body: Bytes,
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self { failure, body: Bytes::new() }
    }
}

impl Attempt<'_> {
    /// Sends `body` until an answer begins or nothing more can be done; what is lost on the way is added
    /// to `dropped`.
    pub(super) async fn carry(
        &self,
        mut body: Bytes,
        dropped: &mut Vec<String>,
    ) -> Result<(HeaderMap, Flow), Failure> {
        let (mut tries, mut heals, mut renewed) = (1, 0, false);
        let mut lent = self.login.lend(MIN_TTL).await?;
        loop {
            let Setback { failure, body: refusal } = match self.once(&lent, body.clone()).await {
                Ok(begun) => return Ok(begun),
                Err(failed) => failed,
            };
            if is_status(&failure, 401) && !renewed {
                renewed = true;
                let next = self.login.reject(lent.generation, MIN_TTL).await?;
                if next.generation != lent.generation {
                    lent = next;
                    continue;
                }
                self.still_renewing()?;
            }
            if heals < MOST_HEALS
                && is_status(&failure, 400)
                && let Some(parameter) = sanitise::unsupported_parameter(&refusal)
                && let Some(without) = sanitise::without(&body, &parameter)
            {
                heals += 1;
                self.inner.learn(&self.ask.named.vendor, &parameter);
                dropped.push(parameter);
                body = without.into();
                continue;
            }
            match pause(&failure, tries) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure),
            }
            tries += 1;
            // The token may have been renewed while we waited.
            lent = self.login.lend(MIN_TTL).await?;
        }
    }

    /// Where the token that was refused could not be renewed just now, signing in again is not what helps.
    fn still_renewing(&self) -> Result<(), Failure> {
        let status = self.login.status();
        match (status.state, status.last_error) {
            (State::Degraded, Some(problem)) => Err(Failure::Login(LoginError::Unreachable {
                message: problem.message,
                retry_after: PAUSE,
            })),
            _ => Ok(()),
        }
    }

    async fn once(&self, lent: &Lent, body: Bytes) -> Result<(HeaderMap, Flow), Setback> {
        let routing = self.route.override_header.as_deref();
        let request = Request {
            method: Method::POST,
            url: &self.vendor.responses_url(&self.route.api_base),
            headers: &headers::there(&self.ask.headers, &lent.headers, routing, wire::AGENT),
            body,
            connect_timeout: self.settings.connect_timeout,
            first_byte_timeout: self.settings.first_byte_timeout,
        };
        let sent = self.inner.carrier.send(request).await;
        let Response { status, headers, body: incoming } =
            sent.map_err(|error| match error.timeout {
                Some(which) => Failure::Timeout { which },
                None => Failure::Unreachable(error.message),
            })?;
        if status != StatusCode::OK || headers::is_document(&headers) {
            let reading = incoming.whole(MAX_REFUSAL_BYTES);
            let read = tokio::time::timeout(self.settings.idle_timeout, reading).await;
            // A refusal without its words is still a refusal.
            let body = read.ok().and_then(Result::ok).unwrap_or_default();
            self.inner.uses.observe_headers(&self.ask.named, &headers, self.inner.clock.now());
            let failure =
                verdict::refused(status.as_u16(), &headers, &body, self.inner.clock.now());
            return Err(Setback { failure, body });
        }
        let mut flow = Flow::new(incoming, self.settings.idle_timeout);
        flow.hold().await?;
        if let Some(failed) = self.told_at_once(&flow) {
            return Err(verdict::failed(failed).into());
        }
        Ok((headers, flow))
    }

    /// A failure told in the place of an answer, where a status says it better than an event.
    fn told_at_once<'a>(&self, flow: &'a Flow) -> Option<&'a Failed> {
        let seen = flow.seen();
        match &seen.end {
            Some(End::Failed(failed) | End::Error(failed)) if !seen.content => {
                (!self.events || verdict::is_for_the_status(failed)).then_some(failed)
            }
            _ => None,
        }
    }
}

fn is_status(failure: &Failure, status: u16) -> bool {
    matches!(failure, Failure::Api(error) if error.status == status)
}

/// How long to wait before the next try; nothing where there is none to be made.
fn pause(failure: &Failure, tries: u32) -> Option<Duration> {
    if tries >= MOST_TRIES || !verdict::passes(failure) {
        return None;
    }
    let asked = match failure {
        Failure::Api(error) => error.retry_after,
        _ => None,
    };
    let usual = FIRST_PAUSE * 2u32.pow(tries - 1);
    let pause = asked.unwrap_or_default().max(usual.mul_f64(0.5 + random_unit()));
    (pause <= LONGEST_PAUSE).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::super::failure::ApiError;
    use super::*;

    fn overloaded(retry_after: Option<Duration>) -> Failure {
        ApiError { status: 503, retry_after, ..ApiError::default() }.into()
    }

    #[test]
    fn pauses_are_jittered_grow_and_are_few() {
        for _ in 0..100 {
            let (first, second) = (pause(&overloaded(None), 1), pause(&overloaded(None), 2));
            assert!(
                first.is_some_and(|pause| (100..=300).contains(&pause.as_millis())),
                "{first:?}"
            );
            assert!(
                second.is_some_and(|pause| (200..=600).contains(&pause.as_millis())),
                "{second:?}"
            );
        }
        assert_eq!(pause(&overloaded(None), MOST_TRIES), None);
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept_or_left_to_the_client() {
        let asked = Some(Duration::from_secs(1));
        assert_eq!(pause(&overloaded(asked), 1), asked);
        assert_eq!(pause(&overloaded(Some(Duration::from_secs(30))), 1), None);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [400, 401, 403, 404, 413, 429, 500] {
            let failure = ApiError { status, ..ApiError::default() }.into();
            assert_eq!(pause(&failure, 1), None, "{status}");
        }
        assert!(pause(&Failure::Unreachable("refused".into()), 1).is_some());
        assert_eq!(pause(&Failure::Timeout { which: "first_byte" }, 1), None);
    }
}

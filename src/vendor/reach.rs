//! Whether a vendor is there at all, and what time it is there.
//!
//! For a person who looks for a fault: asked in the way in which the daemon asks (the same TLS roots, the
//! same proxies), of pages that the daemon asks for as well, and never with a token. What a vendor answers
//! does not matter here; that it answers does.

use std::time::Duration;

use reqwest::{Method, Url};

use super::wire::Wire;
use crate::clock::Clock;
use crate::config;

/// A vendor that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The HTTP status.
    pub status: u16,
    /// The vendor's clock less ours, in milliseconds; nothing where it did not tell the time.
    pub skew_millis: Option<i64>,
}

/// Asks the issuer for its public keys.
///
/// # Errors
/// Why there is no answer within `patience`, in words.
pub async fn issuer(
    vendor: &config::Vendor,
    clock: &Clock,
    patience: Duration,
) -> Result<Reached, String> {
    ask(&vendor.issuer, Method::GET, "/.well-known/jwks.json", vendor, clock, patience).await
}

/// Asks the API for the head of its list of models. Without a token it answers with a refusal.
///
/// # Errors
/// Why there is no answer within `patience`, in words.
pub async fn api(
    vendor: &config::Vendor,
    clock: &Clock,
    patience: Duration,
) -> Result<Reached, String> {
    ask(&vendor.api_base, Method::HEAD, "/codex/models", vendor, clock, patience).await
}

async fn ask(
    base: &Url,
    method: Method,
    path: &str,
    vendor: &config::Vendor,
    clock: &Clock,
    patience: Duration,
) -> Result<Reached, String> {
    let wire = Wire::new(base.clone(), &vendor.originator, clock.clone());
    let asked = async {
        let request = wire.request(method, path)?;
        wire.send(request).await
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(Ok(answer)) => Ok(Reached {
            status: answer.status.as_u16(),
            skew_millis: answer.is_dated.then_some(answer.skew_millis),
        }),
        Ok(Err(error)) => Err(error.message),
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vendor::sandbox::{Options, Sandbox};

    const PATIENCE: Duration = Duration::from_secs(5);

    fn vendor(issuer: &str) -> config::Vendor {
        let url = |text: &str| Url::parse(text).expect("a URL");
        config::Vendor {
            issuer: url(issuer),
            api_base: url(&format!("{issuer}/backend-api")),
            ..config::Vendor::sandbox()
        }
    }

    #[tokio::test]
    async fn a_vendor_that_answers_is_there_and_tells_its_time() {
        let sandbox = Sandbox::start(Options::default()).await.expect("it starts");
        let vendor = vendor(sandbox.url());
        let reached = issuer(&vendor, &Clock::System, PATIENCE).await.expect("it answers");
        assert_eq!(reached, Reached { status: 200, skew_millis: Some(0) });
        let reached = api(&vendor, &Clock::System, PATIENCE).await.expect("it refuses");
        assert_eq!(reached.status, 401);
        sandbox.stop().await;
        assert!(issuer(&vendor, &Clock::System, PATIENCE).await.is_err());
    }

    #[tokio::test]
    async fn one_that_is_silent_is_waited_for_no_longer_than_told() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let vendor = vendor(&format!("http://{}", silent.local_addr().expect("bound")));
        let why = issuer(&vendor, &Clock::System, Duration::from_millis(100)).await;
        assert_eq!(why, Err("no answer within 0 s".to_owned()));
    }
}

//! The browser's way back: a loopback listener that lives only while somebody is signing in (RFC 8252).
//!
//! Anything on the machine, and any page in any browser on it, can send requests here. So a hit is only
//! ever a question put to whoever knows the `state` of a login under way; this room neither knows one nor
//! decides, and the address it leaves in the browser's history holds no token.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::page::{self, Tone};

/// Hits waiting to be looked at: beyond them browsers wait.
const QUEUE: usize = 16;
/// The path that OpenAI has registered for native clients, with each of its ports.
const PATH: &str = "/auth/callback";

/// What came back with a browser (RFC 6749 sections 4.1.2 and 4.1.2.1, RFC 9207).
#[derive(Default, PartialEq, Eq)]
pub struct Returned {
    /// The authorization code.
    pub code: Option<String>,
    /// What ties it to the login that asked.
    pub state: Option<String>,
    /// Why there is no code.
    pub error: Option<String>,
    /// The same in words.
    pub error_description: Option<String>,
    /// Who says so.
    pub iss: Option<String>,
}

/// Without the code and the state, which together are worth a login.
impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Returned")
            .field("error", &self.error)
            .field("iss", &self.iss)
            .finish_non_exhaustive()
    }
}

impl Returned {
    /// Reads query parameters; one that stands there twice counts as none, as nobody can tell which is meant.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut returned = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "code" => &mut returned.code,
                "state" => &mut returned.state,
                "error" => &mut returned.error,
                "error_description" => &mut returned.error_description,
                "iss" => &mut returned.iss,
                _ => continue,
            };
            *place = seen.insert(name).then_some(value);
        }
        returned
    }
}

/// A browser that came back and waits for a page.
#[derive(Debug)]
pub struct Hit {
    /// With what.
    pub returned: Returned,
    /// Where the page goes.
    pub answer: oneshot::Sender<Page>,
}

/// What a browser is shown at the end: 200 for a login that is complete, 400 for anything else.
#[derive(Debug)]
pub struct Page {
    /// Whether the login is complete.
    pub done: bool,
    /// The heading, plain text.
    pub title: String,
    /// A sentence below it, plain text.
    pub text: String,
}

/// A running listener; it stops, once its last page is out, when this is dropped.
#[derive(Debug)]
pub struct Listening {
    /// Its port.
    pub port: u16,
    _stop: DropGuard,
}

impl Listening {
    /// The redirect URI that leads here.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://127.0.0.1:{}{PATH}", self.port)
    }
}

/// Listens on the first of `ports` that is free; nothing where none is.
pub async fn listen(ports: &[u16]) -> Option<(Listening, mpsc::Receiver<Hit>)> {
    for port in ports {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        let Ok(bound) = listener.local_addr() else { continue };
        let (sender, hits) = mpsc::channel(QUEUE);
        let stop = CancellationToken::new();
        let router =
            Router::new().route(PATH, get(returned)).fallback(elsewhere).with_state(sender);
        let ended = stop.clone().cancelled_owned();
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(ended).await {
                tracing::warn!(%error, "the callback listener ended");
            }
        });
        return Some((Listening { port: bound.port(), _stop: stop.drop_guard() }, hits));
    }
    None
}

async fn returned(
    State(hits): State<mpsc::Sender<Hit>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let (answer, page) = oneshot::channel();
    let sent = hits.send(Hit { returned: Returned::from_pairs(pairs), answer }).await;
    let page = match sent {
        Ok(()) => page.await.ok(),
        Err(_) => None,
    };
    respond(page.unwrap_or_else(|| Page {
        done: false,
        title: "This sign-in has ended".into(),
        text: "Start again with: valetkey login".into(),
    }))
}

async fn elsewhere() -> Response {
    let page = page::render(
        "Nothing here",
        "<p>valetkey waits on another path for a browser to come back.</p>",
        Tone::Plain,
    );
    (StatusCode::NOT_FOUND, HEADERS, Html(page)).into_response()
}

/// No cache keeps the page, no frame holds it, and its address travels nowhere.
const HEADERS: [(header::HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CONTENT_SECURITY_POLICY, page::POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

fn respond(page: Page) -> Response {
    let (status, tone) =
        if page.done { (StatusCode::OK, Tone::Good) } else { (StatusCode::BAD_REQUEST, Tone::Bad) };
    let body = format!("<p>{}</p>", page::escape(&page.text));
    (status, HEADERS, Html(page::render(&page.title, &body, tone))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_given_twice_is_not_believed() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let returned = Returned::from_pairs([
            pair("code", "a"),
            pair("state", "s"),
            pair("state", "t"),
            pair("x", "y"),
        ]);
        assert_eq!(returned, Returned { code: Some("a".into()), ..Returned::default() });
        let thrice =
            Returned::from_pairs([pair("state", "s"), pair("state", "t"), pair("state", "u")]);
        assert_eq!(thrice.state, None);
    }

    #[tokio::test]
    async fn busy_ports_are_passed_over_and_text_is_escaped() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = taken.local_addr().expect("an address").port();
        assert!(listen(&[port]).await.is_none());
        let (listening, mut hits) = listen(&[port, 0]).await.expect("a free port");
        let url = format!("{}?state=s&error=%3Cscript%3E", listening.redirect_uri());
        let browser = tokio::spawn(async move {
            reqwest::Client::builder().no_proxy().build().expect("a client").get(url).send().await
        });
        let hit = hits.recv().await.expect("a hit");
        assert_eq!(hit.returned.error.as_deref(), Some("<script>"));
        let text = hit.returned.error.unwrap_or_default();
        hit.answer.send(Page { done: false, title: "No".into(), text }).expect("the browser waits");
        let response = browser.await.expect("runs").expect("answers");
        assert_eq!(response.status(), 400);
        let body = response.text().await.expect("a body");
        assert!(body.contains("&lt;script&gt;") && !body.contains("<script"));
    }
}

//! The page's few routes, and what stands in the head of every answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::super::segment::Segment;
use super::super::{body, error};
use super::{Shared, gate};
use crate::access::peer::Peer;
use crate::rpc::connection;

/// Nothing but what this origin serves, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// In the head of every answer: no cache keeps it, no other page reads, frames or holds it, and the
/// address travels nowhere.
const HEADERS: [(HeaderName, &str); 8] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
];

const INDEX: &str = include_str!("index.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Takes the half of the session that is no cookie from the page that tells it to the storage.
const ENTER_SCRIPT: &str = include_str!("enter.js");

/// What is said to whoever has no session.
const CLOSED: (&str, &str) = (
    "This page is not open",
    "Run <code>valetkey open</code> in a terminal: it prints an address that opens the page once.",
);
const USED: (&str, &str) = (
    "This link does not work",
    "It has been used already, or it is older than two minutes. Run <code>valetkey open</code> for another.",
);
const AHEAD: (&str, &str) = (
    "This link is still good",
    "Something looked at it ahead of you. Open it as a page of its own to use it.",
);
const FOREIGN: (&str, &str) =
    ("This is not the way in", "The request came from another page, or was for another host.");
const NOTHING: (&str, &str) = ("Nothing here", "<a href=\"/\">To the page</a>");

/// The listener that the routes belong to.
#[derive(Clone, Debug)]
struct Door {
    shared: Arc<Shared>,
    port: u16,
}

pub(super) fn routes(shared: Arc<Shared>, port: u16) -> Router {
    let door = Door { shared, port };
    Router::new()
        .route("/", get(index))
        .route("/page.js", get(script))
        .route("/page.css", get(async || typed("text/css; charset=utf-8", STYLE)))
        .route("/enter.js", get(async || javascript(ENTER_SCRIPT)))
        .route("/enter/{link}", get(enter))
        .route("/rpc", post(rpc))
        .route("/leave", post(leave))
        .with_state(door.clone())
        .fallback({
            let door = door.clone();
            async move |request: Request| elsewhere(&door, &request)
        })
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(door, admit))
}

/// Lets a request through to the routes, or answers why not; puts the head on every answer.
async fn admit(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let host = gate::own_host(&parts, door.port);
    let foreign = match (&parts.method, &host) {
        (_, None) => true,
        (&Method::POST, Some(host)) => !gate::from_own_page(&parts.headers, host),
        _ => false,
    };
    let mut answer = if foreign {
        let peer = parts.extensions.get::<Peer>().cloned().unwrap_or_default();
        door.shared.refused(&peer);
        body::discard(&parts.headers, body).await;
        said(StatusCode::FORBIDDEN, FOREIGN)
    } else if parts.method == Method::POST && !gate::is_json(&parts.headers) {
        body::discard(&parts.headers, body).await;
        let message = "The body must be JSON, and say so.";
        let (status, kind) = (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error");
        error(status, kind, Some("unsupported_media_type"), message, None)
    } else if !matches!(parts.method, Method::GET | Method::POST) {
        // `HEAD` too: it would use up a link without showing anything.
        body::discard(&parts.headers, body).await;
        wrong_method().await
    } else {
        next.run(Request::from_parts(parts, body)).await
    };
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

async fn wrong_method() -> Response {
    let message = "This route does not take that method.";
    let code = Some("method_not_allowed");
    error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", code, message, None)
}

/// Exchanges a link for a session. Not by a redirect: on one that another site led to, the browser would
/// not send a strict cookie.
async fn enter(State(door): State<Door>, Segment(link): Segment, request: Request) -> Response {
    if !gate::is_opened(request.headers()) {
        return said(StatusCode::FORBIDDEN, AHEAD);
    }
    let entered = door.shared.table().enter(&link, door.shared.clock.now());
    let Some(entered) = entered else {
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_default();
        door.shared.refused(&peer);
        return said(StatusCode::FORBIDDEN, USED);
    };
    let text = format!(
        "<span id=\"half\" data-half=\"{}\"></span><noscript>This page needs JavaScript.</noscript>",
        entered.half
    );
    let mut answer = Html(page("One moment", &text, "<script src=\"/enter.js\" defer></script>"))
        .into_response();
    set_cookie(&mut answer, &format!("{}={}", gate::cookie_name(door.port), entered.cookie));
    answer
}

fn set_cookie(answer: &mut Response, pair_and_more: &str) {
    let cookie = format!("{pair_and_more}; HttpOnly; SameSite=Strict; Path=/");
    let cookie = HeaderValue::from_str(&cookie).expect("base64url and digits are printable");
    answer.headers_mut().insert(header::SET_COOKIE, cookie);
}

async fn index(State(door): State<Door>, request: Request) -> Response {
    seen(&door, &request, || Html(INDEX).into_response())
}

async fn script(State(door): State<Door>, request: Request) -> Response {
    seen(&door, &request, || javascript(SCRIPT))
}

fn elsewhere(door: &Door, request: &Request) -> Response {
    seen(door, request, || said(StatusCode::NOT_FOUND, NOTHING))
}

/// For who has the cookie; who has not is told how to get in.
fn seen(door: &Door, request: &Request, answer: impl FnOnce() -> Response) -> Response {
    let shown = gate::shown(request.headers(), door.port);
    let may = door.shared.table().may_see(&shown, door.shared.clock.now());
    if may { answer() } else { said(StatusCode::FORBIDDEN, CLOSED) }
}

/// One message or one batch, as on the socket, of the methods that are for a page.
async fn rpc(
    State(door): State<Door>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let (shared, shown) = (&door.shared, gate::shown(&parts.headers, door.port));
    if !shared.table().may_call(&shown, shared.clock.now()) {
        body::discard(&parts.headers, body).await;
        return no_session();
    }
    let body = match body::read(&parts.headers, body, &shared.bounds).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let answer = connection::exchange(&shared.calls, peer, &body, shared.bounds.budget()).await;
    if answer.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    ([(header::CONTENT_TYPE, "application/json")], answer).into_response()
}

/// Ends this page's session; nobody is signed out.
async fn leave(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    body::discard(&parts.headers, body).await;
    let shown = gate::shown(&parts.headers, door.port);
    if !door.shared.table().leave(&shown, door.shared.clock.now()) {
        return no_session();
    }
    door.shared.left.notify_one();
    let mut answer = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut answer, &format!("{}=; Max-Age=0", gate::cookie_name(door.port)));
    answer
}

fn no_session() -> Response {
    let message = "This page's session has ended. Run `valetkey open` for another.";
    let (status, kind) = (StatusCode::UNAUTHORIZED, "invalid_request_error");
    error(status, kind, Some("no_session"), message, None)
}

fn javascript(text: &'static str) -> Response {
    typed("text/javascript; charset=utf-8", text)
}

fn typed(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn said(status: StatusCode, (title, text): (&str, &str)) -> Response {
    (status, Html(page(title, text, ""))).into_response()
}

/// A small page. Whatever is put into it stands in this file.
fn page(title: &str, text: &str, head: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · valetkey</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"/page.css\">\n{head}\n</head>\n\
         <body class=\"note\">\n<main>\n<h1>{title}</h1>\n<p>{text}</p>\n</main>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_small_and_ask_for_nothing_from_elsewhere() {
        let files = [INDEX, STYLE, SCRIPT, ENTER_SCRIPT];
        let bytes: usize = files.iter().map(|file| file.len()).sum();
        assert!(bytes < 48 * 1024, "{bytes} bytes");
        for file in files {
            for word in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "@import",
            ] {
                assert!(!file.contains(word), "{word}");
            }
            for at in file.match_indices("://").map(|(at, _)| at) {
                let from = &file[at.saturating_sub(5)..file.len().min(at + 30)];
                assert!(
                    from.contains("www.w3.org")
                        || from.contains("127.0.0.1")
                        || from.contains("localhost"),
                    "{from}"
                );
            }
        }
        for inline in ["style=", "<style", " onclick", " onload", " onerror", " onsubmit"] {
            assert!(!INDEX.contains(inline), "the policy forbids {inline}");
        }
    }
}

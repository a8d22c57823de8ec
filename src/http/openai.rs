//! OpenAI's API as its own libraries speak it: completions and models under `/v1`.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;

use super::segment::Segment;
use super::{Caller, Shared, body};
use crate::login::LoginError;
use crate::login::directory::Named;
use crate::meter::Via;
use crate::relay::forms::{self, Cut, Events};
use crate::relay::models::Known;
use crate::relay::{Ask, Carried, Failure, headers};

/// Names what was dropped of a request, so that nobody believes a limit to hold that was never sent.
const DROPPED: &str = "x-valetkey-dropped";

/// The longest such list: many clients take no larger heads than 8 KiB in all.
const MAX_LIST_BYTES: usize = 2048;

/// The routes.
pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/v1/responses", post(responses).get(websocket))
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
}

async fn responses(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    complete(&shared, caller, Via::HttpResponses, request).await
}

async fn chat(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    complete(&shared, caller, Via::HttpChat, request).await
}

/// The Codex CLI tries a WebSocket first, and falls back cleanly on this.
async fn websocket(headers: HeaderMap) -> Response {
    let (status, code) = if headers.contains_key(header::UPGRADE) {
        (StatusCode::UPGRADE_REQUIRED, "upgrade_required")
    } else {
        (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed")
    };
    let message = "Responses are asked for with POST here; there is no WebSocket.";
    super::error(status, "invalid_request_error", Some(code), message, None)
}

async fn complete(shared: &Shared, caller: Caller, via: Via, request: Request) -> Response {
    let (parts, content) = request.into_parts();
    let codex = headers::is_codex(&parts.headers);
    let body = match body::read(&parts.headers, content, &shared.bounds).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let whose = match whose(shared, &caller) {
        Ok(named) => named,
        Err(error) => return refused(&error.into(), codex),
    };
    let ask = Ask {
        via,
        client: caller.name.clone(),
        named: whose.clone(),
        headers: parts.headers,
        body,
    };
    let line = shared.dispatcher.line(&caller.peer, caller.key(), via.method(), whose);
    let answer = match shared.relay.carry(ask).await {
        Ok(carried) => answered(carried).await,
        Err(failure) => Err((failure, HeaderMap::new())),
    };
    line.ends(answer.as_ref().err().map_or("ok", |(failure, _)| failure.kind()));
    answer.unwrap_or_else(|(failure, back)| {
        let mut response = refused(&failure, codex);
        response.headers_mut().extend(back);
        response
    })
}

/// Through whose login a request goes: the key's, or on the socket that of who names nobody.
fn whose(shared: &Shared, caller: &Caller) -> Result<Named, LoginError> {
    match &caller.bound {
        Some(named) => Ok(named.clone()),
        None => shared.logins.name(None, None),
    }
}

async fn known(shared: &Shared, caller: &Caller) -> Result<Arc<Known>, Failure> {
    let named = whose(shared, caller)?;
    Ok(shared.relay.catalogue().known(&shared.logins, &shared.clock, &named).await?)
}

/// The answer, begun or whole; where it broke off, why, and the headers that come back all the same.
async fn answered(carried: Carried) -> Result<Response, (Failure, HeaderMap)> {
    let mut back = carried.headers.clone();
    if let Some(dropped) = listed(&carried.dropped) {
        back.insert(DROPPED, dropped);
    }
    let mut response = if carried.stream {
        back.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let body = Body::new(Stream(Events::new(carried)));
        with_body(StatusCode::OK, "text/event-stream; charset=utf-8", body)
    } else {
        match forms::whole(carried).await {
            Ok(object) => with_body(StatusCode::OK, "application/json", object.into()),
            Err(failure) => return Err((failure, back)),
        }
    };
    response.headers_mut().extend(back);
    Ok(response)
}

/// Names as a header's value. They are the client's own, and what no header can hold is told as `?`.
fn listed(names: &[String]) -> Option<HeaderValue> {
    if names.is_empty() {
        return None;
    }
    let fit = |c: char| if c.is_ascii_graphic() && c != ',' { c } else { '?' };
    let mut list = String::new();
    for name in names {
        if list.len() + name.len() > MAX_LIST_BYTES {
            break;
        }
        list.push_str(if list.is_empty() { "" } else { ", " });
        list.extend(name.chars().map(fit));
    }
    HeaderValue::try_from(list).ok()
}

fn refused(failure: &Failure, codex: bool) -> Response {
    let status = StatusCode::from_u16(failure.status(codex)).unwrap_or(StatusCode::BAD_GATEWAY);
    let mut response = with_body(status, "application/json", failure.body().into());
    let headers = response.headers_mut();
    headers.extend(failure.headers().cloned().unwrap_or_default());
    if let Some(secs) = failure.retry_after_secs(codex) {
        headers.insert(header::RETRY_AFTER, secs.into());
    }
    if failure.is_final() {
        headers.insert("x-should-retry", HeaderValue::from_static("false"));
    }
    response
}

fn with_body(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// `GET /v1/models`: OpenAI's list and the Codex catalogue in one body, with the catalogue's `ETag`.
async fn models(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let known = match known(&shared, &caller).await {
        Ok(known) => known,
        Err(failure) => return refused(&failure, headers::is_codex(&headers)),
    };
    let etag = known.etag.as_deref().and_then(|etag| HeaderValue::from_str(etag).ok());
    let held = headers.get(header::IF_NONE_MATCH);
    let mut response = if etag.is_some() && held == etag.as_ref() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        with_body(StatusCode::OK, "application/json", known.body.clone().into())
    };
    if let Some(etag) = etag {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

/// `GET /v1/models/{id}`
async fn model(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Response {
    let codex = headers::is_codex(&headers);
    match known(&shared, &caller).await {
        Ok(known) => match known.one(&id) {
            Some(model) => with_body(StatusCode::OK, "application/json", model.into()),
            None => {
                let models = known.ids.clone();
                refused(&Failure::UnknownModel { asked: id, models }, codex)
            }
        },
        Err(failure) => refused(&failure, codex),
    }
}

/// An answer's stream as a body: the connection's own task reads it from upstream, piece by piece.
struct Stream(Events);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.0.poll_next(cx).map(|piece| piece.map(|bytes| bytes.map(Frame::data)))
    }
}

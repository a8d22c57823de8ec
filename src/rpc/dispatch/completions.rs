//! Completions over the line dialect: the answer as one object, and before it, where the client asks
//! for a stream, every event as a notification that names the call.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Surface;
use super::trail::{Line, Trail};
use crate::meter::Via;
use crate::relay::chat::Chunks;
use crate::relay::flow::Piece;
use crate::relay::forms::{self, EVENT_BYTES};
use crate::relay::rebuild::Gather;
use crate::relay::sse::Decoder;
use crate::relay::{Ask, Carried, Failure, sanitise};
use crate::rpc::connection::Outbox;
use crate::rpc::error::{Kind, RpcError};

/// The way of a completion that a method carries, if it carries one.
pub(super) fn via(method: &str) -> Option<Via> {
    match method {
        "responses.create" => Some(Via::RpcResponses),
        "chat.completions.create" => Some(Via::RpcChat),
        _ => None,
    }
}

/// Whether notifications come before the answer.
pub(super) fn wants_stream(params: Option<&RawValue>) -> bool {
    #[derive(Deserialize)]
    struct Wish {
        #[serde(default)]
        stream: Option<bool>,
    }
    let wish = params.and_then(|params| serde_json::from_str::<Wish>(params.get()).ok());
    wish.is_some_and(|wish| wish.stream == Some(true))
}

/// One completion.
pub(super) struct Call {
    pub(super) surface: Arc<Surface>,
    pub(super) trail: Trail,
    pub(super) outbox: Outbox,
    pub(super) via: Via,
}

impl Call {
    /// Runs it to its end.
    pub(super) async fn run(
        self,
        id: Option<Box<RawValue>>,
        params: Option<Box<RawValue>>,
    ) -> Result<Box<RawValue>, RpcError> {
        let ask = self.ask(params.as_deref().map_or("{}", RawValue::get))?;
        let line = Line::begin(self.trail.branch(), self.via.method(), ask.named.clone());
        let object = self.carry(ask, id.as_deref()).await;
        line.ends(object.as_ref().err().map_or("ok", Failure::kind));
        let text = String::from_utf8(object?).map_err(|_| unreadable())?;
        RawValue::from_string(text).map_err(|_| unreadable())
    }

    async fn carry(&self, ask: Ask, id: Option<&RawValue>) -> Result<Vec<u8>, Failure> {
        let carried = self.surface.relay.carry(ask).await?;
        match (carried.stream, id) {
            (true, Some(id)) => self.stream(carried, id).await,
            _ => forms::whole(carried).await,
        }
    }

    /// The body is the API's own, but for whose login it shall go through.
    fn ask(&self, params: &str) -> Result<Ask, RpcError> {
        #[derive(Default, Deserialize)]
        struct Whose {
            vendor: Option<String>,
            account: Option<String>,
        }
        let whose: Whose = serde_json::from_str(params).map_err(|error| {
            RpcError::new(Kind::InvalidParams, format!("The parameters do not fit: {error}."))
        })?;
        let logins = &self.surface.logins;
        let named = logins.name(whose.vendor.as_deref(), whose.account.as_deref())?;
        let mut body = params.as_bytes().to_vec();
        // A `null` among them names nobody, and is no more the API's than a name.
        for name in ["vendor", "account"] {
            body = sanitise::without(&body, name).unwrap_or(body);
        }
        Ok(Ask {
            via: self.via,
            client: self.trail.client_name(),
            named,
            headers: HeaderMap::new(),
            body: Bytes::from(body),
        })
    }

    /// Sends every event on, and gives the final object.
    async fn stream(&self, carried: Carried, id: &RawValue) -> Result<Vec<u8>, Failure> {
        let Carried { mut flow, chat, .. } = carried;
        let mut chunks = chat.as_ref().map(Chunks::new);
        let (mut decoder, mut gather) = (Decoder::new(EVENT_BYTES), Gather::new());
        let mut lines = Vec::new();
        while let Some(piece) = flow.piece().await {
            let Piece::Bytes(bytes) = piece? else { continue };
            let fed = decoder.feed(&bytes, &mut |event| {
                gather.event(event.name, &event.data);
                match &mut chunks {
                    None => line(&mut lines, "responses.event", id, "event", event.data.as_bytes()),
                    Some(chunks) => {
                        let before = lines.len();
                        chunks.event(&event.data, &mut |chunk| {
                            line(&mut lines, "chat.completions.chunk", id, "chunk", chunk);
                        });
                        if chunks.failed() {
                            // It becomes the answer.
                            lines.truncate(before);
                        }
                    }
                }
            });
            fed.map_err(|error| Failure::Broken(error.to_string()))?;
            if lines.is_empty() {
                continue;
            }
            if self.outbox.lines(std::mem::take(&mut lines)).await.is_err() {
                return Err(Failure::Broken("the client is gone".to_owned()));
            }
            // The connection is a task of its own: it writes what it has before more is worked on.
            tokio::task::yield_now().await;
        }
        forms::object(gather, chat.as_ref())
    }
}

fn unreadable() -> RpcError {
    RpcError::new(Kind::InternalError, "the answer could not be written")
}

/// Appends one notification. What is no JSON is left out: a client's reader would break at it.
fn line(lines: &mut Vec<u8>, method: &str, id: &RawValue, name: &str, json: &[u8]) {
    if serde_json::from_slice::<&RawValue>(json).is_err() {
        return;
    }
    let head = [
        r#"{"jsonrpc":"2.0","method":""#,
        method,
        r#"","params":{"id":"#,
        id.get(),
        r#",""#,
        name,
        r#"":"#,
    ];
    head.iter().for_each(|part| lines.extend_from_slice(part.as_bytes()));
    let begin = lines.len();
    lines.extend_from_slice(json);
    // White space between members may be a line's end, which here would end the message.
    for byte in &mut lines[begin..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    lines.extend_from_slice(b"}}\n");
}

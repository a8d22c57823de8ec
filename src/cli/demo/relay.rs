//! The part of the demo in which completions travel through the login.

use std::time::{Duration, Instant};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::rpc::{LeaseParams, Leased, Models, ModelsParams};

use super::super::Done;
use super::super::failure::{Exit, Failure};
use super::super::words::plain;
use super::{Demo, spinner, told};

/// What the stand-in model says.
const REPLY: &str = "Hello! This came through your one login, and no token left the daemon.";

/// The pause between two of its words: long enough to tell a stream from an answer in one piece.
const WORD_MS: u64 = 30;

/// What the model is asked, over HTTP and over the socket.
const QUESTION: &str = "Say hello.";

impl Demo {
    /// One completion as a program on the socket asks for it.
    pub(super) fn ask_on_the_socket(&mut self) -> Done {
        let waiting = spinner("asking the stand-in model over the socket");
        self.stage.sandbox_post("settings", &json!({"reply": REPLY, "event_delay_ms": WORD_MS}))?;
        let model = self.model()?;
        let input =
            json!([{ "role": "user", "content": [{ "type": "input_text", "text": QUESTION }] }]);
        let request = json!({ "model": model, "input": input, "stream": true });
        let request = to_raw_value(&request).map_err(std::io::Error::from)?;
        let mut pieces: Vec<(Instant, String)> = Vec::new();
        let began = Instant::now();
        let response: Box<RawValue> =
            self.stage.client()?.call_raw("responses.create", &request, &mut |_, told| {
                pieces.extend(piece_in(told).map(|piece| (Instant::now(), piece)));
            })?;
        self.stage.sandbox_post("settings", &json!({"event_delay_ms": 0}))?;
        let text: String = pieces.iter().map(|(_, piece)| piece.as_str()).collect();
        self.check("the streamed text is what the model said", text == REPLY, || plain(&text))?;
        let spread = match (pieces.first(), pieces.last()) {
            (Some((first, _)), Some((last, _))) => last.duration_since(*first),
            _ => Duration::ZERO,
        };
        // Half of the pauses between its words are enough: a busy machine may run two together.
        let pauses = u32::try_from(pieces.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let streamed = pauses > 0 && spread >= Duration::from_millis(WORD_MS) * pauses / 2;
        self.check("each word comes when it is said", streamed, || {
            format!("{} pieces within {} ms", pieces.len(), spread.as_millis())
        })?;
        let response: Value = serde_json::from_str(response.get()).unwrap_or_default();
        let whole = text_in(&response);
        self.check("the final response is whole", whole == REPLY, || response.to_string())?;
        waiting.finish_and_clear();
        let first = pieces.first().map_or(Duration::ZERO, |(at, _)| at.duration_since(began));
        told(
            "A question over the socket, and a streamed answer",
            &format!("{} pieces, the first after {} ms: {REPLY}", pieces.len(), first.as_millis()),
        )
    }

    /// One as a program asks for it that knows nothing but a URL and a key.
    pub(super) fn ask_over_http(&mut self) -> Result<Leased, Failure> {
        let waiting = spinner("asking over HTTP with a lease");
        let params = LeaseParams { client: "demo".to_owned(), ttl: None };
        let leased: Leased = self.stage.client()?.call("lease", &params)?;
        let request = json!({
            "model": self.model()?,
            "messages": [{ "role": "user", "content": QUESTION }],
            "temperature": 0.2,
            "stream": true,
        });
        let url = format!("{}/chat/completions", leased.base_url);
        let refused = self.stage.complete(&url, "vk_nobody", &request)?.status;
        self.check("a key that nobody made opens nothing", refused == 401, || {
            format!("HTTP {refused}")
        })?;
        let answer = self.stage.complete(&url, leased.key.expose(), &request)?;
        let (status, text) = (answer.status, chat_text(&answer.body));
        self.check("a lease opens the loopback door", status == 200, || {
            format!("HTTP {status}: {}", plain(&answer.body))
        })?;
        let same = text.as_deref() == Some(REPLY);
        self.check("chat chunks carry the same words", same, || plain(&answer.body))?;
        let dropped = answer.dropped.split(',').any(|name| name.trim() == "temperature");
        self.check("x-valetkey-dropped names what the API takes no part of", dropped, || {
            format!("{:?}", answer.dropped)
        })?;
        waiting.finish_and_clear();
        told(
            "The same over HTTP, in Chat Completions, with a lease for a key",
            &format!(
                "x-valetkey-dropped: {}, which the backend would have refused",
                answer.dropped
            ),
        )?;
        Ok(leased)
    }

    /// The token is refused by the API, and whoever asks never hears of it.
    pub(super) fn heal(&mut self, leased: &Leased) -> Done {
        let waiting = spinner("asking with a token that the API has just revoked");
        let before = self.stage.stats()?;
        self.stage.sandbox_post("revoke_access", &json!({}))?;
        let request = json!({ "model": self.model()?, "input": QUESTION });
        let url = format!("{}/responses", leased.base_url);
        let answer = self.stage.complete(&url, leased.key.expose(), &request)?;
        let response: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let good = answer.status == 200 && text_in(&response) == REPLY;
        self.check("the client gets its answer all the same", good, || {
            format!("HTTP {}: {}", answer.status, plain(&answer.body))
        })?;
        let used = self.stage.stats()?.refreshes - before.refreshes;
        self.check("one refresh healed it", used == 1, || format!("{used} refreshes"))?;
        waiting.finish_and_clear();
        told(
            "The API revoked the token in mid-session, and the client saw nothing of it",
            "one 401, one refresh, the same request again, one answer",
        )
    }

    fn model(&self) -> Result<String, Failure> {
        let known: Models = self.stage.client()?.call("models", &ModelsParams::default())?;
        let first = known.models.into_iter().next().map(|model| model.id);
        first.ok_or_else(|| Failure::new(Exit::Failed, "the stand-in vendor lists no model"))
    }
}

/// The piece of text that a notification carries, if any.
fn piece_in(notification: &RawValue) -> Option<String> {
    let told: Value = serde_json::from_str(notification.get()).ok()?;
    let event = &told["event"];
    let is_text = event["type"] == "response.output_text.delta";
    is_text.then(|| event["delta"].as_str().map(str::to_owned))?
}

/// The text of a final response.
fn text_in(response: &Value) -> String {
    let items = response["output"].as_array().into_iter().flatten();
    let parts = items.flat_map(|item| item["content"].as_array().into_iter().flatten());
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The text of a stream of chat chunks; nothing where the stream has no end.
fn chat_text(body: &str) -> Option<String> {
    let mut text = String::new();
    for data in body.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim) {
        if data == "[DONE]" {
            return Some(text);
        }
        let chunk: Value = serde_json::from_str(data).ok()?;
        text.push_str(chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_a_stream_without_an_end_is_none() {
        let chunk = |text: &str| {
            format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
        };
        let body = format!(": keepalive\n\n{}{}", chunk("Hel"), chunk("lo"));
        assert_eq!(chat_text(&body), None);
        assert_eq!(chat_text(&format!("{body}data: [DONE]\n\n")).as_deref(), Some("Hello"));
        assert_eq!(chat_text("data: {\n\n"), None);
    }
}

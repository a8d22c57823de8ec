//! Chat Completions to Responses and back. Pure.
//!
//! Most programs speak Chat Completions; the API behind this login speaks Responses only. Neither way is a
//! tree of values built: what a person or a model wrote is copied as it stands, which is exact and costs
//! what copying costs. What cannot be carried is either refused, where leaving it out would change what is
//! answered (several answers, stop sequences, audio), or left out and told.
//!
//! What holds of every Responses request, however it came, is not decided here but in
//! [`sanitise`](super::sanitise), to which a translated request goes next.
//!
//! Source: OpenAI's API reference of both, and public issue threads where it leaves something open.

mod answer;
mod calls;
mod chunks;
mod completion;
mod failure;
mod json;
mod messages;
mod names;
mod parts;
mod path;
mod request;
mod tools;

pub use chunks::Chunks;
pub use completion::completion;

use super::sanitise::Refusal;
use names::Names;

/// A chat request, translated.
#[derive(Clone, Debug)]
pub struct Asked {
    /// A Responses request: system messages still stand in their place, the model is as it was named.
    pub body: Vec<u8>,
    /// Whether the client wants the answer as a stream.
    pub stream: bool,
    /// Members that were left out, as the client wrote them, those within others with their place
    /// (`messages[].name`). At most 64 of at most 80 characters.
    pub dropped: Vec<String>,
    include_usage: bool,
    /// The client speaks of functions, as before there were tools.
    legacy: bool,
    model: String,
    names: Names,
}

/// Translates a Chat Completions request.
///
/// # Errors
/// A [`Refusal`] for a body that is none, and for what cannot be carried without changing what is asked:
/// `n` above 1, `stop`, log probabilities, audio, files by id, unknown roles and parts.
pub fn request(body: &[u8]) -> Result<Asked, Refusal> {
    let body = std::str::from_utf8(body).map_err(|error| Refusal {
        message: format!("The body is not UTF-8 (at byte {}).", error.valid_up_to()),
        param: None,
        code: None,
    })?;
    request::translate(body)
}

/// Names told as dropped at most: they travel in a header.
const MAX_TOLD: usize = 64;

/// Characters of one such name at most, with its place.
const LONGEST_TOLD: usize = 80;

/// The members that were left out, each told once.
#[derive(Debug, Default)]
struct Told(Vec<String>);

impl Told {
    fn member(&mut self, name: &str) {
        let name: String = name.chars().take(LONGEST_TOLD).collect();
        if self.0.len() < MAX_TOLD && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    fn nested(&mut self, place: &str, name: &str) {
        self.member(&format!("{place}.{name}"));
    }
}

fn refuse(
    param: impl std::fmt::Display,
    code: &'static str,
    message: impl Into<String>,
) -> Refusal {
    Refusal { message: message.into(), param: Some(param.to_string()), code: Some(code) }
}

#[cfg(test)]
mod tests;

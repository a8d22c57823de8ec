//! What the backend refuses or requires of a request. Pure.
//!
//! The Codex backend takes a part of the Responses API only, wants some members set one way, and tells of
//! one mistake at a time. Here a request of any client becomes one that it takes: what is refused is left
//! out and named to the client, what would mean something else without it is refused with a sentence.
//! What the Codex CLI itself sends is right as it is, and passes byte for byte.

mod conversation;
mod input;
mod model;
pub(super) mod object;
mod parameter;
mod table;

use std::borrow::Cow;

use self::object::{Object, is_object, list, list_of, string, within_quotes};
use self::table::Does;
use crate::config::SystemPrompt;

pub use self::parameter::{unsupported_parameter, without};

/// What the model is told where the client tells it nothing: the backend wants some instructions.
const INSTRUCTIONS: &str = "You are a helpful assistant.";

/// Without it, what the model thought is lost to the next request: the backend keeps nothing.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// A request that cannot be carried: the client's own mistake, answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// What is wrong and what to do, as one sentence.
    pub message: String,
    /// Which member of the request.
    pub param: Option<String>,
    /// A word for programs, in the manner of OpenAI's `error.code`.
    pub code: Option<&'static str>,
}

/// What a request is shaped by.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// How system prompts travel.
    pub system: SystemPrompt,
    /// It comes from the Codex CLI itself: only what is refused is left out, nothing else touched.
    pub codex: bool,
    /// The slugs that exist, hidden ones included; empty where nobody knows.
    pub models: &'a [String],
    /// Parameters learned to be refused, as the backend named them (see [`unsupported_parameter`]).
    pub learned: &'a [String],
    /// Whether a model must have instructions; to the others, system prompts travel as developer messages.
    pub needs_instructions: &'a (dyn Fn(&str) -> bool + Sync),
}

/// A request as the backend takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaped {
    /// The request, JSON.
    pub body: Vec<u8>,
    /// Whether the client wants a stream; the backend gives nothing else.
    pub stream: bool,
    /// The model's slug.
    pub model: String,
    /// What was left out, by the names that the client used.
    pub dropped: Vec<String>,
    /// A name for the conversation, where the client gave it none.
    pub conversation: Option<String>,
}

/// Shapes a request to the Responses API.
///
/// # Errors
/// [`Refusal`] for what is no such request, and for what would mean something else without the parameter
/// that the backend does not take.
pub fn shape(body: &[u8], terms: &Terms<'_>) -> Result<Shaped, Refusal> {
    let request = read(body)?;
    let name = request.get("model").and_then(string).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| refuse("`model` is missing: name the model to ask.", "model"))?;
    let stream = match request.get("stream") {
        None | Some("null" | "false") => false,
        Some("true") => true,
        Some(_) => return Err(refuse("`stream` is true or false.", "stream")),
    };
    let mut changes = Changes { request: &request, made: Vec::new(), dropped: Vec::new() };
    changes.refused(terms.codex)?;
    let mut model = name.clone();
    if terms.codex {
        changes.indispensable();
    } else {
        let (slug, effort) = model::split(&name, terms.models);
        changes.model(&name, &slug, effort)?;
        model = Cow::Owned(slug.into_owned());
        changes.required();
        changes.prompts(terms.system, (terms.needs_instructions)(&model))?;
    }
    changes.learned(terms.learned);
    let nameless = !terms.codex && changes.get("prompt_cache_key").is_none();
    let conversation = nameless.then(|| {
        let input = changes.get("input").unwrap_or_default();
        conversation::name(changes.get("instructions"), input)
    });
    let Changes { made, dropped, .. } = changes;
    // Even an object written anew as it was is not byte for byte what came.
    let shaped = if made.is_empty() {
        body.to_vec()
    } else {
        let made: Vec<_> = made.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        request.with(&made).into_bytes()
    };
    Ok(Shaped { body: shaped, stream, model: model.into_owned(), dropped, conversation })
}

fn read(body: &[u8]) -> Result<Object<'_>, Refusal> {
    let refusal = |message: String| Refusal { message, param: None, code: Some("invalid_json") };
    let text = std::str::from_utf8(body)
        .map_err(|e| refusal(format!("The request is not UTF-8 (at byte {}).", e.valid_up_to())))?;
    if !is_object(text) {
        return Err(refusal("The request is to be a JSON object.".into()));
    }
    serde_json::from_str(text).map_err(|e| refusal(format!("The request is not JSON: {e}.")))
}

fn refuse(message: &str, param: &str) -> Refusal {
    Refusal { message: message.into(), param: Some(param.into()), code: Some("invalid_request") }
}

/// What is changed of a request.
struct Changes<'r, 'a> {
    request: &'r Object<'a>,
    /// By member; `None` where it is left out.
    made: Vec<(Cow<'r, str>, Option<Cow<'r, str>>)>,
    dropped: Vec<String>,
}

impl<'r> Changes<'r, '_> {
    fn set(&mut self, name: &'r str, value: impl Into<Cow<'r, str>>) {
        self.change(name, Some(value.into()));
    }

    fn change(&mut self, name: &'r str, value: Option<Cow<'r, str>>) {
        self.made.retain(|(known, _)| known != name);
        self.made.push((Cow::Borrowed(name), value));
    }

    /// A member as it stands after the changes so far; `null` is none.
    fn get(&self, name: &str) -> Option<&str> {
        let made = self.made.iter().find(|(known, _)| known == name);
        let value = made.map_or_else(|| self.request.get(name), |(_, value)| value.as_deref());
        value.filter(|value| *value != "null")
    }

    fn drop(&mut self, name: &'r str) {
        if self.request.get(name) != Some("null") {
            self.dropped.push(name.to_owned());
        }
        self.change(name, None);
    }

    /// Leaves out what the backend is known to refuse.
    fn refused(&mut self, codex: bool) -> Result<(), Refusal> {
        let request = self.request;
        for (name, value) in request.members() {
            match table::does(name, codex) {
                Some(Does::Drop | Does::DropForeign) => self.drop(name),
                Some(Does::Refuse(_)) if matches!(*value, "null" | "false") => {
                    self.change(name, None)
                }
                Some(Does::Refuse(why)) => {
                    let code = Some("unsupported_parameter");
                    return Err(Refusal { code, ..refuse(why, name) });
                }
                None => {}
            }
        }
        Ok(())
    }

    fn model(&mut self, name: &str, slug: &str, effort: Option<&str>) -> Result<(), Refusal> {
        if slug != name {
            self.set("model", object::quoted(slug));
        }
        let Some(effort) = effort else { return Ok(()) };
        let effort = object::quoted(effort);
        let reasoning = match self.request.get("reasoning").filter(|reasoning| *reasoning != "null")
        {
            None => format!(r#"{{"effort":{effort}}}"#),
            Some(reasoning) => {
                let object = Object::read(reasoning);
                let object =
                    object.ok_or_else(|| refuse("`reasoning` is an object.", "reasoning"))?;
                object.with(&[("effort", Some(&effort))])
            }
        };
        self.set("reasoning", reasoning);
        Ok(())
    }

    /// Sets what the backend takes one way only, where it is not set so.
    fn indispensable(&mut self) {
        if self.request.get("store") == Some("true") {
            self.dropped.push("store".into());
        }
        for (name, value) in [("store", "false"), ("stream", "true")] {
            if self.request.get(name) != Some(value) {
                self.set(name, value);
            }
        }
    }

    /// The same, and what the backend should know of a client that does not know it.
    fn required(&mut self) {
        self.indispensable();
        match self.request.get("service_tier").map(|tier| (tier, string(tier))) {
            Some((_, Some(tier))) if tier == "fast" => self.set("service_tier", r#""priority""#),
            Some((_, Some(tier))) if tier == "priority" => {}
            Some(_) => self.drop("service_tier"),
            None => {}
        }
        let encrypted = object::quoted(ENCRYPTED);
        match self.get("include").map(list) {
            None => self.set("include", format!("[{encrypted}]")),
            Some(Some(mut include)) if !include.contains(&&*encrypted) => {
                include.push(&encrypted);
                let include = list_of(&include);
                self.set("include", include);
            }
            Some(_) => {}
        }
    }

    /// Brings input and instructions into the backend's form.
    fn prompts(&mut self, system: SystemPrompt, needed: bool) -> Result<(), Refusal> {
        let request = self.request;
        let Some(input) = request.get("input").filter(|input| *input != "null") else {
            let chat = request.get("messages").is_some();
            let hint =
                if chat { " A request with `messages` goes to /v1/chat/completions." } else { "" };
            return Err(refuse(
                &format!("`input` is missing: send a text or a list of items.{hint}"),
                "input",
            ));
        };
        let system = match system {
            SystemPrompt::Instructions if !needed => SystemPrompt::Developer,
            system => system,
        };
        let items = input::shape(input, system)?;
        if let Cow::Owned(list) = items.list {
            self.set("input", list);
        }
        self.dropped.extend(items.dropped.into_iter().map(str::to_owned));
        let own = self.get("instructions").map(within_quotes);
        let mut texts: Vec<&str> =
            own.flatten().filter(|own| !own.is_empty()).into_iter().collect();
        if !items.system.is_empty() {
            if own == Some(None) {
                return Err(refuse("`instructions` is a text.", "instructions"));
            }
            texts.extend(items.system.iter().map(String::as_str));
            let instructions = format!("\"{}\"", texts.join(r"\n\n"));
            self.set("instructions", instructions);
        } else if texts.is_empty() && needed && own != Some(None) {
            self.set("instructions", object::quoted(INSTRUCTIONS));
        }
        Ok(())
    }

    /// Leaves out what the backend was found to refuse.
    fn learned(&mut self, parameters: &[String]) {
        let request = self.request;
        for parameter in parameters {
            let Some(path) = parameter::path(parameter) else { continue };
            let (first, rest) = (path[0], &path[1..]);
            let Some((name, _)) = request.members().iter().find(|(name, _)| name == first) else {
                continue;
            };
            match rest.last() {
                None if self.get(name).is_some() => self.drop(name),
                Some(last) if self.get(name).is_some_and(|value| parameter::has(value, last)) => {
                    let value = self.get(name).unwrap_or("null");
                    if let Some(left) = parameter::remove(value, rest, parameter::DEPTH) {
                        self.set(name, left);
                        self.dropped.push(parameter.clone());
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;

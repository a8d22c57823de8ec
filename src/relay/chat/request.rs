//! A Chat Completions request, turned into a Responses request.

use super::json::{self, Chat, List, Members, Object};
use super::messages::Translation;
use super::names::Names;
use super::{Asked, Told, refuse, tools};
use crate::relay::sanitise::Refusal;

/// Members that are carried in some form, or are meant for this side of the line only.
const CARRIED: [&str; 16] = [
    "model",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "verbosity",
    "service_tier",
    "prompt_cache_key",
    // Judged by `check`: what is left of them after that asks for nothing.
    "stop",
    "modalities",
];

/// What changes the meaning of the answer and cannot be carried. To drop these would answer another question.
fn check(chat: &Members<'_>) -> Result<(), Refusal> {
    let no = |name: &str, why: &str| Err(refuse(name, "unsupported_parameter", why));
    if chat.get("n").is_some_and(|n| number(n) != Some(1.0)) {
        return no("n", "One answer at a time: leave `n` out or set it to 1.");
    }
    if chat.get("stop").is_some_and(|stop| !json::is_empty(stop)) {
        return no("stop", "Stop sequences are not supported with this login: leave `stop` out.");
    }
    if chat.get("logprobs").is_some_and(|wish| wish != "false") {
        return no("logprobs", "Log probabilities are not available with this login.");
    }
    if chat.get("top_logprobs").is_some_and(|count| number(count) != Some(0.0)) {
        return no("top_logprobs", "Log probabilities are not available with this login.");
    }
    if chat.get("audio").is_some_and(|audio| !json::is_empty(audio)) {
        return no("audio", "Audio is not supported here: ask for text.");
    }
    let other_than_text = |modes| {
        let modes = json::elements(modes);
        modes.is_none_or(|modes| modes.iter().any(|mode| mode.get() != r#""text""#))
    };
    if chat.get("modalities").is_some_and(other_than_text) {
        return no("modalities", "Only text is supported here: leave `modalities` out.");
    }
    Ok(())
}

fn number(json: &str) -> Option<f64> {
    json::read(json)
}

/// Whether leaving the member out comes to the same.
fn asks_for_nothing(name: &str, value: &str) -> bool {
    json::is_empty(value)
        || matches!(
            (name, value),
            ("store" | "logprobs", "false") | ("top_logprobs", "0") | ("n", _)
        )
}

/// The translation. `body` is text already.
pub(super) fn translate(body: &str) -> Result<Asked, Refusal> {
    let Ok(Chat { messages, rest: chat }) = serde_json::from_str(body) else {
        return Err(not_a_request(body));
    };
    check(&chat)?;
    let model = chat.get("model").and_then(json::text).filter(|model| !model.is_empty());
    let Some(model) = model else {
        return Err(refuse("model", "missing_required_parameter", "The request names no `model`."));
    };
    let mut told = Told::default();
    let mut names = Names::default();
    let stream = truth(&chat, "stream")?.unwrap_or(false);
    let options: Members<'_> = chat.get("stream_options").and_then(json::read).unwrap_or_default();
    let include_usage = options.get("include_usage") == Some("true");

    let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 256);
    let mut request = Object::begin(&mut out);
    request.text("model", &model).raw("stream", if stream { "true" } else { "false" });
    put_input(request.member("input"), messages, &chat, &mut names, &mut told)?;
    let legacy = put_tools(&mut request, &chat, &mut names, &mut told)?;
    put_text_options(&mut request, &chat, &mut told)?;
    put_reasoning(&mut request, &chat, &mut told)?;
    put_tier(&mut request, &chat, &mut told);
    request.raw_if("prompt_cache_key", chat.get("prompt_cache_key"));
    request.end();

    for (name, value) in chat.iter() {
        if !CARRIED.contains(&name) && !asks_for_nothing(name, value) {
            told.member(name);
        }
    }
    let model = model.into_owned();
    Ok(Asked { body: out, stream, dropped: told.0, include_usage, legacy, model, names })
}

/// What to say of a body that is not an object of members as the API has them.
fn not_a_request(body: &str) -> Refusal {
    let message = match serde_json::from_str::<serde::de::IgnoredAny>(body) {
        Err(error) => format!("The body is not JSON: {error}."),
        Ok(_) if json::read::<Members<'_>>(body).is_some() => {
            return refuse("messages", "invalid_type", "`messages` is a list of objects.");
        }
        Ok(_) if body.trim_ascii_start().starts_with('{') => {
            "The body has more members than any request.".to_owned()
        }
        Ok(_) => "The body must be a JSON object.".to_owned(),
    };
    Refusal { message, param: None, code: None }
}

fn truth(chat: &Members<'_>, name: &str) -> Result<Option<bool>, Refusal> {
    match chat.get(name) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(refuse(name, "invalid_type", format!("`{name}` is true or false."))),
    }
}

fn put_input(
    out: &mut Vec<u8>,
    messages: Option<List<Members<'_>>>,
    chat: &Members<'_>,
    names: &mut Names,
    told: &mut Told,
) -> Result<(), Refusal> {
    let Some(List(messages)) = messages else {
        let hint = match (chat.get("input"), chat.get("prompt")) {
            (Some(_), _) => " A request with `input` belongs to /v1/responses.",
            (_, Some(_)) => " A request with `prompt` must be rewritten as messages.",
            _ => "",
        };
        let message = format!("The request has no `messages`.{hint}");
        return Err(refuse("messages", "missing_required_parameter", message));
    };
    if messages.is_empty() {
        return Err(refuse("messages", "invalid_value", "`messages` is empty."));
    }
    // The API wants the word JSON in its input before it writes JSON, and instructions are not input:
    // a system message that says it must stay in its place, as the developer's.
    let format = chat.get("response_format").and_then(json::read::<Members<'_>>);
    let json_object = format.is_some_and(|it| it.get("type") == Some(r#""json_object""#));
    let system = if json_object { "developer" } else { "system" };
    out.push(b'[');
    let mut translation = Translation::new(out, names, told, system);
    for (at, message) in messages.iter().enumerate() {
        translation.message(at, message)?;
    }
    out.push(b']');
    Ok(())
}

/// Gives whether the client speaks of functions, as before there were tools, and must be answered so.
fn put_tools(
    request: &mut Object<'_>,
    chat: &Members<'_>,
    names: &mut Names,
    told: &mut Told,
) -> Result<bool, Refusal> {
    let given = |name| chat.get(name).filter(|list| !json::is_empty(list));
    let legacy = given("tools").is_none() && given("functions").is_some();
    let choice = chat.get("tool_choice");
    if let Some(tools) = given("tools") {
        tools::put_tools(request.member("tools"), tools, names, told)?;
        if let Some(choice) = choice {
            tools::put_choice(request.member("tool_choice"), choice, names)?;
        }
        truth(chat, "parallel_tool_calls")?;
        request.raw_if("parallel_tool_calls", chat.get("parallel_tool_calls"));
    } else if let Some(functions) = given("functions") {
        tools::put_functions(request.member("tools"), functions, names, told)?;
        if let Some(choice) = chat.get("function_call") {
            tools::put_legacy_choice(request.member("tool_choice"), choice, names)?;
        }
        // The answer has room for one call.
        request.raw("parallel_tool_calls", "false");
    } else if choice.is_some_and(|choice| ![r#""auto""#, r#""none""#].contains(&choice)) {
        let message = "`tool_choice` asks for a tool, but there are no `tools`.";
        return Err(refuse("tool_choice", "invalid_value", message));
    }
    Ok(legacy)
}

/// `response_format` and `verbosity`, which Responses keeps under `text`.
fn put_text_options(
    request: &mut Object<'_>,
    chat: &Members<'_>,
    told: &mut Told,
) -> Result<(), Refusal> {
    let (format, verbosity) = (chat.get("response_format"), chat.get("verbosity"));
    if format.is_none() && verbosity.is_none() {
        return Ok(());
    }
    let mut text = Object::begin(request.member("text"));
    if let Some(format) = format {
        put_format(text.member("format"), format, told)?;
    }
    text.raw_if("verbosity", verbosity);
    text.end();
    Ok(())
}

fn put_format(out: &mut Vec<u8>, format: &str, told: &mut Told) -> Result<(), Refusal> {
    let path = "response_format";
    let given: Members<'_> = json::read(format).unwrap_or_default();
    let kind = given.get("type").and_then(json::text).unwrap_or_default();
    let mut written = Object::begin(out);
    match kind.as_ref() {
        "text" | "json_object" => written.text("type", &kind),
        "json_schema" => {
            let nested = given.get("json_schema").and_then(json::read);
            let schema: Members<'_> = nested.unwrap_or(given);
            for needed in ["name", "schema"] {
                if schema.get(needed).is_none() {
                    let path = format!("{path}.json_schema.{needed}");
                    let message = format!("A format by schema needs a `{needed}`.");
                    return Err(refuse(path, "missing_required_parameter", message));
                }
            }
            written.raw("type", r#""json_schema""#);
            let known = ["name", "description", "schema", "strict"];
            for name in known {
                written.raw_if(name, schema.get(name));
            }
            let others = schema.iter().filter(|(name, _)| *name != "type" && !known.contains(name));
            others.for_each(|(name, _)| told.nested("response_format.json_schema", name));
            &mut written
        }
        _ => {
            let message = "`response_format` is of type text, json_object or json_schema.";
            return Err(refuse(format!("{path}.type"), "invalid_value", message));
        }
    };
    written.end();
    Ok(())
}

/// `reasoning_effort`, or a `reasoning` object as the Responses API and several gateways have it.
fn put_reasoning(
    request: &mut Object<'_>,
    chat: &Members<'_>,
    told: &mut Told,
) -> Result<(), Refusal> {
    let (effort, object) = (chat.get("reasoning_effort"), chat.get("reasoning"));
    if effort.is_some_and(|effort| !json::is_string(effort)) {
        return Err(refuse("reasoning_effort", "invalid_type", "`reasoning_effort` is a word."));
    }
    let wish = object.map(|object| json::read::<Members<'_>>(object).unwrap_or_default());
    let effort = effort.or(wish.as_ref().and_then(|wish| wish.get("effort")));
    // A client that sends the object has somewhere to show what was thought, unless it says otherwise.
    let hidden = |wish: &Members<'_>| {
        wish.get("exclude") == Some("true") || wish.get("enabled") == Some("false")
    };
    let shown = wish.as_ref().filter(|wish| !hidden(wish) && effort != Some(r#""none""#));
    let summary = shown.map(|wish| wish.get("summary").unwrap_or(r#""auto""#));
    if effort.is_some() || summary.is_some() {
        let mut reasoning = Object::begin(request.member("reasoning"));
        reasoning.raw_if("effort", effort).raw_if("summary", summary);
        reasoning.end();
    }
    let known = ["effort", "summary", "exclude", "enabled"];
    for (name, _) in wish.iter().flat_map(Members::iter) {
        if !known.contains(&name) {
            told.nested("reasoning", name);
        }
    }
    Ok(())
}

/// The one tier that this login can ask for; `fast` is how the Codex CLI calls it.
fn put_tier(request: &mut Object<'_>, chat: &Members<'_>, told: &mut Told) {
    match chat.get("service_tier") {
        Some(r#""priority""# | r#""fast""#) => {
            request.raw("service_tier", r#""priority""#);
        }
        Some(_) => told.member("service_tier"),
        None => {}
    }
}

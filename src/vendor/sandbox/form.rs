//! What the backend refuses of a request's form, in its own words.
//!
//! The refusals are as narrow as reported of the real backend (openai/codex issue 26173, BerriAI/litellm
//! issue 21420) and go a little further: a member it is not known to accept is refused, so that a
//! client which works here has not come to rely on being forgiven.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::answers::{detail, json_answer};
use super::catalogue;

/// The members of a request that the backend is known to take.
const MEMBERS: &[&str] = &[
    "client_metadata",
    "include",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "service_tier",
    "store",
    "stream",
    "text",
    "tool_choice",
    "tools",
];

/// A refusal, in one of the two shapes that the backend has for them.
#[derive(Debug)]
pub(super) enum Flaw {
    /// `{"detail": ...}` with 400.
    Detail(String),
    /// OpenAI's own shape.
    Error { status: StatusCode, message: String, param: Option<String>, code: Option<&'static str> },
}

impl From<&str> for Flaw {
    fn from(text: &str) -> Self {
        Self::Detail(text.into())
    }
}

impl From<String> for Flaw {
    fn from(text: String) -> Self {
        Self::Detail(text)
    }
}

impl Flaw {
    fn invalid(param: String, message: String) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self::Error { status, message, param: Some(param), code: Some("invalid_value") }
    }

    fn missing(param: String) -> Self {
        Self::Error {
            status: StatusCode::BAD_REQUEST,
            message: format!("Missing required parameter: '{param}'."),
            param: Some(param),
            code: Some("missing_required_parameter"),
        }
    }

    pub(super) fn answer(self) -> Response {
        match self {
            Self::Detail(text) => detail(StatusCode::BAD_REQUEST, &text),
            Self::Error { status, message, param, code } => {
                let error = json!({ "message": message, "type": "invalid_request_error", "param": param, "code": code });
                json_answer(status, &json!({ "error": error }))
            }
        }
    }
}

/// What the backend says of a request's form, in the order in which it is reported to look.
pub(super) fn check(request: &Value, lite: bool) -> Result<(), Flaw> {
    let members = request.as_object().ok_or("The body must be an object")?;
    let model = request["model"].as_str().ok_or("Model is required")?;
    let Some(known_lite) = catalogue::uses_responses_lite(model) else {
        let refused = "model is not supported when using Codex with a ChatGPT account.";
        return Err(format!("The '{model}' {refused}").into());
    };
    if request["store"] != json!(false) {
        return Err("Store must be set to false".into());
    }
    if request["stream"] != json!(true) {
        return Err("Stream must be set to true".into());
    }
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("Unsupported parameter: {name}").into());
    }
    let input = request["input"].as_array().ok_or("Input must be a list")?;
    let said = request["instructions"].as_str().is_some_and(|text| !text.is_empty());
    // The stock Codex CLI 0.169 tells every model in developer messages what to do, and sends no
    // `instructions` even to those that take the older form.
    let told = input.iter().any(|item| item["role"] == "developer");
    if !(said || told || known_lite || lite) {
        return Err("Instructions are required".into());
    }
    if input.is_empty() {
        return Err("Input must not be empty".into());
    }
    input.iter().enumerate().try_for_each(|(at, item)| check_item(at, item))?;
    check_calls(input)?;
    check_tools(request, lite)
}

fn check_item(at: usize, item: &Value) -> Result<(), Flaw> {
    let members = item.as_object().ok_or("Input items must be objects")?;
    let kind = members.get("type").map_or(Some("message"), Value::as_str);
    // An id alone does no harm, and the stock Codex CLI sends one with every item: what cannot be
    // answered is an item whose content only a store could know.
    let unknown = kind == Some("item_reference")
        || kind == Some("reasoning") && !item["encrypted_content"].is_string();
    if unknown && let Some(id) = item["id"].as_str() {
        return Err(Flaw::Error {
            status: StatusCode::NOT_FOUND,
            message: format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false. \
                 Try again with `store` set to true, or remove this item from your input."
            ),
            param: Some("input".into()),
            code: None,
        });
    }
    match (kind, item["role"].as_str()) {
        (_, Some("system")) => Err("System messages are not allowed".into()),
        (Some("message"), Some(role @ ("user" | "assistant" | "developer"))) => {
            check_parts(at, role, &item["content"])
        }
        (Some("message"), _) => Err("Messages need a role: user, assistant or developer".into()),
        (Some(_), _) => Ok(()),
        (None, _) => Err("The type of an input item is a string".into()),
    }
}

/// What the model said comes back in other parts than what it was told.
fn check_parts(at: usize, role: &str, content: &Value) -> Result<(), Flaw> {
    let parts = match content {
        Value::String(_) => return Ok(()),
        Value::Array(parts) => parts,
        _ => return Err(Flaw::missing(format!("input[{at}].content"))),
    };
    let (known, names): (&[&str], _) = if role == "assistant" {
        (&["output_text", "refusal"], "'output_text' and 'refusal'")
    } else {
        (
            &["input_text", "input_image", "input_file"],
            "'input_text', 'input_image' and 'input_file'",
        )
    };
    for (nth, part) in parts.iter().enumerate() {
        let (kind, place) =
            (part["type"].as_str().unwrap_or_default(), format!("input[{at}].content[{nth}]"));
        if !known.contains(&kind) {
            return Err(Flaw::invalid(
                place,
                format!("Invalid value: '{kind}'. Supported values are: {names}."),
            ));
        }
        let good = match kind {
            "output_text" | "input_text" => part["text"].is_string(),
            "refusal" => part["refusal"].is_string(),
            "input_image" => part["image_url"].as_str().is_some_and(is_picture),
            _ => part["file_data"].is_string() || part["file_url"].is_string(),
        };
        if !good {
            return Err(Flaw::invalid(
                place,
                format!("The content of this '{kind}' part is not valid."),
            ));
        }
    }
    Ok(())
}

fn is_picture(url: &str) -> bool {
    url.starts_with("https://") || (url.starts_with("data:image/") && url.contains(";base64,"))
}

/// Every output belongs to a call, and every call has its output.
fn check_calls(input: &[Value]) -> Result<(), Flaw> {
    let mut open = BTreeSet::new();
    let mut known = BTreeSet::new();
    for item in input {
        let (Some(kind), Some(id)) = (item["type"].as_str(), item["call_id"].as_str()) else {
            continue;
        };
        if kind.ends_with("_call") {
            open.insert(id);
            known.insert(id);
        } else if kind.ends_with("_call_output") {
            open.remove(id);
            if !known.contains(id) {
                return Err(of_calls(format!(
                    "No tool call found for function call output with call_id {id}."
                )));
            }
        }
    }
    open.pop_first()
        .map_or(Ok(()), |id| Err(of_calls(format!("No tool output found for function call {id}."))))
}

fn of_calls(message: String) -> Flaw {
    Flaw::Error {
        status: StatusCode::BAD_REQUEST,
        message,
        param: Some("input".into()),
        code: None,
    }
}

/// Tools are flat here; those of Chat Completions are nested, and refused.
fn check_tools(request: &Value, lite: bool) -> Result<(), Flaw> {
    let tools = match &request["tools"] {
        Value::Null => &[][..],
        Value::Array(tools) => tools,
        _ => return Err("Tools must be a list".into()),
    };
    for (at, tool) in tools.iter().enumerate() {
        match tool["type"].as_str() {
            None => return Err("Unsupported tool type: None".into()),
            Some("function" | "custom") if !tool["name"].is_string() => {
                return Err(Flaw::missing(format!("tools[{at}].name")));
            }
            Some("function" | "custom") => (),
            Some(_) if lite => {
                return Err(Flaw::invalid(
                    format!("tools[{at}].type"),
                    "X-OpenAI-Internal-Codex-Responses-Lite only supports function tools, custom tools, and client-executed tool search.".into(),
                ));
            }
            Some(_) => (),
        }
    }
    let choice = &request["tool_choice"];
    if matches!(choice["type"].as_str(), Some("function" | "custom")) && !choice["name"].is_string()
    {
        return Err(Flaw::missing("tool_choice.name".into()));
    }
    let format = &request["text"]["format"];
    if format["type"] == "json_schema"
        && !(format["name"].is_string() && format["schema"].is_object())
    {
        return Err(Flaw::missing("text.format.name".into()));
    }
    Ok(())
}

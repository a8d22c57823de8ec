//! The models that the sandbox knows, in the catalogue shape that the stock Codex CLI reads.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::answers::{detail, json_answer};

/// Name, display name, and whether instructions and tools travel inside the input.
const MODELS: &[(&str, &str, bool)] = &[
    ("gpt-6.1-sol", "GPT-6.1-Sol", true),
    ("gpt-6-luna", "GPT-6-Luna", true),
    ("gpt-5.5", "GPT-5.5", false),
    ("gpt-5.5-review", "GPT-5.5-Review", false),
];

/// The one that works but is offered to nobody, as the real catalogue has some for an agent's own chores.
const HIDDEN: &str = "gpt-5.5-review";

/// What the client says of itself when it asks for the catalogue.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Version {
    client_version: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let query = Query::<Self>::from_request_parts(parts, state).await;
        Ok(query.map_or_else(|_| Self::default(), |Query(version)| version))
    }
}

/// Whether a model takes the lite form of a request; nothing where there is no such model.
pub(super) fn uses_responses_lite(model: &str) -> Option<bool> {
    MODELS.iter().find(|(slug, _, _)| *slug == model).map(|(_, _, lite)| *lite)
}

/// The catalogue's validator: a new one whenever a new version of this program has other models.
pub(super) fn etag() -> String {
    let names: Vec<&str> = MODELS.iter().map(|(slug, _, _)| *slug).collect();
    format!("\"sandbox-{}-{}\"", env!("CARGO_PKG_VERSION"), names.join("+"))
}

/// `GET /codex/models`
pub(super) fn answer(version: &Version, headers: &HeaderMap) -> Response {
    if version.client_version.as_deref().is_none_or(str::is_empty) {
        return detail(StatusCode::BAD_REQUEST, "client_version is required");
    }
    let etag = etag();
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    let models: Vec<Value> =
        MODELS.iter().enumerate().map(|(at, model)| entry(at, model)).collect();
    ([(header::ETAG, etag)], json_answer(StatusCode::OK, &json!({ "models": models })))
        .into_response()
}

fn entry(at: usize, (slug, name, lite): &(&str, &str, bool)) -> Value {
    let level = |effort: &str, text: &str| json!({ "effort": effort, "description": text });
    json!({
        "slug": slug,
        "display_name": name,
        "description": "Answers with what the sandbox was told to say.",
        "default_reasoning_level": "low",
        "supported_reasoning_levels": [
            level("low", "Answers at once"),
            level("medium", "Answers at once, too"),
            level("high", "Thinks of nothing else"),
        ],
        "shell_type": "unified_exec",
        "visibility": if *slug == HIDDEN { "hide" } else { "list" },
        "supported_in_api": true,
        "priority": at,
        "additional_speed_tiers": [],
        "service_tiers": [],
        "availability_nux": null,
        "upgrade": null,
        "base_instructions": "You are a stand-in model that says what it was told to say.",
        "supports_reasoning_summaries": true,
        "default_reasoning_summary": "none",
        "support_verbosity": true,
        "default_verbosity": "low",
        "apply_patch_tool_type": "freeform",
        "web_search_tool_type": "text",
        "truncation_policy": { "mode": "tokens", "limit": 10000 },
        "supports_parallel_tool_calls": false,
        "supports_image_detail_original": false,
        "context_window": 272_000,
        "max_context_window": 272_000,
        "effective_context_window_percent": 95,
        "experimental_supported_tools": [],
        "input_modalities": ["text", "image"],
        "supports_search_tool": false,
        "use_responses_lite": lite,
    })
}

//! Answers in the shapes that clients of the real issuer and backend have to cope with.

use std::collections::BTreeMap;

use axum::Form;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::vendor::page::{self, Tone};

/// Where a sandbox form may lead: back here, and on to a client's loopback callback.
const FORM_TARGETS: &str = "form-action 'self' http://127.0.0.1:* http://localhost:*";

/// A JSON body with a status.
pub(super) fn json_answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

/// RFC 6749 section 5.2.
pub(super) fn oauth_error(status: StatusCode, error: &str, description: &str) -> Response {
    json_answer(status, &json!({ "error": error, "error_description": description }))
}

/// The shape of OpenAI's API errors, which its issuer uses for refresh tokens too.
pub(super) fn api_error(status: StatusCode, code: &str, message: &str) -> Response {
    let error =
        json!({ "message": message, "type": "invalid_request_error", "param": null, "code": code });
    json_answer(status, &json!({ "error": error }))
}

/// The shape in which the backend refuses a request's form.
pub(super) fn detail(status: StatusCode, text: &str) -> Response {
    json_answer(status, &json!({ "detail": text }))
}

/// A page for a person.
pub(super) fn html(status: StatusCode, title: &str, body: &str, tone: Tone) -> Response {
    let policy = page::POLICY.replace("form-action 'self'", FORM_TARGETS);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (status, headers, page::render(title, body, tone)).into_response()
}

/// Parameters of a request, from a form or a JSON object. One that is given twice is refused, as RFC
/// 6749 section 3.2 has it.
#[derive(Debug)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A parameter's value; an empty one counts as missing (RFC 6749 section 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// From pairs as in a query.
    pub(super) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            if fields.insert(name.clone(), value).is_some() {
                return Err(format!("Parameter given more than once: {name}"));
            }
        }
        Ok(Self(fields))
    }

    fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let body: BTreeMap<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| "The body is not a JSON object")?;
        let texts = body.into_iter().filter_map(|(name, value)| match value {
            Value::String(text) => Some((name, text)),
            _ => None,
        });
        Ok(Self(texts.collect()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let fields = if json {
            let bytes =
                Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
            Self::from_json(&bytes)
        } else {
            let Form(pairs) = Form::<Vec<(String, String)>>::from_request(request, state)
                .await
                .map_err(IntoResponse::into_response)?;
            Self::from_pairs(pairs)
        };
        fields.map_err(|message| oauth_error(StatusCode::BAD_REQUEST, "invalid_request", &message))
    }
}

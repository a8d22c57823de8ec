//! Which headers travel with a completion, and which come back. Pure.
//!
//! What a client says of its session and its turn keeps the backend's caches warm and must arrive as
//! it was sent. What it says to us (its local key, its cookies, how this one connection is framed)
//! must not: a key of ours is nobody else's business, and a second bearer would be worse than none.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::routing::OVERRIDE_HEADER;

/// Travel by name.
const THERE: [&str; 10] = [
    "conversation_id",
    "openai-beta",
    "session-id",
    "session_id",
    "thread-id",
    "traceparent",
    "tracestate",
    "version",
    "x-client-request-id",
    "x-oai-attestation",
];
/// Travel by the beginning of their names.
const THERE_PREFIXES: [&str; 2] = ["x-codex-", "x-openai-internal-"];
/// Come back by name.
const BACK: [&str; 9] = [
    "cf-ray",
    "openai-model",
    "openai-processing-ms",
    "openai-version",
    "x-models-etag",
    "x-oai-request-id",
    "x-openai-model",
    "x-reasoning-included",
    "x-request-id",
];
/// Come back by the beginning of their names. Families of limits other than the first are called
/// `x-<limit>-primary-used-percent` and so on.
const BACK_PREFIXES: [&str; 2] = ["x-codex-", "x-ratelimit-"];
const BACK_INFIXES: [&str; 3] = ["-primary-", "-secondary-", "-limit-name"];

/// Whether the request comes from the Codex CLI or a program that calls itself one: such a request has
/// the backend's own shape already.
#[must_use]
pub fn is_codex(headers: &HeaderMap) -> bool {
    headers.get("originator").is_some_and(|value| value.as_bytes().starts_with(b"codex_"))
}

/// What goes to the API: the lender's own headers last, so that no client's stands in their place.
#[must_use]
pub fn there(
    client: &HeaderMap,
    lent: &[(&'static str, String)],
    routing: Option<&str>,
    agent: &str,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(24);
    for (name, value) in client {
        if goes(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in lent {
        let (Ok(name), Ok(mut value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        else {
            continue;
        };
        value.set_sensitive(name == header::AUTHORIZATION);
        headers.insert(name, value);
    }
    if let Ok(agent) = HeaderValue::from_str(agent) {
        headers.insert(header::USER_AGENT, agent);
    }
    if is_codex(client) {
        // It is its own request: it goes under its own name.
        for name in [header::USER_AGENT, HeaderName::from_static("originator")] {
            if let Some(value) = client.get(&name) {
                headers.insert(name, value.clone());
            }
        }
    }
    if let Some(routing) = routing.and_then(|routing| HeaderValue::from_str(routing).ok()) {
        headers.insert(OVERRIDE_HEADER, routing);
    }
    headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

/// What comes back from the API's answer.
#[must_use]
pub fn back(answer: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in answer {
        let text = name.as_str();
        let family = text.starts_with("x-") && BACK_INFIXES.iter().any(|part| text.contains(part));
        if BACK.contains(&text) || family || BACK_PREFIXES.iter().any(|part| text.starts_with(part))
        {
            headers.append(name.clone(), value.clone());
        }
    }
    headers
}

/// Whether an answer is a page or an object, in the place of the stream that was asked for. One that does
/// not say what it is, is taken for a stream.
#[must_use]
pub fn is_document(answer: &HeaderMap) -> bool {
    let kind = answer.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/html"[..], b"application/json"].iter().any(|it| kind.eq_ignore_ascii_case(it))
}

fn goes(name: &HeaderName) -> bool {
    let text = name.as_str();
    THERE.contains(&text) || THERE_PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    const LENT: [(&str, &str); 2] = [("Authorization", "Bearer ours"), ("originator", "valetkey")];

    fn lent() -> Vec<(&'static str, String)> {
        LENT.map(|(name, value)| (name, value.to_owned())).to_vec()
    }

    #[test]
    fn the_clients_key_cookies_and_framing_stay_here() {
        let client = headers(&[
            ("authorization", "Bearer vk_local"),
            ("cookie", "a=b"),
            ("connection", "close"),
            ("host", "127.0.0.1"),
            ("x-api-key", "vk_local"),
            ("content-encoding", "zstd"),
            ("x-stainless-lang", "python"),
            ("session-id", "s"),
            ("x-codex-turn-metadata", "{}"),
        ]);
        let sent = there(&client, &lent(), Some("us"), "valetkey/1");
        let mut names: Vec<_> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "authorization",
                "content-type",
                "originator",
                "session-id",
                "user-agent",
                "x-codex-turn-metadata",
                "x-openai-account-routing-override",
            ]
        );
        assert_eq!(sent["authorization"], "Bearer ours");
        assert_eq!(
            (&sent["originator"], &sent["user-agent"]),
            (&"valetkey".parse().unwrap(), &"valetkey/1".parse().unwrap())
        );
    }

    #[test]
    fn the_codex_cli_goes_under_its_own_name() {
        let client = headers(&[("originator", "codex_exec"), ("user-agent", "codex_exec/0.169.0")]);
        let sent = there(&client, &lent(), None, "valetkey/1");
        assert_eq!(sent["originator"], "codex_exec");
        assert_eq!(sent["user-agent"], "codex_exec/0.169.0");
        assert_eq!(sent["authorization"], "Bearer ours");
    }

    #[test]
    fn limits_and_ids_come_back_and_nothing_else() {
        let answer = headers(&[
            ("x-codex-primary-used-percent", "12"),
            ("x-spark-secondary-reset-at", "9"),
            ("x-request-id", "r"),
            ("x-models-etag", "e"),
            ("set-cookie", "a=b"),
            ("transfer-encoding", "chunked"),
            ("content-type", "text/event-stream"),
        ]);
        let mut names: Vec<_> = back(&answer).keys().map(|name| name.as_str().to_owned()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "x-codex-primary-used-percent",
                "x-models-etag",
                "x-request-id",
                "x-spark-secondary-reset-at"
            ]
        );
    }

    #[test]
    fn what_calls_itself_a_page_or_an_object_is_no_stream() {
        for (kind, document) in [
            ("text/html; charset=UTF-8", true),
            ("Application/JSON", true),
            ("text/event-stream", false),
            ("text/event-stream; charset=utf-8", false),
            ("", false),
        ] {
            assert_eq!(is_document(&headers(&[("content-type", kind)])), document, "{kind}");
        }
        assert!(!is_document(&HeaderMap::new()));
    }
}

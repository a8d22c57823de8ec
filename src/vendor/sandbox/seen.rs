//! The latest completion requests, as they arrived: what a relay really sends is known only here.

use std::collections::{BTreeMap, VecDeque};

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use serde_json::{Value, json};

use crate::clock::Timestamp;

/// Requests remembered: what one test sends, with room to spare.
const KEPT_MOST: usize = 64;

/// Bytes of their bodies, all together: a few long conversations.
const KEPT_BYTES_MOST: usize = 16 * 1024 * 1024;

/// The latest requests, the oldest first.
#[derive(Default)]
pub(super) struct Seen {
    requests: VecDeque<Request>,
    bytes: usize,
    /// How many there have been, forgotten ones included.
    count: u64,
}

struct Request {
    number: u64,
    at: Timestamp,
    headers: BTreeMap<String, String>,
    body: Bytes,
}

impl Seen {
    /// Remembers a request, and forgets old ones where there is no room.
    pub(super) fn add(&mut self, at: Timestamp, headers: &HeaderMap, body: Bytes) {
        self.count += 1;
        self.bytes += body.len();
        self.requests.push_back(Request { number: self.count, at, headers: shown(headers), body });
        while self.requests.len() > KEPT_MOST || self.bytes > KEPT_BYTES_MOST {
            let Some(oldest) = self.requests.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    /// As `/_sandbox/requests` shows them. A body that is no JSON is shown as text.
    pub(super) fn to_json(&self) -> Value {
        let shown = self.requests.iter().map(|request| {
            let body = serde_json::from_slice(&request.body)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&request.body)));
            json!({
                "number": request.number,
                "at": request.at,
                "headers": request.headers,
                "bytes": request.body.len(),
                "body": body,
            })
        });
        json!({ "count": self.count, "requests": shown.collect::<Vec<_>>() })
    }
}

/// All headers but the one that holds a token: what is remembered here may be printed.
fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::<String, String>::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != header::AUTHORIZATION) {
        let value = String::from_utf8_lossy(value.as_bytes());
        let known = shown.entry(name.as_str().to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(&value);
    }
    shown
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_holds_no_token() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer secret".parse().unwrap());
        headers.append("x-twice", "a".parse().unwrap());
        headers.append("x-twice", "b".parse().unwrap());
        let mut seen = Seen::default();
        for number in 0..100 {
            seen.add(Timestamp(number), &headers, Bytes::from_static(b"{\"a\":1}"));
        }
        let shown = seen.to_json();
        assert_eq!(
            (shown["count"].as_u64(), shown["requests"][0]["number"].as_u64()),
            (Some(100), Some(37))
        );
        assert_eq!(shown["requests"][63]["headers"], json!({"x-twice": "a, b"}));
        assert_eq!(shown["requests"][63]["body"]["a"], 1);

        seen.add(Timestamp(0), &headers, Bytes::from(vec![b'x'; KEPT_BYTES_MOST]));
        let shown = seen.to_json();
        assert_eq!(shown["requests"].as_array().unwrap().len(), 1);
        assert!(shown["requests"][0]["body"].is_string());
    }
}

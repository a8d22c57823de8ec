//! Any chat request is translated or refused, any events become chunks, and whatever is written is JSON
//! on one line that says which answer it belongs to.
//!
//! The first line of the input is the request, each further line the data of one event. Where the first
//! is refused the events are taken for the answer to a plain question.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use valetkey::relay::chat::{Asked, Chunks, completion, request};

/// Checked without building values: half a surrogate pair is passed on as it came.
fn is_json(text: &[u8]) {
    let read = serde_json::from_slice::<IgnoredAny>(text);
    assert!(read.is_ok(), "{}", String::from_utf8_lossy(text));
}

fn plain() -> Asked {
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
    request(body).expect("a plain question")
}

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let asked = match request(lines.next().unwrap_or_default()) {
        Ok(asked) => {
            is_json(&asked.body);
            assert!(asked.dropped.len() <= 64);
            asked
        }
        Err(refusal) => {
            assert!(!refusal.message.is_empty());
            plain()
        }
    };
    let mut chunks = Chunks::new(&asked);
    for event in lines.filter_map(|line| std::str::from_utf8(line).ok()) {
        let (over, mut told) = (chunks.ended(), 0);
        chunks.event(event, &mut |chunk| {
            is_json(chunk);
            assert!(!chunk.contains(&b'\n'));
            assert!(chunk.starts_with(b"{\"id\":\"chatcmpl-") || chunk.starts_with(b"{\"error\":{"));
            told += 1;
        });
        assert!(!over || told == 0, "told after the end");
        assert!(!chunks.failed() || chunks.ended());
        if let Ok(whole) = completion(event, &asked) {
            is_json(&whole);
        }
    }
});

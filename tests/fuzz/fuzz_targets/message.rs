//! Any line is judged without a panic, and what is said in answer is JSON with the id that was sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use valetkey::rpc::error::RpcError;
use valetkey::rpc::message::{self, Call, Incoming, Invalid, Message};

fn answered(id: Option<&str>, error: &RpcError) {
    let mut line = Vec::new();
    message::write_error(&mut line, id, error);
    assert!(!line.contains(&b'\n'));
    let line = String::from_utf8(line).expect("an answer is UTF-8");
    let Ok(Incoming::Answer { id: seen, outcome: Err(_) }) = message::incoming(&line) else {
        panic!("not an answer: {line}");
    };
    assert_eq!(seen.get(), id.unwrap_or("null"));
}

fn judged(call: Result<Call<'_>, Invalid<'_>>) {
    match call {
        Ok(call) => {
            let _ = message::named::<Value>(call.params);
            if let Some(id) = call.id {
                assert!(!message::id_key(id).is_empty());
                let error = call.positional().unwrap_or_else(|| RpcError::new(valetkey::rpc::Kind::Denied, "no"));
                answered(Some(id.get()), &error);
            }
        }
        Err(invalid) => answered(invalid.id.map(|id| id.get()), &invalid.error),
    }
}

fuzz_target!(|line: &[u8]| {
    // A line never holds its own end.
    if line.contains(&b'\n') {
        return;
    }
    match message::parse(line) {
        Ok(Message::Single(call)) => judged(call),
        Ok(Message::Batch(elements)) => {
            assert!(!elements.is_empty() && elements.len() <= message::MAX_BATCH);
            elements.into_iter().for_each(|element| judged(message::call(element)));
        }
        Err(error) => answered(None, &error),
    }
    if let Ok(text) = std::str::from_utf8(line) {
        let _ = message::incoming(text);
    }
});

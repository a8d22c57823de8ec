//! Whatever an issuer answers to a refresh falls into a class, and the class is right about what matters:
//! tokens are taken only from where they stand, a login is given up only for a refusal of this very
//! token, and nothing that is shown to a person holds a token.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use valetkey::vendor::Refreshed;
use valetkey::vendor::openai::classify;
use valetkey::vendor::wire::Answer;

/// Stands in the seeds where an issuer repeats a token in its answer.
const CANARY: &str = "rt_AbC123xyz456def789ghi";

fn fit_to_show(message: &str) {
    assert!(!message.contains(CANARY), "{message}");
    assert!(!message.chars().any(char::is_control), "{message}");
}

fuzz_target!(|data: &[u8]| {
    let [high, low, body @ ..] = data else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 900;
    let answer = Answer {
        status: status.try_into().expect("three digits"),
        body: body.to_vec(),
        retry_after: None,
        skew_millis: 0,
        etag: None,
    };
    let json = serde_json::from_slice::<Value>(body).ok();
    match classify(&answer) {
        Refreshed::Granted(grant) => {
            assert!(answer.status.is_success());
            let Ok(text) = std::str::from_utf8(body) else {
                // What nobody reads need not be text.
                return;
            };
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect("an object");
            let has = |name| members.get(name).is_some_and(|value| value.get().starts_with('"'));
            assert_eq!(grant.access_token.is_some(), has("access_token"));
            assert_eq!(grant.refresh_token.is_some(), has("refresh_token"));
            assert!(grant.access_token.is_some() || grant.refresh_token.is_some());
        }
        Refreshed::Refused { reason, message } => {
            assert!(!answer.status.is_success());
            let text = json.expect("a refusal is JSON").to_string().to_ascii_lowercase();
            assert!(text.contains(&format!("\"{reason}\"")), "{reason}");
            fit_to_show(&message);
        }
        Refreshed::Harmless { message, .. } => {
            assert!(json.is_some() || [403, 429, 503].contains(&status));
            fit_to_show(&message);
        }
        Refreshed::Unknown { message } => fit_to_show(&message),
    }
});

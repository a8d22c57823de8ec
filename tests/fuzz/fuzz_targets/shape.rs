//! Any request is refused with a sentence or becomes JSON that the backend may be sent, and a refusal of
//! the backend names nothing unfit for a header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use valetkey::config::SystemPrompt;
use valetkey::relay::sanitise::{Terms, shape, unsupported_parameter, without};

fuzz_target!(|data: &[u8]| {
    let [flags, body @ ..] = data else { return };
    let system = match flags % 3 {
        0 => SystemPrompt::Instructions,
        1 => SystemPrompt::Developer,
        _ => SystemPrompt::Prefix,
    };
    let codex = flags & 8 != 0;
    let models = ["gpt-5.4".to_owned()];
    let learned = ["novel".to_owned(), "tools.defer_loading".to_owned(), "input[487].namespace".to_owned()];
    let terms = Terms { system, codex, models: &models, learned: &learned, needs_instructions: &|_| flags & 16 != 0 };
    match shape(body, &terms) {
        Ok(shaped) => {
            serde_json::from_slice::<&RawValue>(&shaped.body).expect("JSON");
            assert!(!shaped.model.is_empty());
            // What has been shaped needs nothing more left out, but for names that were hidden by escapes.
            let again = shape(&shaped.body, &terms).expect("it was taken before");
            assert!(again.dropped.is_empty() || body.contains(&b'\\'), "{:?}", again.dropped);
            // A member that is null is left out without a word.
            let nulls = body.windows(4).any(|word| word == b"null");
            if codex && again.dropped.is_empty() && !nulls {
                assert_eq!(again.body, shaped.body);
            }
        }
        Err(refusal) => assert!(refusal.message.ends_with('.')),
    }
    if let Some(parameter) = unsupported_parameter(body) {
        assert!(parameter.bytes().all(|byte| byte.is_ascii_graphic()));
        if let Some(left) = without(body, &parameter) {
            serde_json::from_slice::<&RawValue>(&left).expect("JSON");
        }
    }
});

//! Whatever stands in another program's file, it is read or refused, and no refusal and no debug output
//! repeats anything of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use valetkey::login::imported::{ImportSource, parse};
use valetkey::secret::Secret;

/// Stands in the seeds wherever a token stands.
const CANARY: &str = "canary";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let contents = Secret::new(text.to_owned());
    for source in [ImportSource::Codex, ImportSource::Openhands, ImportSource::Opencode] {
        match parse(source, &contents) {
            Err(why) => assert!(!why.to_string().contains(CANARY), "{why}"),
            Ok(imported) => {
                // Two ends and a provenance are no secrets; a fuzzer may well put the word there.
                let tokens = format!(
                    "{:?} {:?} {:?}",
                    imported.refresh_token, imported.access_token, imported.id_token
                );
                assert!(!tokens.contains(CANARY), "{tokens}");
            }
        }
    }
});

//! Each program's file as it is really written, and what is no login in it. The cases are files: `NAME.json`
//! with `NAME.says` beside it, which holds the error, or what was read.

use std::path::Path;

use proptest::prelude::*;

use super::*;

/// In every token of the golden files.
const CANARY: &str = "canary";

fn read(source: ImportSource, text: &str) -> Result<Imported, Unusable> {
    parse(source, &Secret::new(text.to_owned()))
}

/// What was read, in words that a golden file can hold: these tokens are made up.
fn told(read: &Result<Imported, Unusable>) -> String {
    match read {
        Err(why) => format!("error: {why}\n"),
        Ok(imported) => {
            let id = imported.id_token.as_ref().map_or("none", |token| token.expose());
            let end = imported.expires_at.map_or("not told".to_owned(), |end| end.0.to_string());
            let from = imported.provenance.as_ref();
            let from = from.map_or("not told".to_owned(), |(a, b)| format!("{a} for {b}"));
            format!(
                "refresh: {}\naccess: {}\nid: {id}\nends: {end}\nfrom: {from}\n",
                imported.refresh_token.expose(),
                imported.access_token.expose(),
            )
        }
    }
}

#[test]
fn files_are_read_as_their_programs_write_them() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import");
    let mut cases = 0;
    for (folder, source) in [
        ("codex", ImportSource::Codex),
        ("openhands", ImportSource::Openhands),
        ("opencode", ImportSource::Opencode),
    ] {
        for entry in std::fs::read_dir(golden.join(folder)).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let read = read(source, &std::fs::read_to_string(&path).unwrap());
            let told = told(&read);
            let expected = std::fs::read_to_string(path.with_extension("says")).unwrap();
            assert_eq!(told, expected, "{}", path.display());
            assert!(read.is_ok() || !told.contains(CANARY), "{}", path.display());
            cases += 1;
        }
    }
    assert!(cases >= 17, "only {cases} cases found");
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let long = format!("{{\"tokens\": \"{}\"}}", "x".repeat(CONTENTS_BYTES_MAX));
    assert_eq!(
        read(ImportSource::Codex, &long).unwrap_err().to_string(),
        "the file is far too long to be a login"
    );
    let token = "x".repeat(TOKEN_BYTES_MAX + 1);
    let file = format!(r#"{{"openai":{{"type":"oauth","refresh":"{token}","access":"a"}}}}"#);
    let why = read(ImportSource::Opencode, &file).unwrap_err().to_string();
    assert_eq!(why, "what the file holds as refresh cannot be a token");
}

#[test]
fn nothing_of_it_can_be_printed() {
    let file = r#"{"openai":{"type":"oauth","refresh":"canary-r","access":"canary-a"}}"#;
    let shown = format!("{:?}", read(ImportSource::Opencode, file).unwrap());
    assert!(!shown.contains(CANARY), "{shown}");
}

/// JSON that nearly is one of the files.
fn nearly() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("\"canary\"".to_owned()),
        Just("\"can ary\"".to_owned()),
        Just("7".to_owned()),
        Just("[]".to_owned()),
        Just("{\"type\":\"oauth\",\"refresh\":\"canary\"}".to_owned()),
        Just("{\"refresh_token\":\"canary\",\"access_token\":7}".to_owned()),
    ];
    let name = prop_oneof![
        Just("tokens"),
        Just("openai"),
        Just("type"),
        Just("vendor"),
        Just("access_token"),
        Just("refresh_token"),
        Just("OPENAI_API_KEY"),
        Just("auth_mode"),
    ];
    proptest::collection::vec((name, value), 0..5).prop_map(|members| {
        let members: Vec<_> = members.iter().map(|(n, v)| format!("\"{n}\":{v}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn no_error_quotes_the_file(text in prop_oneof![nearly(), ".{0,40}canary.{0,40}"]) {
        for source in [ImportSource::Codex, ImportSource::Openhands, ImportSource::Opencode] {
            if let Err(why) = read(source, &text) {
                prop_assert!(!why.to_string().contains(CANARY), "{}", why);
            }
        }
    }
}

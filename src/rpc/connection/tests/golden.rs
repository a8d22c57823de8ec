//! Plays the transcripts of `tests/golden`: `> ` is sent, `< ` is what must come back, byte for
//! byte; `.` means that the daemon must close; `#` is for the reader.

use std::path::{Path, PathBuf};

use super::*;

fn transcripts() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    found.sort();
    found
}

#[tokio::test]
async fn every_transcript_plays_as_written() {
    let transcripts = transcripts();
    assert!(!transcripts.is_empty());
    for path in transcripts {
        let daemon = Daemon::with(Limits { max_message_bytes: 2000, ..Limits::default() });
        let mut client = daemon.client().await;
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            match (line.get(..2), line) {
                (Some("> "), _) => client.send(format!("{}\n", &line[2..])).await,
                (Some("< "), _) => {
                    assert_eq!(client.line().await.trim_end(), &line[2..], "{place}")
                }
                (_, ".") => assert_eq!(client.line().await, "", "{place}"),
                _ => assert!(
                    line.is_empty() || line.starts_with('#'),
                    "{place}: not of a transcript"
                ),
            }
        }
        // All that is owed is answered before the end.
        daemon.stop.cancel();
        assert_eq!(client.line().await, "", "{}: more came than is written", path.display());
    }
}

//! Streams as the API sends them, whole and in pieces.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::relay::rebuild::Gather;
use crate::relay::sse::Decoder;

/// What goes on of a stream cut at `cuts`, and what was seen.
fn passed(stream: &[u8], cuts: &[usize]) -> (Vec<u8>, String) {
    let mut passing = Passing::new();
    let mut out = BytesMut::new();
    let mut rest = stream;
    for cut in cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([usize::MAX]) {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        rest = later;
        passing.feed(now, &mut out).unwrap();
    }
    let seen = format!("{:#?}", passing.seen());
    passing.finish(&mut out);
    (out.to_vec(), seen)
}

/// What goes on at once of what has arrived so far.
fn at_once(arrived: &[u8]) -> String {
    let mut out = BytesMut::new();
    Passing::new().feed(arrived, &mut out).unwrap();
    String::from_utf8(out.to_vec()).unwrap()
}

fn gathered(stream: &[u8]) -> Option<String> {
    let mut gather = Gather::new();
    let mut each = |event: crate::relay::sse::Event<'_>| gather.event(event.name, &event.data);
    Decoder::new(1 << 20).feed(stream, &mut each).unwrap();
    gather.response()
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/responses/streams")
}

/// `NAME.sse` is what the API sends. `NAME.passed` is what the client gets, where it differs;
/// `NAME.seen` what is known in the end; `NAME.json` the final object, where there is one.
#[test]
fn the_golden_streams_pass_as_they_are_written() {
    let mut played = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "sse") {
            continue;
        }
        let stream = fs::read(&path).unwrap();
        let name = path.display();
        let expected = |extension| fs::read_to_string(path.with_extension(extension)).ok();
        let wanted = expected("passed").unwrap_or(String::from_utf8(stream.clone()).unwrap());
        let (out, seen) = passed(&stream, &[]);
        assert_eq!(String::from_utf8(out).unwrap(), wanted, "{name}");
        assert_eq!(Some(format!("{seen}\n")), expected("seen"), "{name}");
        assert_eq!(gathered(&stream).map(|object| object + "\n"), expected("json"), "{name}");
        for step in [1, 2, 3, 7, 64] {
            let cuts = vec![step; stream.len() / step];
            let (out, again) = passed(&stream, &cuts);
            assert_eq!((String::from_utf8(out).unwrap(), again), (wanted.clone(), seen.clone()));
        }
        played += 1;
    }
    assert!(played >= 12, "only {played} streams");
}

#[test]
fn what_is_not_the_last_event_goes_on_at_once() {
    for whole in [
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n",
        "event: response.output_text.delta\ndata: {\"delta\":\"a\"}\n\n",
        "event: response.output_text.delta\r\ndata: {\"delta\":\"a\"}\r\n\r\n",
        "event: response.output_item.done\ndata: {\"item\":{}}\n\n",
        "event: response.failed\ndata: {}\n\n",
        "data: {\"delta\":\"a\", \"type\": \"response.output_text.delta\"}\n\n",
        "data: [DONE]\n\n",
        ": keepalive\n\n",
        "\n",
        "event: response.completed\ndata: {\"response\":{\"output\":[]}}\n\n",
    ] {
        assert_eq!(at_once(whole.as_bytes()), whole);
    }
    for begun in [
        "event: response.output_text.delta\nda",
        "event: response.output_item.done\ndata: {\"item\":{",
        "data: {\"type\":\"response.output_text.delta\",\"del",
        "data: {\"type\": \"response.output_text.delta\"",
        "id: 3\nevent:error\n",
    ] {
        assert_eq!(at_once(begun.as_bytes()), begun);
    }
}

#[test]
fn only_what_may_be_the_last_event_is_held_back() {
    let delta = "event: response.output_text.delta\ndata: {}\n\n";
    for begun in [
        "event: response.",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"res",
        "data: {\"type\":\"response.comp",
        "data: {\"sequence_number\":3,\"type\":\"response.output_text.delta\"",
        "e",
        ": a comment that is not",
    ] {
        let stream = [delta, begun].concat();
        assert_eq!(at_once(stream.as_bytes()), delta);
        assert_eq!(
            passed(stream.as_bytes(), &[]).0,
            stream.as_bytes(),
            "nothing is lost at the end"
        );
    }
}

const ITEM: &str = r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"msg_1","type":"message"}}"#;

#[test]
fn the_last_event_keeps_its_own_framing() {
    let last =
        r#"{"type":"response.completed", "response":{"id":"r", "output":[ ],"usage":null},"x":1}"#;
    let whole = last.replace("[ ]", r#"[{"id":"msg_1","type":"message"}]"#);
    for (before, between, end) in [
        ("event: response.completed\ndata: ", "\ndata: ", "\n\n"),
        ("event:response.completed\r\nid: 9\r\ndata:", "\r\ndata:", "\r\n\r\n"),
        (": comment\rdata: ", "\rdata: ", "\r\r"),
        ("data: ", "\ndata: ", "\nevent: response.completed\n\n"),
    ] {
        let stream = [ITEM, last].join(between).replace(between, "\n\n");
        let stream =
            format!("data: {}", stream.replacen("\n\n", &format!("\n\n{before}"), 1)) + end;
        let expected = stream.replace(last, &whole);
        assert_ne!(stream, expected);
        let (out, seen) = passed(stream.as_bytes(), &[]);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(seen.contains("Completed"), "{seen}");
    }
}

#[test]
fn an_output_in_several_lines_of_data_is_replaced_too() {
    let item =
        "data: {\"type\":\"response.output_item.done\",\ndata: \"item\":{\"a\":\ndata: 1}}\n\n";
    let last = "data: {\ndata: \"type\":\"response.completed\",\ndata: \"response\":{\"output\":[\ndata: ]\ndata: }}\n\n";
    let stream = [item, last].concat();
    let expected = [item, &last.replace("[\ndata: ]", "[{\"a\": 1}]")].concat();
    assert_eq!(String::from_utf8(passed(stream.as_bytes(), &[]).0).unwrap(), expected);
}

#[test]
fn an_end_that_cannot_be_read_is_an_end_all_the_same() {
    for last in [
        &b"event: response.completed\ndata: nonsense\n\n"[..],
        b"event: response.completed\ndata: {\"response\":{\"output\":[],\"x\":\"\xFF\"}}\n\n",
        b"event: response.completed\ndata: {\"response\":{\"output\":{}}}\n\n",
        b"event: response.completed\ndata: {\"response\":7}\n\n",
    ] {
        let stream = [b"data: ", ITEM.as_bytes(), b"\n\n", last].concat();
        let (out, seen) = passed(&stream, &[]);
        assert_eq!(out, stream);
        assert!(seen.contains("Completed"), "{seen}");
    }
}

#[test]
fn what_is_too_long_to_be_held_goes_on_untouched() {
    let long = "x".repeat(HELD_BYTES);
    let item =
        format!("event: response.output_item.done\ndata: {{\"item\":{{\"a\":\"{long}\"}}}}\n\n");
    let last = "event: response.completed\ndata: {\"response\":{\"output\":[]}}\n\n";
    let longest = format!(
        "event: response.completed\ndata: {{\"response\":{{\"output\":[],\"x\":\"{long}\"}}}}\n\n"
    );
    for stream in [[&item, last].concat(), format!("data: {ITEM}\n\n{longest}")] {
        let whole = passed(stream.as_bytes(), &[]);
        assert!(whole.0 == stream.as_bytes(), "changed");
        assert!(whole.1.contains("Completed"), "{}", whole.1);
        assert!(
            passed(stream.as_bytes(), &[1 << 20, 3 << 20, 9 << 20]) == whole,
            "depends on its pieces"
        );
    }
}

#[test]
fn items_beyond_the_bound_are_not_put_in_and_nothing_fails() {
    let item = format!(
        "event: response.output_item.done\ndata: {{\"item\":{{\"a\":\"{}\"}}}}\n\n",
        "x".repeat(9 << 20)
    );
    let last = "event: response.completed\ndata: {\"response\":{\"output\":[]}}\n\n";
    let stream = [&*item, &item, &item, &item, last].concat();
    assert!(passed(stream.as_bytes(), &[]).0 == stream.as_bytes());
}

#[test]
fn an_endless_line_of_nothing_is_refused() {
    let mut passing = Passing::new();
    let mut out = BytesMut::new();
    let chunk = [b':'; 1 << 20];
    let outcome = (0..20).try_for_each(|_| passing.feed(&chunk, &mut out));
    assert_eq!(outcome, Err(TooLong { longest: HELD_BYTES }));
    assert!(out.is_empty());
}

#[test]
fn a_line_that_comes_byte_by_byte_costs_no_more_than_its_length() {
    let mut passing = Passing::new();
    let mut out = BytesMut::new();
    let stream = format!(
        "{}\n\n",
        ["event", "data", ":"].map(|field| format!("{field}: {}", "x".repeat(1 << 19))).join("\n")
    );
    for byte in stream.as_bytes().chunks(1) {
        passing.feed(byte, &mut out).unwrap();
    }
    assert_eq!(out.len(), stream.len());
}

/// An event among those that matter, or nearly such a one.
fn event() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "response.created",
        "response.output_text.delta",
        "response.output_item.done",
        "response.output_text.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
        "codex.rate_limits",
        "odd",
        "",
    ]);
    let field = prop::sample::select(vec![
        "",
        "event: NAME",
        "event:NAME",
        "event:",
        "id: 7",
        ":",
        "eventx: NAME",
    ]);
    let data = prop::sample::select(vec![
        r#"{"type":"NAME","output_index":INDEX,"item":{"id":"é","type":"message"},"item_id":"m","text":"t"}"#,
        r#"{"type": "NAME","response":{"output":[],"usage":{"input_tokens":INDEX}}}"#,
        r#"{"response":{"output":[{"type":"message"}]},"type":"NAME"}"#,
        r#"{"error":{"message":"m"}}"#,
        "[DONE]",
        "{",
        "",
    ]);
    let end = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    (name, field, data, end, 0..3_u8, any::<bool>()).prop_map(
        |(name, field, data, end, index, last)| {
            let mut event = String::new();
            let _ = write!(event, "{field}{end}data: {data}{end}{}", if last { end } else { "" });
            event.replace("NAME", name).replace("INDEX", &index.to_string())
        },
    )
}

proptest! {
    #[test]
    fn it_does_not_matter_how_a_stream_arrives(
        events in prop::collection::vec(event(), 0..8),
        cuts in prop::collection::vec(0_usize..60, 0..20),
    ) {
        let stream = events.concat();
        let whole = passed(stream.as_bytes(), &[]);
        prop_assert_eq!(&passed(stream.as_bytes(), &cuts), &whole);
        prop_assert_eq!(&passed(stream.as_bytes(), &vec![1; stream.len()]), &whole);
    }

    #[test]
    fn a_stream_without_an_end_is_untouched(events in prop::collection::vec(event(), 0..8), cut: usize) {
        let stream = events.concat().replace("response.completed", "response.started").replace("incomplete", "begun");
        prop_assert_eq!(passed(stream.as_bytes(), &[cut]).0, stream.as_bytes());
    }

    #[test]
    fn no_bytes_are_too_odd(stream in prop::collection::vec(any::<u8>(), 0..200), cut: usize) {
        prop_assert_eq!(passed(&stream, &[cut]).0, stream);
    }
}

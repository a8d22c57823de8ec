//! `valetkey ask`: text as it comes, and a clean end whatever happens.

use std::io::{Read as _, Write as _};
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::{Value, json};

use super::fake::{Fake, Talk};
use super::{exits, is_sentence_and_hint};
use crate::support::{ENDS_VERBS, ask_to_end, can_ask_to_end, ended, stderr, stdout};

/// A final response that says this.
pub(super) fn response(text: &str) -> Value {
    let content = json!([{"type": "output_text", "text": text, "annotations": []}]);
    let message = json!({"type": "message", "role": "assistant", "content": content});
    json!({"id": "resp_1", "object": "response", "status": "completed", "output": [message]})
}

/// A daemon that knows two models and streams these pieces.
fn saying(pieces: &'static [&'static str]) -> Fake {
    Fake::start(move |call, talk| match call["method"].as_str() {
        Some("models") => {
            let models = json!([{"id": "first"}, {"id": "second"}]);
            talk.answer(call, &json!({"vendor": "v", "source": "cache", "models": models}));
        }
        _ => {
            for piece in pieces {
                talk.text(call, piece);
            }
            talk.answer(call, &response(&pieces.concat()));
        }
    })
}

/// A daemon that does this for each completion.
pub(super) fn doing(script: impl Fn(&Value, &mut Talk) + Clone + Send + 'static) -> Fake {
    Fake::start(script)
}

const ASK: [&str; 4] = ["ask", "-m", "m", "hi"];

#[test]
fn text_is_shown_as_it_comes_and_the_last_line_is_ended() {
    let (go_on, told) = mpsc::channel::<()>();
    let told = Arc::new(Mutex::new(told));
    let fake = doing(move |call, talk| {
        talk.event(call, &json!({"type": "response.created", "response": {}}));
        talk.text(call, "One ");
        told.lock().unwrap().recv().unwrap();
        talk.text(call, "two.");
        talk.answer(call, &response("One two."));
    });
    let mut running = fake.spawn(&ASK);
    let mut first = [0; 4];
    running.out.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"One ", "it is not kept back until the end of the line");
    go_on.send(()).unwrap();
    let mut rest = String::new();
    running.out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "two.\n");
    assert_eq!(ended(&mut running.child).code(), Some(0));
    let mut said = String::new();
    running.err.read_to_string(&mut said).unwrap();
    assert_eq!(said, "", "no spinner where nobody watches");
    assert_eq!(
        fake.heard_call("responses.create"),
        json!({
            "model": "m",
            "stream": true,
            "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        })
    );
}

#[test]
fn without_a_model_the_first_of_the_list_is_asked() {
    let fake = saying(&["Ends in a line.\n"]);
    let output = exits(&fake, 0, &["ask", "--account", "work", "Why", "so?"]);
    assert_eq!(stdout(&output), "Ends in a line.\n");
    assert_eq!(fake.heard_call("models")["account"], "work");
    let request = fake.heard_call("responses.create");
    assert_eq!((&request["model"], &request["account"]), (&json!("first"), &json!("work")));
    assert_eq!(request["input"][0]["content"][0]["text"], "Why so?");
}

/// Runs `ask` with something piped in.
fn piped(fake: &Fake, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = fake.command(&[&["ask", "-m", "m"], arguments].concat());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_owned());
    // Whoever has read enough closes it, which is no failure of ours.
    let typing = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    typing.join().unwrap();
    output
}

#[test]
fn what_is_piped_in_follows_the_words() {
    let fake = saying(&["ok"]);
    for (arguments, asked) in [
        (&["Sum", "up"][..], "Sum up\n\nline 1\nline 2\n"),
        (&["-"], "line 1\nline 2\n"),
        (&[], "line 1\nline 2\n"),
    ] {
        let output = piped(&fake, arguments, b"line 1\nline 2\n");
        assert_eq!(stdout(&output), "ok\n", "{}", stderr(&output));
        let request = fake.heard_call("responses.create");
        assert_eq!(request["input"][0]["content"][0]["text"], asked);
        assert_eq!(fake.heard(), Value::Null);
    }
    for (arguments, input, word) in [
        (&[][..], &b""[..], "nothing to ask"),
        (&["-"], b"\n", "nothing to ask"),
        (&["x"], b"\xff\xfe", "UTF-8"),
        (&["x"], &vec![b'x'; (16 << 20) + 1], "16 MiB"),
    ] {
        let output = piped(&fake, arguments, input);
        assert_eq!(output.status.code(), Some(2));
        is_sentence_and_hint(&output);
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

#[test]
fn json_is_the_final_response_in_one_piece() {
    let fake = saying(&[]);
    let output = exits(&fake, 0, &["ask", "-m", "m", "--effort", "low", "--json", "hi"]);
    assert_eq!(stdout(&output).lines().count(), 1);
    assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap(), response(""));
    let request = fake.heard_call("responses.create");
    assert_eq!(
        (&request["stream"], &request["reasoning"]["effort"]),
        (&json!(false), &json!("low"))
    );
}

#[test]
fn an_answer_that_was_not_streamed_is_printed_all_the_same() {
    let fake = doing(|call, talk| {
        talk.answer(call, &response("At once."));
    });
    assert_eq!(stdout(&exits(&fake, 0, &ASK)), "At once.\n");
}

#[test]
fn ctrl_c_takes_the_request_back_and_ends_without_a_word() {
    if !can_ask_to_end("ctrl_c_takes_the_request_back_and_ends_without_a_word") {
        return;
    }
    for way in ENDS_VERBS {
        let fake = doing(|call, talk| {
            if call["method"] == "responses.create" {
                talk.text(call, "A long story");
            }
        });
        let mut running = fake.spawn(&ASK);
        let mut begun = [0; 12];
        running.out.read_exact(&mut begun).unwrap();
        ask_to_end(&running.child, *way);
        assert_eq!(ended(&mut running.child).code(), Some(130));
        let (mut out, mut err) = (String::new(), String::new());
        running.out.read_to_string(&mut out).unwrap();
        running.err.read_to_string(&mut err).unwrap();
        assert_eq!((out.as_str(), err.as_str()), ("\n", ""));
        let asked = fake.heard();
        let cancelled = fake.heard();
        assert_eq!(cancelled["method"], "cancel");
        assert_eq!(cancelled["params"], json!({"id": asked["id"]}));
        assert_eq!(cancelled.get("id"), None, "nobody waits for an answer");
        assert_eq!(fake.heard(), Value::Null, "and the connection ends");
    }
}

#[test]
fn a_second_ctrl_c_ends_it_even_where_nobody_reads_what_it_writes() {
    if !can_ask_to_end("a_second_ctrl_c_ends_it_even_where_nobody_reads_what_it_writes") {
        return;
    }
    let fake = doing(|call, talk| {
        let piece = "x".repeat(8 * 1024);
        while talk.text(call, &piece) {}
    });
    let mut running = fake.spawn(&ASK);
    // The pipe is full and is not read: it is held up in a write.
    let mut first = [0; 1];
    running.out.read_exact(&mut first).unwrap();
    let mut status = None;
    crate::support::eventually("it ends", || {
        status = running.child.try_wait().unwrap();
        if status.is_none() {
            ask_to_end(&running.child, ENDS_VERBS[0]);
        }
        status
    });
    assert_eq!(status.unwrap().code(), Some(130));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_ends_the_request() {
    let fake = doing(|call, talk| while talk.text(call, "more and more\n") {});
    let mut running = fake.spawn(&ASK);
    let mut first = [0; 5];
    running.out.read_exact(&mut first).unwrap();
    drop(running.out);
    assert_eq!(ended(&mut running.child).code(), Some(0));
    let mut said = String::new();
    running.err.read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(fake.heard()["method"], "responses.create");
    assert_eq!(fake.heard(), Value::Null);
}

#[test]
fn what_was_refused_is_told_with_the_next_step() {
    let refused = |code, data: Value| {
        doing(move |call, talk| {
            talk.refuse(call, code, &data);
        })
    };
    let soon = 7_000_000_000_000_u64;
    for (code, data, exit, word) in [
        (-32001, json!({"kind": "login_required"}), 3, "valetkey login"),
        (-32005, json!({"kind": "usage_limit", "resets_at": soon}), 5, "UTC)"),
        (-32003, json!({"kind": "unsupported_model", "models": ["a", "b"]}), 1, "there are a, b"),
        (-32008, json!({"kind": "overloaded", "retry_after": 7}), 1, "7 s"),
    ] {
        let output = exits(&refused(code, data), exit, &ASK);
        is_sentence_and_hint(&output);
        assert!(stderr(&output).contains(word), "{}", stderr(&output));
    }
}

#[test]
fn an_error_in_mid_answer_has_a_line_of_its_own() {
    let fake = doing(|call, talk| {
        talk.text(call, "Half an ans");
        talk.refuse(call, -32004, &json!({"kind": "upstream_error"}));
    });
    let output = exits(&fake, 1, &ASK);
    assert_eq!(stdout(&output), "Half an ans\n");
    let said = stderr(&output);
    assert!(said.starts_with("error: The fake says no.\n  hint: "), "{said}");

    let fake = doing(|call, talk| {
        talk.text(call, "Half");
        talk.hang_up();
    });
    let output = exits(&fake, 4, &ASK);
    assert_eq!(stdout(&output), "Half\n");
    assert!(stderr(&output).contains("the daemon did not answer"), "{}", stderr(&output));
}

#[test]
fn an_answer_that_was_cut_short_upstream_is_shown_and_is_a_failure() {
    let fake = doing(|call, talk| {
        talk.text(call, "As far as");
        let why = json!({"reason": "max_output_tokens"});
        talk.answer(call, &json!({"status": "incomplete", "incomplete_details": why}));
    });
    let output = exits(&fake, 1, &ASK);
    assert_eq!(stdout(&output), "As far as\n");
    assert!(stderr(&output).contains("max_output_tokens"), "{}", stderr(&output));
}

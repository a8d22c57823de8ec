//! From events of the Responses API to text on standard output.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::Done;
use super::super::failure::{Exit, Failure};
use super::super::words::plain;

/// A piece of the answer.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    /// Which of the answer's messages it belongs to: newer models comment before they answer.
    message: u64,
    piece: String,
}

/// The text that a notification carries, if it carries any. A refusal is an answer as well.
pub(super) fn text_of(method: &str, notification: &RawValue) -> Option<Text> {
    #[derive(Deserialize)]
    struct Notice<'a> {
        #[serde(borrow)]
        event: Event<'a>,
    }
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(default)]
        output_index: u64,
        // Other events have deltas of other types.
        #[serde(default, borrow)]
        delta: Option<&'a RawValue>,
    }
    if method != "responses.event" {
        return None;
    }
    let Notice { event } = serde_json::from_str(notification.get()).ok()?;
    if !matches!(&*event.kind, "response.output_text.delta" | "response.refusal.delta") {
        return None;
    }
    let piece = serde_json::from_str(event.delta?.get()).ok()?;
    Some(Text { message: event.output_index, piece })
}

/// Prints the answer, and knows where on the line it stands.
pub(super) struct Printer {
    /// Whether a terminal is at the other end, which no answer may drive.
    terminal: bool,
    message: u64,
    last: Option<char>,
}

impl Printer {
    pub(super) fn new() -> Self {
        Self { terminal: io::stdout().is_terminal(), message: 0, last: None }
    }

    /// Prints a piece and lets it be seen at once.
    pub(super) fn text(&mut self, text: Text) -> io::Result<()> {
        let shown = self.shown(&text);
        let mut stdout = io::stdout().lock();
        stdout.write_all(shown.as_bytes())?;
        stdout.flush()
    }

    /// The piece as it is to be printed, an empty line before it where another message begins.
    fn shown(&mut self, text: &Text) -> String {
        let mut shown = String::new();
        if text.message != self.message && self.last.is_some() {
            shown.push_str(if self.last == Some('\n') { "\n" } else { "\n\n" });
        }
        self.message = text.message;
        let harmless = |c: &char| !self.terminal || !c.is_control() || matches!(c, '\n' | '\t');
        shown.extend(text.piece.chars().filter(harmless));
        self.last = shown.chars().next_back().or(self.last);
        shown
    }

    /// Ends the line, where one was begun.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if self.last.is_none_or(|last| last == '\n') {
            return Ok(());
        }
        self.last = Some('\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(b"\n")?;
        stdout.flush()
    }

    /// Prints what the final response holds where nothing of it was streamed, and says what it lacks.
    pub(super) fn finish(mut self, response: &RawValue) -> Done {
        let response: Value = serde_json::from_str(response.get()).unwrap_or_default();
        if self.last.is_none() {
            for text in texts_of(&response) {
                self.text(text)?;
            }
        }
        self.end_line()?;
        if response["status"] == "incomplete" {
            let why = response["incomplete_details"]["reason"].as_str().unwrap_or("unknown");
            let sentence = format!("the answer is incomplete; the reason given is {}", plain(why));
            return Err(
                Failure::new(Exit::Failed, sentence).hint("`--json` shows all that was answered")
            );
        }
        if self.last.is_none() {
            return Err(Failure::new(Exit::Failed, "the model answered without a word")
                .hint("`--json` shows what it answered with"));
        }
        Ok(())
    }
}

/// The texts of a final response, in their order.
fn texts_of(response: &Value) -> Vec<Text> {
    let items = response["output"].as_array().into_iter().flatten().zip(0..);
    let parts = items.flat_map(|(item, message)| {
        let parts = item["content"].as_array().into_iter().flatten();
        parts.map(move |part| (part, message))
    });
    parts
        .filter_map(|(part, message)| {
            let piece = match part["type"].as_str()? {
                "output_text" => part["text"].as_str()?,
                "refusal" => part["refusal"].as_str()?,
                _ => return None,
            };
            Some(Text { message, piece: piece.to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serde_json::value::to_raw_value;

    fn heard(event: &Value) -> Option<Text> {
        let notification = to_raw_value(&json!({"id": 1, "event": event})).expect("JSON");
        text_of("responses.event", &notification)
    }

    fn text(message: u64, piece: &str) -> Text {
        Text { message, piece: piece.to_owned() }
    }

    fn shown(terminal: bool, pieces: &[(u64, &str)]) -> String {
        let mut printer = Printer { terminal, message: 0, last: None };
        pieces.iter().map(|(message, piece)| printer.shown(&text(*message, piece))).collect()
    }

    #[test]
    fn text_and_refusals_are_heard_and_nothing_else_is() {
        let delta =
            json!({"type": "response.output_text.delta", "output_index": 2, "delta": "a\nb"});
        assert_eq!(heard(&delta), Some(text(2, "a\nb")));
        let refusal = json!({"type": "response.refusal.delta", "delta": "No."});
        assert_eq!(heard(&refusal), Some(text(0, "No.")));
        for other in [
            json!({"type": "response.reasoning_summary_text.delta", "delta": "thinking"}),
            json!({"type": "response.output_text.delta", "delta": {"of": "another kind"}}),
            json!({"type": "response.output_text.delta"}),
            json!({"type": "response.completed", "response": {}}),
            json!({"delta": "x"}),
        ] {
            assert_eq!(heard(&other), None, "{other}");
        }
        let notification = to_raw_value(&json!({"event": delta})).expect("JSON");
        assert_eq!(text_of("status.changed", &notification), None);
    }

    #[test]
    fn messages_are_set_apart_by_an_empty_line() {
        assert_eq!(shown(false, &[(0, "Look"), (0, "ing."), (1, "Done.")]), "Looking.\n\nDone.");
        assert_eq!(shown(false, &[(0, "Looking.\n"), (3, "Done.")]), "Looking.\n\nDone.");
        assert_eq!(shown(false, &[(1, "Done.")]), "Done.", "what went before had no text");
    }

    #[test]
    fn no_answer_drives_the_terminal_and_a_pipe_gets_it_as_it_is() {
        let pieces = [(0, "\u{1b}[2J\tgone\r\n\u{9b}1m")];
        assert_eq!(shown(true, &pieces), "[2J\tgone\n1m");
        assert_eq!(shown(false, &pieces), pieces[0].1);
    }

    #[test]
    fn what_was_not_streamed_is_taken_from_the_final_response() {
        let response = json!({"output": [
            {"type": "reasoning", "summary": []},
            {"type": "message", "content": [
                {"type": "output_text", "text": "Yes"}, {"type": "refusal", "refusal": "no"}
            ]},
        ]});
        assert_eq!(texts_of(&response), [text(1, "Yes"), text(1, "no")]);
        assert!(texts_of(&Value::Null).is_empty());
    }
}

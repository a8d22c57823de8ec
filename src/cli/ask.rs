//! `valetkey ask`: one completion, streamed to the terminal.
//!
//! The daemon carries the request; what is here is the person's side: a prompt put together from words
//! and standard input, text printed as it comes, Ctrl-C that takes the request back, and pipes that may
//! close at any moment. A thread waits for the daemon, so that this one can look at Ctrl-C meanwhile.

mod printer;
mod prompt;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::rpc::client::{CallError, Canceller, Client};
use crate::rpc::{Models, ModelsParams};

use super::Done;
use super::args::Ask;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{self, is_watched};
use printer::{Printer, Text};

/// The method that carries a request of the Responses API.
const METHOD: &str = "responses.create";

/// How often Ctrl-C is looked for, and the spinner moves.
const TICK: Duration = Duration::from_millis(50);

/// How long silence is nothing to remark on.
const QUIET: Duration = Duration::from_secs(1);

/// Pieces of text that wait to be printed, before the daemon is read no further: a slow terminal slows
/// the model's answer down instead of filling memory.
const PIECES_WAITING_MAX: usize = 256;

/// What comes of the call, piece by piece.
enum Event {
    Text(Text),
    End(Result<Box<RawValue>, CallError>),
}

pub(super) fn run(context: &Context, verb: &Ask) -> Done {
    let prompt = prompt::of(&verb.prompt, io::stdin().is_terminal(), io::stdin())?;
    let mut client = context.client()?;
    let model = match &verb.model {
        Some(model) => model.clone(),
        None => first_model(&mut client, verb)?,
    };
    let params = to_raw_value(&request(verb, &model, &prompt)).map_err(io::Error::from)?;
    let interrupt = Interrupt::watch()?;
    let cancel = client.canceller().map_err(|error| {
        Failure::new(Exit::Failed, format!("the connection could not be shared: {error}"))
    })?;
    let (tell, events) = sync_channel(PIECES_WAITING_MAX);
    std::thread::spawn(move || carry(client, &params, &tell));
    if verb.json {
        let response = follow(&events, &interrupt, cancel, &mut |_| Ok(()))?;
        return Ok(output::json(&response)?);
    }
    let mut printer = Printer::new();
    let answer = follow(&events, &interrupt, cancel, &mut |text| printer.text(text));
    match answer {
        Ok(response) => printer.finish(&response),
        Err(failure) => {
            // The error gets a line of its own. Where nobody reads any more there is nothing to end.
            let _ = printer.end_line();
            Err(failure)
        }
    }
}

/// The model that is meant where none is named.
fn first_model(client: &mut Client, verb: &Ask) -> Result<String, Failure> {
    let target = verb.target.clone();
    let params = ModelsParams { vendor: target.vendor, account: target.account, refresh: false };
    let known: Models = client.call("models", &params)?;
    known.models.into_iter().next().map(|model| model.id).ok_or_else(|| {
        Failure::new(Exit::Failed, "the vendor lists no model").hint("name one with `-m MODEL`")
    })
}

/// A request of the Responses API, and which login it is for beside it.
fn request(verb: &Ask, model: &str, prompt: &str) -> Value {
    let text = json!([{ "type": "input_text", "text": prompt }]);
    let mut request = json!({
        "model": model,
        "input": [{ "type": "message", "role": "user", "content": text }],
        "stream": !verb.json,
    });
    let reasoning = verb.effort.as_ref().map(|effort| json!({ "effort": effort }));
    for (name, value) in [
        ("instructions", verb.system.clone().map(Value::from)),
        ("reasoning", reasoning),
        ("vendor", verb.target.vendor.clone().map(Value::from)),
        ("account", verb.target.account.clone().map(Value::from)),
    ] {
        if let Some(value) = value {
            request[name] = value;
        }
    }
    request
}

/// Makes the call and tells of everything that comes, until nobody listens any more.
fn carry(mut client: Client, params: &RawValue, tell: &SyncSender<Event>) {
    let answer = client.call_raw(METHOD, params, &mut |method, notification| {
        if let Some(text) = printer::text_of(method, notification) {
            // Whoever listened has ended, and the process with it.
            let _ = tell.send(Event::Text(text));
        }
    });
    let _ = tell.send(Event::End(answer));
}

/// Shows what comes until the end, or until the person has had enough.
fn follow(
    events: &Receiver<Event>,
    interrupt: &Interrupt,
    cancel: Canceller,
    show: &mut dyn FnMut(Text) -> io::Result<()>,
) -> Result<Box<RawValue>, Failure> {
    let mut waiting = Waiting::begin();
    loop {
        if interrupt.is_asked() {
            waiting.end();
            cancel.cancel();
            return Err(Failure::silent(Exit::Interrupted));
        }
        match events.recv_timeout(TICK) {
            Ok(Event::Text(text)) => {
                waiting.end();
                show(text)?;
            }
            Ok(Event::End(answer)) => {
                waiting.end();
                return Ok(answer?);
            }
            Err(RecvTimeoutError::Timeout) => waiting.tick(),
            Err(RecvTimeoutError::Disconnected) => {
                waiting.end();
                return Err(Failure::new(Exit::Failed, "the answer could not be followed"));
            }
        }
    }
}

/// The spinner before the first word; nothing where an end of this program is a pipe.
struct Waiting {
    began: Instant,
    bar: Option<ProgressBar>,
    over: bool,
}

impl Waiting {
    fn begin() -> Self {
        Self { began: Instant::now(), bar: None, over: !is_watched() }
    }

    fn tick(&mut self) {
        if self.over || self.began.elapsed() < QUIET {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner())
        });
        bar.set_message(format!("waiting for the model, {} s", self.began.elapsed().as_secs()));
        bar.tick();
    }

    fn end(&mut self) {
        self.over = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Args, Verb};
    use clap::Parser as _;

    fn asked(words: &[&str]) -> Ask {
        let words = ["valetkey", "ask"].iter().chain(words);
        match Args::try_parse_from(words).expect("it parses").verb {
            Verb::Ask(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_question_is_a_plain_request() {
        assert_eq!(
            request(&asked(&["hi"]), "m", "hi"),
            json!({
                "model": "m",
                "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
                "stream": true,
            })
        );
    }

    #[test]
    fn what_was_asked_for_stands_in_the_request_and_the_login_beside_it() {
        let words =
            ["--system", "Be brief.", "--effort", "low", "--account", "work", "--json", "hi"];
        let request = request(&asked(&words), "m", "hi");
        assert_eq!(request["instructions"], "Be brief.");
        assert_eq!(request["reasoning"], json!({"effort": "low"}));
        assert_eq!(request["account"], "work");
        assert_eq!(request["stream"], false);
        assert_eq!(request.get("vendor"), None);
    }
}

//! `valetkey doctor`: what is wrong, in the order in which a person would look, and what repairs it.
//!
//! Three steps that know nothing of each other: facts are gathered, facts are judged, findings are shown.
//! It has to work where little else does, so nothing here starts a daemon, waits without a bound, or gives
//! up because one thing could not be told; and what it prints can be shown to anybody.

mod discreet;
mod facts;
mod judge;
mod show;

use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::to_raw_value;

use super::Done;
use super::args::Doctor;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::{self, beyond_ascii, columns_of_stdout, is_watched, say};
use facts::Facts;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(80);

/// How long silence is nothing to remark on.
const QUIET: Duration = Duration::from_millis(500);

pub(super) fn run(context: &Context, verb: &Doctor) -> Done {
    let facts = gather(context)?;
    let groups = judge::judge(&facts);
    if verb.json {
        output::json(&to_raw_value(&show::Report::of(&groups)).map_err(io::Error::from)?)?;
    } else {
        for line in show::lines(&groups, columns_of_stdout(), beyond_ascii()) {
            say(line)?;
        }
    }
    if show::has_failed(&groups) { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}

/// Gathers the facts in a thread, so that this one can show that it goes on.
fn gather(context: &Context) -> Result<Facts, Failure> {
    let (tell, told) = channel();
    let context = context.clone();
    // It is waited for below, to its end.
    std::thread::spawn(move || drop(tell.send(facts::gather(&context))));
    let began = Instant::now();
    let mut bar: Option<ProgressBar> = None;
    loop {
        match told.recv_timeout(TICK) {
            Ok(facts) => {
                if let Some(bar) = bar {
                    bar.finish_and_clear();
                }
                return Ok(facts);
            }
            Err(RecvTimeoutError::Timeout) if is_watched() && began.elapsed() > QUIET => {
                let bar = bar.get_or_insert_with(|| {
                    ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner())
                });
                bar.set_message("asking the daemon, the vendors and the system");
                bar.tick();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Exit::Failed, "the facts could not be gathered"));
            }
        }
    }
}

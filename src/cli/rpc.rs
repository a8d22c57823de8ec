//! `valetkey rpc`: any method, as it is.

use std::io::{self, Read as _, Write as _};

use serde_json::value::RawValue;

use crate::rpc::client::CallError;

use super::Done;
use super::args::Rpc;
use super::connect::Context;
use super::failure::{Exit, Failure, exit_of};
use super::output;

/// The most that is read from standard input: the daemon's own bound on a message, unless set.
const PARAMS_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) fn run(context: &Context, verb: &Rpc) -> Done {
    let text = if verb.params == "-" { from_stdin()? } else { verb.params.clone() };
    let params = RawValue::from_string(text).map_err(|error| {
        Failure::new(Exit::Usage, format!("the parameters are not JSON: {error}"))
            .hint("quote them for the shell, as in: valetkey rpc status '{\"account\": \"work\"}'")
    })?;
    let mut told: io::Result<()> = Ok(());
    let mut client = context.client()?;
    let answer = client.call_raw(&verb.method, &params, &mut |_method, notification| {
        if told.is_ok() {
            told = output::json(notification);
        }
    });
    told?;
    match answer {
        Ok(result) => Ok(output::json(&result)?),
        Err(CallError::Refused(error)) => {
            let shown = serde_json::to_string(&error).unwrap_or_else(|_| error.message.clone());
            // As it came: whoever uses this verb wants the object, not our sentence.
            let _ = writeln!(io::stderr(), "{shown}");
            Err(Failure::silent(exit_of(error.kind())))
        }
        Err(other) => Err(other.into()),
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = io::stdin().take(PARAMS_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read the parameters: {error}"))
            .hint("`-` reads one JSON object from standard input")
    })?;
    Ok(text)
}

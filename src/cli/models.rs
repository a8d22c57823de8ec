//! `valetkey models`.

use std::io;

use serde_json::value::to_raw_value;

use crate::rpc::{Models, ModelsParams, ModelsSource};

use super::Done;
use super::args;
use super::connect::Context;
use super::output::{self, FAINT, WARN, note, say};
use super::words::plain;

pub(super) fn run(context: &Context, verb: &args::Models) -> Done {
    let target = verb.target.clone();
    let params =
        ModelsParams { vendor: target.vendor, account: target.account, refresh: verb.refresh };
    let mut client = context.client()?;
    if verb.json {
        let params = to_raw_value(&params).map_err(io::Error::from)?;
        return Ok(output::json(&client.call_raw("models", &params, &mut |_, _| {})?)?);
    }
    let answer: Models = client.call("models", &params)?;
    for model in &answer.models {
        let about = ["display_name", "title", "description"]
            .into_iter()
            .find_map(|key| model.more.get(key)?.as_str());
        match about.map(plain).filter(|about| *about != model.id && !about.is_empty()) {
            Some(about) => say(format_args!("{}  {FAINT}{about}{FAINT:#}", plain(&model.id)))?,
            None => say(plain(&model.id))?,
        }
    }
    if answer.source == ModelsSource::Builtin {
        note(format_args!(
            "{WARN}The vendor could not be asked:{WARN:#} this is the list that this version knew."
        ))?;
    }
    Ok(())
}

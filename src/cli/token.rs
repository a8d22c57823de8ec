//! `valetkey token`: the verb that agents run before every request.
//!
//! It must cost what a process costs: connect, one line out, one line in. No runtime, no logging, no
//! file unless a configuration exists.

use std::io::{self, Write as _};

use serde_json::value::{RawValue, to_raw_value};

use crate::rpc::{Rejected, TokenParams, TokenResult};

use super::Done;
use super::args::Token;
use super::connect::Context;
use super::output;

pub(super) fn run(context: &Context, verb: &Token) -> Done {
    let target = verb.target.clone();
    let params = TokenParams {
        vendor: target.vendor,
        account: target.account,
        min_ttl: verb.min_ttl,
        rejected: verb.rejected.map(Rejected::Generation),
    };
    let mut client = context.client()?;
    if verb.json {
        let params = to_raw_value(&params).map_err(io::Error::from)?;
        let answer: Box<RawValue> = client.call_raw("token", &params, &mut |_, _| {})?;
        return Ok(output::json(&answer)?);
    }
    let lent: TokenResult = client.call("token", &params)?;
    // The reason for this program's being: the one token that may be shown, to the one who asked.
    let token = lent.access_token.expose();
    let mut stdout = io::stdout().lock();
    if verb.header {
        writeln!(stdout, "Authorization: Bearer {token}")?
    } else {
        writeln!(stdout, "{token}")?
    }
    Ok(stdout.flush()?)
}

//! `valetkey key`: keys for the loopback door that live longer than a lease.

use std::io::{self, Write as _};

use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::clock::{Clock, Timestamp};
use crate::rpc::{Empty, KeyAdded, KeyInfo, Keys, KeysAdd, KeysRevoke};

use super::Done;
use super::args::{self, KeyAction, KeyAdd, KeyList, KeyRevoke};
use super::connect::Context;
use super::output::{self, FAINT, STRONG, WARN, note, say};
use super::words::{moment, plain};

pub(super) fn run(context: &Context, verb: &args::Key) -> Done {
    match &verb.action {
        None => list(context, &verb.list),
        Some(KeyAction::List(verb)) => list(context, verb),
        Some(KeyAction::Add(verb)) => add(context, verb),
        Some(KeyAction::Revoke(verb)) => revoke(context, verb),
    }
}

fn add(context: &Context, verb: &KeyAdd) -> Done {
    let scopes = (!verb.scopes.is_empty()).then(|| verb.scopes.clone());
    let params = KeysAdd { name: verb.name.clone(), ttl: verb.ttl, scopes };
    let added: KeyAdded = context.client()?.call("keys.add", &params)?;
    // Shown this once, to the person who made it.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", added.key.expose())?;
    stdout.flush()?;
    note(format_args!(
        "{WARN}This key is shown this once.{WARN:#} To end it: valetkey key revoke {}",
        plain(&added.name)
    ))?;
    Ok(())
}

fn list(context: &Context, verb: &KeyList) -> Done {
    let mut client = context.client()?;
    if verb.json {
        let params = to_raw_value(&Empty {}).map_err(io::Error::from)?;
        return Ok(output::json(&client.call_raw("keys.list", &params, &mut |_, _| {})?)?);
    }
    let answer: Keys = client.call("keys.list", &Empty {})?;
    if answer.keys.is_empty() {
        return Ok(say("There is no key; `valetkey key add NAME` makes one.")?);
    }
    for line in lines(&answer.keys, Clock::System.now()) {
        say(line)?;
    }
    Ok(())
}

fn revoke(context: &Context, verb: &KeyRevoke) -> Done {
    let params = KeysRevoke { name: verb.name.clone() };
    let _: Value = context.client()?.call("keys.revoke", &params)?;
    say(format_args!("The key {STRONG}{}{STRONG:#} opens nothing any more.", verb.name))?;
    Ok(())
}

fn lines(keys: &[KeyInfo], now: Timestamp) -> Vec<String> {
    let rows: Vec<[String; 4]> = keys.iter().map(|key| row(key, now)).collect();
    let wide =
        |cell: usize| rows.iter().map(|row| row[cell].chars().count()).max().unwrap_or_default();
    let (names, made, used) = (wide(0), wide(1), wide(2));
    rows.iter()
        .map(|[name, made_at, used_at, ends]| {
            format!(
                "{STRONG}{name:names$}{STRONG:#}  {made_at:made$}  {used_at:used$}  {FAINT}{ends}{FAINT:#}"
            )
        })
        .collect()
}

fn row(key: &KeyInfo, now: Timestamp) -> [String; 4] {
    let used = key
        .last_used_at
        .map_or_else(|| "never used".to_owned(), |at| format!("used {}", moment(at, now)));
    let ends = match key.expires_at {
        None => "ends when revoked".to_owned(),
        Some(at) if at <= now => format!("ended {}", moment(at, now)),
        Some(at) => format!("ends {}", moment(at, now)),
    };
    [plain(&key.name), format!("made {}", moment(key.created_at, now)), used, ends]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_listed_in_columns_and_in_words() {
        let now = Timestamp(1_800_000_000_000);
        let key = |name: &str, expires_at, last_used_at| KeyInfo {
            name: name.to_owned(),
            created_at: now.shifted(-3_600_000),
            expires_at,
            last_used_at,
        };
        let keys = [
            key("ci", Some(now.shifted(30 * 86_400_000)), None),
            key("editor", None, Some(now.shifted(-120_000))),
            key("old", Some(now.shifted(-180_000)), None),
        ];
        let shown: Vec<String> = lines(&keys, now)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(
            shown,
            [
                "ci      made 60 minutes ago  never used          ends in 30 days",
                "editor  made 60 minutes ago  used 2 minutes ago  ends when revoked",
                "old     made 60 minutes ago  never used          ended 3 minutes ago",
            ]
        );
    }
}

//! The Codex CLI: a provider of its own in `config.toml`, whose key is a command's answer.
//!
//! Nothing is stored: the CLI runs `valetkey lease` when it wants a key (`model_providers.ID.auth` of its
//! configuration), so that one of its processes holds at most a lease that ends within the hour.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::rpc::ImportSource;

use super::agent::{Agent, Around, Edit, Plugged, Refused, Replaced, Wants};
use super::toml_text::{TomlText, list, quoted};

/// How long the CLI waits for its key, in milliseconds: the first call may have to start the daemon.
const KEY_TIME_MAX_MS: u64 = 10_000;

/// How often the CLI asks for a new key, in milliseconds: half of a lease's life.
const KEY_RENEWED_MS: u64 = 1_800_000;

const PROVIDER: &str = "model_provider";
const MODEL: &str = "model";
const TABLE: [&str; 2] = ["model_providers", "valetkey"];
/// Under which name the model that was set here is remembered, to be known again.
const MODEL_SET: &str = "model set";

pub(super) struct Codex;

impl Edit for Codex {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        let mut plugged = Plugged { text: text.to_owned(), replaced: Replaced::new() };
        let ours = "\"valetkey\"".to_owned();
        let model = wants.model.as_deref().map(quoted);
        for (key, value) in [(PROVIDER, Some(ours)), (MODEL, model)] {
            let Some(value) = value else { continue };
            let now = TomlText::parse(&plugged.text)?;
            if now.text_of(&[key]) == unquoted(&value).as_deref() {
                continue;
            }
            let before = now.written(&[key]).map(|before| (key.to_owned(), before.to_owned()));
            let set = (key == MODEL).then(|| (MODEL_SET.to_owned(), value.clone()));
            plugged.replaced.extend(before.into_iter().chain(set));
            plugged.text = now.with_top(key, &value)?;
        }
        if !has_all(&values(&plugged.text)?, &values(&table(wants))?) {
            let without = TomlText::parse(&plugged.text)?.without_tables(&TABLE)?;
            plugged.text = TomlText::parse(&without)?.with_block(&table(wants));
        }
        unchanged_beside_ours(text, &plugged.text)?;
        Ok(plugged)
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        let mut left = text.to_owned();
        let now = TomlText::parse(text)?;
        if now.text_of(&[PROVIDER]) == Some("valetkey") {
            left = restored(&left, PROVIDER, replaced)?;
        }
        if replaced.get(MODEL_SET).is_some_and(|set| now.written(&[MODEL]) == Some(set)) {
            left = restored(&left, MODEL, replaced)?;
        }
        let left = TomlText::parse(&left)?.without_tables(&TABLE)?;
        unchanged_beside_ours(text, &left)?;
        Ok(left)
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        let now = TomlText::parse(text)?;
        let [providers, ours] = TABLE;
        let leads = now.text_of(&[providers, ours, "base_url"]).is_some();
        Ok(leads && now.text_of(&[PROVIDER]) == Some("valetkey"))
    }
}

impl Agent for Codex {
    fn name(&self) -> &'static str {
        "codex"
    }

    fn title(&self) -> &'static str {
        "the Codex CLI"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["codex"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        Some(around.folder("CODEX_HOME", ".codex").join("config.toml"))
    }

    fn own_login(&self) -> Option<ImportSource> {
        Some(ImportSource::Codex)
    }

    fn by_hand(&self, wants: &Wants) -> String {
        let model = wants.model.as_deref().map(|model| format!("model = {}\n", quoted(model)));
        format!(
            "model_provider = \"valetkey\"\n{}\n{}",
            model.unwrap_or_default(),
            table(wants).trim_end()
        )
    }

    fn notes(&self, text: &str, wants: &Wants) -> Vec<String> {
        let Ok(now) = TomlText::parse(text) else { return Vec::new() };
        let mut notes = Vec::new();
        let model = wants.model.as_deref().or(now.text_of(&[MODEL]));
        if let Some(model) = model.filter(|model| !carried(model, &wants.models)) {
            let known = wants.models.join(", ");
            notes.push(format!(
                "{model:?} is not among the models of this login; `--model` takes another: {known}."
            ));
        }
        if let Some(profile) = now.text_of(&["profile"]) {
            let own = now.text_of(&["profiles", profile, PROVIDER]);
            if own.is_some_and(|own| own != "valetkey") {
                notes.push(format!("The profile {profile:?}, which the file chooses, names a provider of its own and goes before."));
            }
        }
        notes
    }
}

/// Whether the login has this model, or none is known at all. A name may end in an effort.
fn carried(model: &str, models: &[String]) -> bool {
    let is = |known: &String| {
        model
            .strip_prefix(known.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    models.is_empty() || models.iter().any(is)
}

/// What is appended.
fn table(wants: &Wants) -> String {
    let lease = wants.lease("codex");
    let (program, arguments) = lease.split_first().expect("a command has a program");
    format!(
        "\
[model_providers.valetkey]
name = \"valetkey\"
base_url = {base_url}
wire_api = \"responses\"
requires_openai_auth = false
supports_websockets = false

[model_providers.valetkey.auth]
command = {command}
args = {arguments}
timeout_ms = {KEY_TIME_MAX_MS}
refresh_interval_ms = {KEY_RENEWED_MS}
",
        base_url = quoted(&wants.base_url),
        command = quoted(program),
        arguments = list(arguments),
    )
}

/// The text with a value of ours away: the one before it back, or its line gone.
fn restored(text: &str, key: &str, replaced: &Replaced) -> Result<String, Refused> {
    let now = TomlText::parse(text)?;
    Ok(match replaced.get(key) {
        Some(before) => now.with_written(&[key], before),
        None => now.without_line(&[key]),
    })
}

fn unquoted(value: &str) -> Option<String> {
    Some(value.parse::<toml_edit::Value>().ok()?.as_str()?.to_owned())
}

fn values(text: &str) -> Result<Table, Refused> {
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        Refused::broken(text, at, format!("not TOML: {}", error.message()))
    })
}

/// Whether all of `wanted` stands in `there`, which may hold more.
fn has_all(there: &Table, wanted: &Table) -> bool {
    wanted.iter().all(|(key, wanted)| match (there.get(key), wanted) {
        (Some(Value::Table(there)), Value::Table(wanted)) => has_all(there, wanted),
        (there, wanted) => there == Some(wanted),
    })
}

/// Makes sure, by the values, that an edit of the text has changed nothing that is not ours.
fn unchanged_beside_ours(before: &str, after: &str) -> Result<(), Refused> {
    let beside = |text: &str| {
        let mut values = values(text)?;
        values.remove(PROVIDER);
        values.remove(MODEL);
        if let Some(Value::Table(providers)) = values.get_mut(TABLE[0]) {
            providers.remove(TABLE[1]);
        }
        // A header without anything under it came with ours or goes with it.
        values.retain(|key, value| {
            key != TABLE[0] || value.as_table().is_none_or(|table| !table.is_empty())
        });
        Ok::<Table, Refused>(values)
    };
    // An edit whose outcome is no TOML any more has found no place either.
    if beside(after).is_ok_and(|after| Ok(after) == beside(before)) {
        return Ok(());
    }
    Err(Refused::Shape("what is written there leaves no place for a provider".to_owned()))
}

#[cfg(test)]
mod tests;

//! aider: four lines of `.aider.conf.yml`.
//!
//! It has one model and one key for everything of OpenAI's kind, so that the person's own make way and are
//! remembered.

use std::path::PathBuf;

use super::agent::{Agent, Around, Edit, KeyUse, Plugged, Refused, Replaced, Wants};
use super::models;
use super::yaml_text::{Node, YamlText, scalar};

const MODEL: &str = "model";
const BASE: &str = "openai-api-base";
const KEY: &str = "openai-api-key";
/// It holds a question about every model that is newer than its own list, each time it starts.
const WARNINGS: &str = "show-model-warnings";
const KEYS: [&str; 4] = [MODEL, BASE, KEY, WARNINGS];
/// What keys of ours begin with. Lines beside such a key are ours as well.
const KEY_PREFIX: &str = "vk_";
/// Under which name it is remembered that the line about warnings came with us.
const WARNINGS_SET: &str = "show-model-warnings set";

pub(super) struct Aider;

impl Edit for Aider {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        let mut plugged = Plugged { text: text.to_owned(), replaced: Replaced::new() };
        let before = YamlText::parse(text)?;
        let was_ours = is_ours(&before);
        for (key, value) in lines(chosen(&before, wants)?, wants) {
            let now = YamlText::parse(&plugged.text)?;
            if now.get(key).is_some_and(|node| says(node, &value)) {
                continue;
            }
            match now.written(key) {
                Some(before) if !was_ours => {
                    plugged.replaced.insert(key.to_owned(), before.to_owned());
                }
                None if key == WARNINGS => {
                    plugged.replaced.insert(WARNINGS_SET.to_owned(), value.clone());
                }
                _ => {}
            }
            plugged.text = now.with_top(key, &value)?;
        }
        unchanged(text, &plugged.text)?;
        Ok(plugged)
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        let now = YamlText::parse(text)?;
        if !is_ours(&now) {
            return Ok(text.to_owned());
        }
        let mut left = text.to_owned();
        let keeps_warnings = !replaced.contains_key(WARNINGS_SET);
        for key in KEYS {
            let now = YamlText::parse(&left)?;
            left = match replaced.get(key) {
                Some(before) => now.with_top(key, before)?,
                None if key == WARNINGS && keeps_warnings => continue,
                None if key == MODEL && !names_openai(&now) => continue,
                None => now.without_top(key),
            };
        }
        unchanged(text, &left)?;
        Ok(left)
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        Ok(is_ours(&YamlText::parse(text)?))
    }
}

impl Agent for Aider {
    fn name(&self) -> &'static str {
        "aider"
    }

    fn title(&self) -> &'static str {
        "aider"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["aider"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        Some(around.home.join(".aider.conf.yml"))
    }

    fn key(&self) -> KeyUse {
        KeyUse::Embedded
    }

    fn lists_models(&self) -> bool {
        true
    }

    fn by_hand(&self, wants: &Wants) -> String {
        let lines = lines(models::shown(wants)[0], wants);
        lines.iter().map(|(key, value)| format!("{key}: {value}")).collect::<Vec<_>>().join("\n")
    }

    fn notes(&self, text: &str, _wants: &Wants) -> Vec<String> {
        let told = YamlText::parse(text).is_ok_and(|now| now.get("edit-format").is_some());
        let hint = "From a model that it does not know aider wants whole files; `edit-format: diff` in the same file makes that changes.";
        let mut notes = vec!["A `.aider.conf.yml` in a project goes before this one.".to_owned()];
        notes.extend((!told).then(|| hint.to_owned()));
        notes
    }
}

/// The model to name: the one that is asked for, or that was before, or the first.
fn chosen<'m>(now: &'m YamlText<'_>, wants: &'m Wants) -> Result<&'m str, Refused> {
    let there = now.text_of(MODEL).and_then(|model| model.strip_prefix("openai/"));
    let ours =
        there.filter(|model| is_ours(now) || wants.models.iter().any(|known| known == model));
    Ok(models::known_beside(wants, ours)?[0])
}

fn lines(model: &str, wants: &Wants) -> [(&'static str, String); 4] {
    [
        (MODEL, scalar(&format!("openai/{model}"))),
        (BASE, scalar(&wants.base_url)),
        (KEY, scalar(wants.key_text())),
        (WARNINGS, "false".to_owned()),
    ]
}

/// Whether a value, as we would write it, says the same as what stands there.
fn says(node: &Node, value: &str) -> bool {
    let line = format!("key: {value}");
    YamlText::parse(&line)
        .is_ok_and(|ours| ours.text_of("key").is_some() && ours.text_of("key") == node.text())
}

fn is_ours(now: &YamlText<'_>) -> bool {
    now.text_of(KEY).is_some_and(|key| key.starts_with(KEY_PREFIX))
}

fn names_openai(now: &YamlText<'_>) -> bool {
    now.text_of(MODEL).is_some_and(|model| model.starts_with("openai/"))
}

fn unchanged(before: &str, after: &str) -> Result<(), Refused> {
    models::unchanged(before, after, &KEYS, "", |_| false)
}

#[cfg(test)]
mod tests;

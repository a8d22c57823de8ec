//! Continue: an entry of `models` for each model, the first of which it takes when none was chosen.

use std::path::PathBuf;

use super::agent::{Agent, Around, Edit, KeyUse, Plugged, Refused, Replaced, Wants};
use super::models;
use super::yaml_text::{Node, YamlText, scalar};

const LIST: &str = "models";
/// What the names of our entries end with; it shows in the editor's list of models.
const OURS: &str = " (valetkey)";
/// Without these Continue takes no file. A file that has anything at all has them already.
const HEAD: [(&str, &str); 3] = [("name", "Local Config"), ("version", "1.0.0"), ("schema", "v1")];

pub(super) struct Continue;

impl Edit for Continue {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        let headed = with_head(text)?;
        models::plugged(&headed, LIST, &entries(&models::known(wants)?, wants), is_ours)
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        models::unplugged(text, LIST, replaced, is_ours)
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        Ok(YamlText::parse(text)?.items(LIST).iter().any(is_ours))
    }
}

impl Agent for Continue {
    fn name(&self) -> &'static str {
        "continue"
    }

    fn title(&self) -> &'static str {
        "Continue"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["cn"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        Some(around.folder("CONTINUE_GLOBAL_DIR", ".continue").join("config.yaml"))
    }

    fn key(&self) -> KeyUse {
        KeyUse::Embedded
    }

    fn lists_models(&self) -> bool {
        true
    }

    fn by_hand(&self, wants: &Wants) -> String {
        models::by_hand(LIST, &entries(&models::shown(wants), wants))
    }

    fn notes(&self, _text: &str, _wants: &Wants) -> Vec<String> {
        vec!["An older `config.json` in the same folder is read no more once there is a `config.yaml`.".to_owned()]
    }
}

/// The text, begun as Continue wants it where it says nothing yet.
fn with_head(text: &str) -> Result<String, Refused> {
    let mut headed = text.to_owned();
    if YamlText::parse(text)?.is_empty() {
        for (key, value) in HEAD {
            headed = YamlText::parse(&headed)?.with_top(key, value)?;
        }
    }
    Ok(headed)
}

fn is_ours(item: &Node) -> bool {
    item.get("name").and_then(Node::text).is_some_and(|name| name.ends_with(OURS))
}

fn entries(models: &[&str], wants: &Wants) -> Vec<Vec<String>> {
    let entry = |model: &&str| {
        vec![
            format!("- name: {model}{OURS}"),
            "  provider: openai".to_owned(),
            format!("  model: {}", scalar(model)),
            format!("  apiBase: {}", scalar(&wants.base_url)),
            format!("  apiKey: {}", scalar(wants.key_text())),
        ]
    };
    models.iter().map(entry).collect()
}

#[cfg(test)]
mod tests;

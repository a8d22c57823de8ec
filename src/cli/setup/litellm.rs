//! LiteLLM's proxy: an entry of `model_list` for each model.
//!
//! Its proxy speaks to OpenAI's API and to whatever looks like it (`openai/MODEL` with an `api_base`), for
//! chat and Responses alike. The entries are called `valetkey/MODEL`, so that no group of the person's own
//! gets a member that it did not have.

use std::path::PathBuf;

use super::agent::{Agent, Around, Edit, KeyUse, Plugged, Refused, Replaced, Wants};
use super::models;
use super::yaml_text::{Node, YamlText, scalar};

const LIST: &str = "model_list";
/// What the names of our entries begin with.
const OURS: &str = "valetkey/";

pub(super) struct LiteLlm;

impl Edit for LiteLlm {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        models::plugged(text, LIST, &entries(&models::known(wants)?, wants), is_ours)
    }

    fn unplug(&self, text: &str, replaced: &Replaced) -> Result<String, Refused> {
        models::unplugged(text, LIST, replaced, is_ours)
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        Ok(YamlText::parse(text)?.items(LIST).iter().any(is_ours))
    }
}

impl Agent for LiteLlm {
    fn name(&self) -> &'static str {
        "litellm"
    }

    fn title(&self) -> &'static str {
        "the LiteLLM proxy"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["litellm"]
    }

    /// It is told its file each time (`--config`), or by `CONFIG_FILE_PATH`; where neither is known there is
    /// one place that is as good as any.
    fn file(&self, around: &Around) -> Option<PathBuf> {
        let named = around.variable("CONFIG_FILE_PATH").map(PathBuf::from);
        Some(named.unwrap_or_else(|| around.config_home().join("litellm").join("config.yaml")))
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
        vec![
            "Start it with `litellm --host 127.0.0.1 --config FILE`: by itself it listens to the whole network, and without a `master_key` it answers everybody.".to_owned(),
            "The models are called `valetkey/MODEL` there.".to_owned(),
        ]
    }
}

fn is_ours(item: &Node) -> bool {
    item.get("model_name").and_then(Node::text).is_some_and(|name| name.starts_with(OURS))
}

fn entries(models: &[&str], wants: &Wants) -> Vec<Vec<String>> {
    let entry = |model: &&str| {
        vec![
            format!("- model_name: {}", scalar(&format!("{OURS}{model}"))),
            "  litellm_params:".to_owned(),
            format!("    model: {}", scalar(&format!("openai/{model}"))),
            format!("    api_base: {}", scalar(&wants.base_url)),
            format!("    api_key: {}", scalar(wants.key_text())),
        ]
    };
    models.iter().map(entry).collect()
}

#[cfg(test)]
mod tests;

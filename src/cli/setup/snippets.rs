//! Programs that a person writes: lines to put into them, and no file that would be ours to change.

use std::path::PathBuf;

use super::agent::{Agent, Around, Edit, Plugged, Refused, Replaced, Wants};

/// A language, and what a program in it says.
pub(super) struct Snippet {
    name: &'static str,
    title: &'static str,
    programs: &'static [&'static str],
    lines: fn(&Wants) -> String,
}

/// OpenAI's library for Python.
pub(super) const PYTHON: Snippet = Snippet {
    name: "python",
    title: "OpenAI's library for Python",
    programs: &["python3", "python"],
    lines: python,
};

/// OpenAI's library for Node.
pub(super) const NODE: Snippet =
    Snippet { name: "node", title: "OpenAI's library for Node", programs: &["node"], lines: node };

impl Edit for Snippet {
    fn plug(&self, _text: &str, _wants: &Wants) -> Result<Plugged, Refused> {
        Err(Refused::Shape("the lines go into a program of yours".to_owned()))
    }

    fn unplug(&self, text: &str, _replaced: &Replaced) -> Result<String, Refused> {
        Ok(text.to_owned())
    }

    fn is_plugged(&self, _text: &str) -> Result<bool, Refused> {
        Ok(false)
    }
}

impl Agent for Snippet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> &'static str {
        self.title
    }

    fn programs(&self) -> &'static [&'static str] {
        self.programs
    }

    fn file(&self, _around: &Around) -> Option<PathBuf> {
        None
    }

    fn place(&self) -> Option<&'static str> {
        Some("in a program")
    }

    fn by_hand(&self, wants: &Wants) -> String {
        (self.lines)(wants)
    }

    fn notes(&self, _text: &str, _wants: &Wants) -> Vec<String> {
        vec![
            "The library reads OPENAI_BASE_URL and OPENAI_API_KEY as well: `valetkey setup shell` says how to set them, without a change to the program."
                .to_owned(),
        ]
    }
}

fn python(wants: &Wants) -> String {
    let model = wants.model_or_first().unwrap_or("gpt-5.5");
    format!(
        "\
import subprocess
from openai import OpenAI

key = subprocess.check_output({lease}, text=True).strip()
client = OpenAI(base_url={url}, api_key=key)
print(client.responses.create(model={model}, input=\"Say hello.\").output_text)",
        lease = list(&wants.lease("python")),
        url = text(&wants.base_url),
        model = text(model),
    )
}

fn node(wants: &Wants) -> String {
    let model = wants.model_or_first().unwrap_or("gpt-5.5");
    let lease = wants.lease("node");
    let (program, arguments) = lease.split_first().expect("a command has a program");
    format!(
        "\
import {{ execFileSync }} from \"node:child_process\";
import OpenAI from \"openai\";

const apiKey = execFileSync({program}, {arguments}, {{ encoding: \"utf8\" }}).trim();
const client = new OpenAI({{ baseURL: {url}, apiKey }});
console.log((await client.responses.create({{ model: {model}, input: \"Say hello.\" }})).output_text);",
        program = text(program),
        arguments = list(arguments),
        url = text(&wants.base_url),
        model = text(model),
    )
}

/// A text as JSON, Python and JavaScript all write it.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| text(word)).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::agent::tests::wants;
    use super::*;

    #[test]
    fn the_lines_hold_this_machines_path_and_port() {
        let mut wants = wants();
        wants.program = "/home/p\"at/valetkey".to_owned();
        for snippet in [&PYTHON, &NODE] {
            let lines = snippet.by_hand(&wants);
            assert!(lines.contains(r#""/home/p\"at/valetkey""#), "{lines}");
            assert!(
                lines.contains(r#""http://127.0.0.1:8459/v1""#)
                    && lines.contains(r#""gpt-6.1-sol""#),
                "{lines}"
            );
            assert!(snippet.plug("", &wants).is_err() && !snippet.is_plugged("").unwrap());
            assert_eq!(snippet.unplug("x", &Replaced::new()).unwrap(), "x");
        }
    }
}

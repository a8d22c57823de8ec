//! `valetkey setup`: an agent plugged in with one line, and unplugged with another.
//!
//! Each agent has a configuration of its own that a person has written and wants to keep as it is. So
//! setup shows before it writes, writes nothing but its own lines, keeps what was there, and takes
//! itself out again so that the very bytes come back.

mod agent;
mod aider;
mod codex;
mod continue_;
mod door;
mod hunks;
mod keys;
mod list;
mod litellm;
mod models;
mod opencode;
mod openhands;
mod patch;
mod shelf;
mod shell;
mod show;
mod snippets;
mod toml_text;
mod undo;
mod write;
mod yaml_text;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::platform::paths::Paths;
use crate::rpc::client::Client;
use crate::rpc::{Models, ModelsParams};

use agent::{Agent, Around, Wants};
use door::Door;
use patch::Target;
use shelf::Shelf;

use super::Done;
use super::args::Setup;
use super::connect::{Context, moved, this_program};
use super::failure::{Exit, Failure};
use super::output::{STRONG, say};

/// How long the daemon may take to tell its models, which it may have to ask upstream.
const MODELS_TIME_MAX: Duration = Duration::from_secs(10);

/// Every agent that is known, in the order in which they are listed.
static AGENTS: [&dyn Agent; 9] = [
    &codex::Codex,
    &openhands::OpenHands,
    &opencode::OpenCode,
    &litellm::LiteLlm,
    &aider::Aider,
    &continue_::Continue,
    &snippets::PYTHON,
    &snippets::NODE,
    &shell::Shell,
];

/// What `setup` takes for an agent.
pub(super) fn names() -> Vec<&'static str> {
    AGENTS.iter().map(|agent| agent.name()).collect()
}

/// What every part of this verb starts from.
struct Desk<'c> {
    context: &'c Context,
    paths: Paths,
    shelf: Shelf,
    around: Around,
}

pub(super) fn run(context: &Context, verb: &Setup) -> Done {
    let paths = context.paths()?;
    let shelf = Shelf::of(&paths);
    let around = Around::of_this_process()
        .ok_or_else(|| Failure::new(Exit::Failed, "this user has no home directory"))?;
    let desk = Desk { context, paths, shelf, around };
    let Some(name) = &verb.agent else { return list::run(&desk, verb.json) };
    let agent = AGENTS.iter().find(|agent| agent.name() == name.as_str()).ok_or_else(|| {
        Failure::new(Exit::Usage, format!("there is no agent {name:?}"))
            .hint(format!("there are {}", names().join(", ")))
    })?;
    match (verb.write, verb.undo) {
        (true, _) => write::run(&desk, *agent, verb),
        (_, true) => undo::run(&desk, *agent, verb),
        _ => print(&desk, *agent, verb),
    }
}

impl Desk<'_> {
    /// What the agent is to say, as far as it is known without changing anything. The door is where it
    /// will be.
    fn wants(
        &self,
        agent: &dyn Agent,
        client: Option<&mut Client>,
        verb: &Setup,
    ) -> Result<Wants, Failure> {
        let program = this_program()?;
        let program = program.to_str().ok_or_else(|| {
            Failure::new(
                Exit::Failed,
                "the path of this program is not UTF-8, which no agent's configuration takes",
            )
        })?;
        Ok(Wants {
            program: program.to_owned(),
            reach: self.context.reach()?,
            base_url: String::new(),
            models: client.map_or_else(Vec::new, models),
            model: verb.model.clone(),
            shell: shell::name_of(&self.around).to_owned(),
            key_file: keys::file_of(&self.paths, agent.name()),
            key: None,
        })
    }

    /// The file to change: the one that the person names, or the agent's own.
    fn file(&self, agent: &dyn Agent, verb: &Setup) -> Result<PathBuf, Failure> {
        let named = verb.file.as_deref().map(std::path::absolute).transpose().map_err(|error| {
            Failure::new(Exit::Usage, format!("--file is no usable path: {error}"))
        })?;
        named.or_else(|| agent.file(&self.around)).ok_or_else(|| {
            Failure::new(Exit::Usage, format!("there is no file to write for {}", agent.title()))
                .hint(format!("`valetkey setup {}` prints what to do", agent.name()))
        })
    }

    /// The file in which an agent is plugged in, or would be.
    fn usual_file(&self, agent: &dyn Agent) -> Option<PathBuf> {
        let recorded = self.shelf.record(agent.name()).ok().flatten().map(|record| record.file);
        recorded.or_else(|| agent.file(&self.around))
    }

    /// Whether an agent is plugged in, by whomever; nothing where there is no file that could say so.
    fn is_plugged(&self, agent: &dyn Agent) -> Option<bool> {
        let target = Target::look(&self.usual_file(agent)?).ok()?;
        agent.is_plugged(target.text()).ok()
    }

    fn short(&self, path: &Path) -> String {
        self.around.short(path)
    }
}

/// The models of the login, the best first. An agent can be plugged in without knowing them.
fn models(client: &mut Client) -> Vec<String> {
    client.set_timeout(Some(MODELS_TIME_MAX));
    let known: Result<Models, _> = client.call("models", &ModelsParams::default());
    client.set_timeout(Some(door::ANSWER_TIME_MAX));
    known.map_or_else(
        |_| Vec::new(),
        |known| known.models.into_iter().map(|model| model.id).collect(),
    )
}

/// What to put where, and what `--write` would do.
fn print(desk: &Desk<'_>, agent: &dyn Agent, verb: &Setup) -> Done {
    let mut client = door::daemon(desk.context)?;
    let mut wants = desk.wants(agent, client.as_mut(), verb)?;
    let door = Door::look(&desk.paths, &desk.shelf, client.as_mut(), &wants)?;
    wants.base_url = door.base_url();
    let file = desk.file(agent, verb).ok();
    let text = match &file {
        Some(file) => Target::look(file)?.text().to_owned(),
        None => String::new(),
    };
    let plugged = file.is_some() && agent.is_plugged(&text).unwrap_or_default();
    let notes = agent.notes(&text, &wants);
    let lines = agent.by_hand(&wants);
    if verb.export {
        return export(agent, &door, &wants);
    }
    let config = desk.short(&desk.paths.config_file);
    if verb.json {
        let answer = serde_json::json!({
            "agent": agent.name(), "installed": agent.is_installed(&desk.around), "file": file,
            "plugged_in": plugged, "lines": lines, "base_url": wants.base_url,
            "opens_door": door.change.is_some(), "notes": notes,
        });
        return Ok(super::output::json(
            &serde_json::value::to_raw_value(&answer).map_err(std::io::Error::from)?,
        )?);
    }
    let place = match (agent.place(), &file) {
        (Some(place), _) => place.to_owned(),
        (None, Some(file)) => format!("in {}", desk.short(file)),
        (None, None) => String::new(),
    };
    say(format_args!("{STRONG}{}{STRONG:#}, {place}:", capital(agent.title())))?;
    show::say_block(&lines)?;
    if door.change.is_some() {
        say(format_args!("The loopback door has to be open for it, by {config}:"))?;
        show::say_block(&format!("[http]\nlisten = \"{}\"", door.address))?;
    }
    for note in notes.into_iter().chain(unreached()) {
        say(note)?;
    }
    if plugged {
        let undo = format!("valetkey setup {} --undo", agent.name());
        say(format_args!("It is plugged in. To take it out again: {STRONG}{undo}{STRONG:#}"))?;
    } else if let Some(file) = &file {
        let also = if door.change.is_some() { " and opens the door" } else { "" };
        let write = format!("valetkey setup {} --write", agent.name());
        let file = desk.short(file);
        say(format_args!(
            "{STRONG}{write}{STRONG:#} changes {file}{also}; it shows the change first."
        ))?;
    }
    Ok(())
}

/// Commands for a shell to evaluate. It asks for the lease itself, so the door has to be open.
fn export(agent: &dyn Agent, door: &Door, wants: &Wants) -> Done {
    if agent.name() != "shell" {
        return Err(Failure::new(Exit::Usage, "--export is for `valetkey setup shell`"));
    }
    if door.change.is_some() {
        return Err(Failure::new(Exit::Failed, "the loopback door is closed").hint(
            "`valetkey setup shell --write` opens it, or set http.listen in the configuration",
        ));
    }
    Ok(say(shell::export(wants))?)
}

/// What no agent could be told by flags, where it has to start the daemon itself.
fn unreached() -> Option<String> {
    let set = moved()?;
    Some(format!(
        "{set} is set here and may not be where the agent runs: keep a daemon running for it."
    ))
}

/// As a sentence begins.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

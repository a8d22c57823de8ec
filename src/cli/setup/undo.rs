//! `setup AGENT --undo`: our lines taken out, the key ended, the door closed where nobody else needs it.

use std::path::PathBuf;

use serde_json::json;
use serde_json::value::to_raw_value;

use super::super::Done;
use super::super::args::Setup;
use super::super::failure::Failure;
use super::super::output::{self, GOOD, WARN, note, say};
use super::agent::Agent;
use super::patch::Change;
use super::shelf::DOOR;
use super::{AGENTS, Desk, capital, door, keys, show};

/// What there is to undo.
struct Plan {
    file: PathBuf,
    change: Option<Change>,
    closing: Option<Change>,
    key: Option<String>,
    /// Why the door stays as it is.
    trouble: Option<Failure>,
}

/// What came of it.
struct Undone {
    file: PathBuf,
    nothing: bool,
    removed: bool,
    edited: bool,
    closed: bool,
    /// The key that could not be ended.
    key_left: Option<String>,
}

pub(super) fn run(desk: &Desk<'_>, agent: &dyn Agent, verb: &Setup) -> Done {
    let mut plan = plan(desk, agent, verb)?;
    let shown: Vec<&Change> = plan
        .change
        .iter()
        .chain(&plan.closing)
        .filter(|change| change.touches_the_file())
        .collect();
    let diff = |change: &&Change| {
        let (before, after) = change.texts();
        show::diff(&change.target.path.display().to_string(), before, after)
    };
    let diffs: Vec<String> = shown.iter().map(diff).collect();
    if !verb.json {
        for change in &shown {
            let (before, after) = change.texts();
            show::show_diff(&desk.short(&change.target.path), before, after)?;
        }
        if !verb.yes && !shown.is_empty() {
            show::agreed("Take this out?")?;
        }
    }
    let trouble = plan.trouble.take();
    let undone = make(desk, agent, plan)?;
    if verb.json {
        let told = json!({
            "agent": agent.name(), "plugged_in": false, "changed": !undone.nothing,
            "removed": undone.removed, "diffs": diffs, "door_closed": undone.closed,
            "key_left": undone.key_left,
        });
        output::json(&to_raw_value(&told).map_err(std::io::Error::from)?)?;
    } else {
        tell(desk, agent, undone)?;
    }
    trouble.map_or(Ok(()), Err)
}

fn plan(desk: &Desk<'_>, agent: &dyn Agent, verb: &Setup) -> Result<Plan, Failure> {
    let name = agent.name();
    let file = desk.file(agent, verb)?;
    let change = Change::to_unplug(&desk.shelf, name, &file, agent)?;
    let mut others = AGENTS.iter().filter(|other| other.name() != name);
    // One whose file cannot be read just now needs it where setup has plugged it in.
    let recorded = |other: &str| !matches!(desk.shelf.record(other), Ok(None));
    let needed =
        others.any(|other| desk.is_plugged(*other).unwrap_or_else(|| recorded(other.name())));
    // A configuration of ours that is broken keeps nobody from unplugging an agent.
    let closing = if needed { Ok(None) } else { door::close_ours(&desk.paths, &desk.shelf) };
    let (closing, trouble) = match closing {
        Ok(closing) => (closing, None),
        Err(failure) => (None, Some(failure)),
    };
    let file = change.as_ref().map_or(file, |change| change.target.path.clone());
    Ok(Plan { file, change, closing, key: desk.shelf.key_name(name), trouble })
}

fn make(desk: &Desk<'_>, agent: &dyn Agent, plan: Plan) -> Result<Undone, Failure> {
    let name = agent.name();
    let Plan { file, change, closing, key, .. } = plan;
    let mut undone = Undone {
        file,
        nothing: change.is_none() && closing.is_none() && key.is_none(),
        removed: change.as_ref().is_some_and(Change::removes),
        edited: change.as_ref().is_some_and(|change| change.edited),
        closed: closing.is_some(),
        key_left: None,
    };
    if let Some(change) = change {
        change.make(&desk.shelf, name, false)?;
    }
    let mut client = door::daemon(desk.context)?;
    match (client.as_mut(), &key) {
        (_, None) => {}
        (Some(client), _) => drop(keys::end(client, &desk.paths, &desk.shelf, name)?),
        (None, _) => undone.key_left = keys::forget(&desk.paths, &desk.shelf, name)?,
    }
    if let Some(closing) = closing {
        closing.make(&desk.shelf, DOOR, false)?;
        if let Some(client) = &mut client {
            door::reload(client)?;
        }
    }
    Ok(undone)
}

fn tell(desk: &Desk<'_>, agent: &dyn Agent, undone: Undone) -> Done {
    let (title, file) = (capital(agent.title()), desk.short(&undone.file));
    let how = match (undone.removed, undone.edited) {
        (true, _) => "is removed, as it was ours alone",
        (_, true) => "has lost our lines, and keeps what has changed since",
        _ => "is as it was",
    };
    if undone.nothing {
        say(format_args!("{title} is not plugged in, in {file}; there is nothing to undo."))?;
    } else {
        say(format_args!("\n{GOOD}{title} is not plugged in any more{GOOD:#}; {file} {how}."))?;
    }
    if undone.closed {
        say("The loopback door is closed again: no agent needs it.")?;
    }
    if let Some(key) = undone.key_left {
        note(format_args!(
            "{WARN}No daemon runs, so the key could not be ended:{WARN:#} valetkey key revoke {key}"
        ))?;
    }
    Ok(())
}

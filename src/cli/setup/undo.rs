//! `setup AGENT --undo`: our lines taken out, the key ended, the door closed where nobody else needs it.

use serde_json::json;

use super::super::Done;
use super::super::args::Setup;
use super::super::output::{self, GOOD, WARN, note, say};
use super::agent::Agent;
use super::patch::Change;
use super::{Desk, capital, door, keys, show};

pub(super) fn run(desk: &Desk<'_>, agent: &dyn Agent, verb: &Setup) -> Done {
    let name = agent.name();
    let file = desk.file(agent, verb)?;
    let change = Change::to_unplug(&desk.shelf, name, &file, agent)?;
    let key = desk.shelf.key_name(name);
    let last = desk.shelf.agents().iter().all(|other| other == name);
    // A configuration that is broken keeps nobody from unplugging an agent.
    let closing = if last { door::close_ours(&desk.paths, &desk.shelf) } else { Ok(None) };
    let (closing, trouble) = match closing {
        Ok(closing) => (closing, None),
        Err(failure) => (None, Some(failure)),
    };
    let nothing = change.is_none() && closing.is_none() && key.is_none();
    let shown: Vec<&Change> =
        change.iter().chain(&closing).filter(|change| change.touches_the_file()).collect();
    let diffs: Vec<String> = shown
        .iter()
        .map(|change| {
            let (before, after) = change.texts();
            show::diff(&change.target.path.display().to_string(), before, after)
        })
        .collect();
    if !verb.json {
        for change in &shown {
            let (before, after) = change.texts();
            show::show_diff(&desk.short(&change.target.path), before, after)?;
        }
        if !verb.yes && !shown.is_empty() {
            show::agreed("Take this out?")?;
        }
    }
    let removed = change.as_ref().is_some_and(Change::removes);
    let file = change.as_ref().map_or(file, |change| change.target.path.clone());
    if let Some(change) = change {
        change.make(&desk.shelf, name, false)?;
    }
    let mut client = door::daemon(desk.context)?;
    let left = match (client.as_mut(), &key) {
        (_, None) => None,
        (Some(client), _) => keys::end(client, &desk.paths, &desk.shelf, name).map(|_| None)?,
        (None, _) => keys::forget(&desk.paths, &desk.shelf, name)?,
    };
    let closed = closing.is_some();
    if let Some(closing) = closing {
        closing.make(&desk.shelf, super::shelf::DOOR, false)?;
        if let Some(client) = &mut client {
            door::reload(client)?;
        }
    }
    if verb.json {
        let told = json!({
            "agent": name, "plugged_in": false, "changed": !nothing, "removed": removed,
            "diffs": diffs, "door_closed": closed, "key_left": left,
        });
        return Ok(output::json(
            &serde_json::value::to_raw_value(&told).map_err(std::io::Error::from)?,
        )?);
    }
    let (title, file) = (capital(agent.title()), desk.short(&file));
    if nothing {
        say(format_args!("{title} is not plugged in, in {file}; there is nothing to undo."))?;
    } else {
        let how = if removed {
            "removed, as it was ours alone"
        } else {
            "as it was, but for what has changed since"
        };
        say(format_args!("{GOOD}{title} is not plugged in any more{GOOD:#}; {file} is {how}."))?;
    }
    if closed {
        say("The loopback door is closed again: no agent needs it.")?;
    }
    if let Some(key) = left {
        note(format_args!(
            "{WARN}No daemon runs, so the key could not be ended:{WARN:#} valetkey key revoke {key}"
        ))?;
    }
    match trouble {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

//! `setup AGENT --write`: the change shown, agreed to and made, the door open before it.

use std::path::Path;

use serde_json::{Value, json};

use crate::rpc::client::Client;

use super::super::Done;
use super::super::args::Setup;
use super::super::failure::{Exit, Failure};
use super::super::output::{self, GOOD, STRONG, note, say};
use super::agent::{Agent, KeyUse, Wants};
use super::door::{self, Door};
use super::patch::{Change, Target};
use super::{Desk, capital, keys, show};

pub(super) fn run(desk: &Desk<'_>, agent: &dyn Agent, verb: &Setup) -> Done {
    let file = desk.file(agent, verb)?;
    not_elsewhere(desk, agent, &file)?;
    let has_key = agent.key() != KeyUse::Command;
    let mut client = if has_key || agent.lists_models() {
        Some(door::in_time(desk.context.client()?))
    } else {
        door::daemon(desk.context)?
    };
    let mut wants = desk.wants(agent, client.as_mut(), verb)?;
    let door = Door::look(&desk.paths, &desk.shelf, client.as_mut(), &wants)?;
    wants.base_url = door.base_url();
    if let Some(client) = client.as_mut().filter(|_| has_key) {
        wants.key = keys::kept(client, &desk.paths, &desk.shelf, agent.name())?;
    }
    let target = Target::look(&file)?;
    let mut notes = agent.notes(target.text(), &wants);
    if agent.key() == KeyUse::Embedded {
        let file = desk.short(&file);
        notes.push(format!("{file} holds a key of yours now, and is for you alone to read."));
    }
    notes.extend(super::unreached());
    let change = Change::to_plug(&desk.shelf, agent.name(), target, agent, &wants)?;
    let needs_key = has_key && wants.key.is_none();
    let told = told(desk, agent, change.as_ref(), &door);
    if verb.json {
        make(desk, agent, &file, wants, client, door, change.is_some(), needs_key)?;
        let mut told = told;
        told["notes"] = json!(notes);
        return Ok(output::json(
            &serde_json::value::to_raw_value(&told).map_err(std::io::Error::from)?,
        )?);
    }
    let nothing = change.is_none() && door.change.is_none() && !needs_key;
    if !nothing {
        for change in door.change.iter().chain(&change) {
            let (before, after) = change.texts();
            show::show_diff(&desk.short(&change.target.path), before, after)?;
        }
        if !verb.yes {
            show::agreed("Write this?")?;
        }
    }
    let (opens, writes) = (door.change.is_some(), change.is_some());
    let address = door.address;
    make(desk, agent, &file, wants, client, door, writes, needs_key)?;
    let name = agent.name();
    say("")?;
    if opens {
        say(format_args!(
            "The loopback door is set to {address}, in {}.",
            desk.short(&desk.paths.config_file)
        ))?;
    }
    if nothing {
        say(format_args!(
            "{} is already plugged in, in {}.",
            capital(agent.title()),
            desk.short(&file)
        ))?;
    } else {
        say(format_args!(
            "{GOOD}{} is plugged in{GOOD:#}, in {}. To take it out again: {STRONG}valetkey setup {name} --undo{STRONG:#}",
            capital(agent.title()),
            desk.short(&file)
        ))?;
    }
    notes.iter().try_for_each(note)?;
    Ok(())
}

/// A second file of the same agent would need a second memory.
fn not_elsewhere(desk: &Desk<'_>, agent: &dyn Agent, file: &Path) -> Result<(), Failure> {
    let name = agent.name();
    match desk.shelf.record(name)? {
        Some(record) if record.file != file => Err(Failure::new(
            Exit::Failed,
            format!("{} is plugged in already, in {}", agent.title(), record.file.display()),
        )
        .hint(format!("take it out there first: valetkey setup {name} --undo"))),
        _ => Ok(()),
    }
}

/// Opens the door, makes a key where one is needed, and writes the agent's file.
#[allow(clippy::too_many_arguments)]
fn make(
    desk: &Desk<'_>,
    agent: &dyn Agent,
    file: &Path,
    mut wants: Wants,
    mut client: Option<Client>,
    door: Door,
    writes: bool,
    needs_key: bool,
) -> Result<(), Failure> {
    door.open(&desk.shelf, client.as_mut())?;
    let name = agent.name();
    if let Some(client) = client.as_mut().filter(|_| needs_key) {
        wants.key = Some(keys::make(client, &desk.paths, &desk.shelf, name)?);
    }
    if !writes {
        return Ok(());
    }
    let write = || {
        let change = Change::to_plug(&desk.shelf, name, Target::look(file)?, agent, &wants)?;
        let private = agent.key() == KeyUse::Embedded;
        change.map_or(Ok(()), |change| change.make(&desk.shelf, name, private))
    };
    let written = write();
    if let (Err(_), Some(client), true) = (&written, client.as_mut(), needs_key) {
        // The failure to be told is the first one.
        let _ = keys::end(client, &desk.paths, &desk.shelf, name);
    }
    written
}

/// What is done, for a program.
fn told(desk: &Desk<'_>, agent: &dyn Agent, change: Option<&Change>, door: &Door) -> Value {
    let shown = |change: &Change| {
        let (before, after) = change.texts();
        show::diff(&change.target.path.display().to_string(), before, after)
    };
    json!({
        "agent": agent.name(),
        "plugged_in": true,
        "changed": change.is_some() || door.change.is_some(),
        "created": change.is_some_and(Change::creates),
        "diff": change.map(shown),
        "door": {
            "listen": door.address.to_string(), "config": desk.paths.config_file,
            "diff": door.change.as_ref().map(shown),
        },
    })
}

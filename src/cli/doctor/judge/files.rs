//! Whether our files and folders are ours alone, and whether the configuration means anything.

use crate::platform::vitals::{Access, Entry, Kind};

use super::super::facts::{Daemon, Facts, Looked, Role};
use super::{Finding, nowhere};

/// Faults that are told one by one; more of them have one cause.
const FAULTS_MAX: usize = 8;

pub(super) fn modes(facts: &Facts) -> Vec<Finding> {
    let name = "files";
    let Some(files) = &facts.files else { return vec![Finding::skip(name, nowhere(facts))] };
    let mut faults: Vec<Finding> =
        files.looked.iter().filter_map(|looked| fault(facts, looked)).collect();
    if faults.is_empty() {
        let what = match files.looked.len() {
            0 => "none is there yet".to_owned(),
            1 => "the one file or folder of ours is yours alone".to_owned(),
            count => format!("the {count} files and folders of ours are yours alone"),
        };
        return vec![Finding::ok(name, what)];
    }
    let more = faults.len().saturating_sub(FAULTS_MAX);
    faults.truncate(FAULTS_MAX);
    if let Some(last) = faults.last_mut().filter(|_| more > 0) {
        last.message = format!("{}; and {more} more like that", last.message);
    }
    faults
}

fn fault(facts: &Facts, looked: &Looked) -> Option<Finding> {
    let name = "files";
    let (short, word) = (facts.home.short(&looked.path), facts.home.word(&looked.path));
    let entry: Entry = match looked.entry {
        Ok(entry) => entry,
        Err(ref why) => {
            let what = format!("{short} cannot be looked at: {why}");
            return Some(Finding::fail(name, what, facts.shell.show_rights(&word)));
        }
    };
    if let Some(owner) = entry.owner.filter(|owner| Some(*owner) != facts.uid) {
        let fix = match facts.uid {
            // Root would take it away from whom it belongs to.
            Some(0) => format!("sudo -u '#{owner}' valetkey doctor"),
            _ => facts.shell.take(&word),
        };
        return Some(Finding::fail(name, format!("{short} belongs to user {owner}"), fix));
    }
    if entry.access == Some(Access::Foreign) {
        let what = format!("{short} belongs to another user");
        return Some(Finding::fail(name, what, facts.shell.take(&word)));
    }
    let kind = |wanted: Kind, what: &str| {
        (entry.kind != wanted).then(|| {
            Finding::fail(name, format!("{short} is no {what}"), facts.shell.set_aside(&word))
        })
    };
    // What stands in the list of what is only trusted, is the person's own choice or the system's.
    let listed = entry.access == Some(Access::Shared);
    let mode = entry.mode.unwrap_or(0o700);
    match looked.role {
        Role::Private => kind(Kind::Folder, "folder").or_else(|| {
            let shown = mode & 0o777;
            if mode & 0o700 != 0o700 {
                let what = format!("{short} is closed to yourself ({shown:03o})");
                return Some(Finding::fail(name, what, facts.shell.restrict_folder(&word)));
            }
            if listed {
                let what = format!("{short} is open to others");
                return Some(Finding::warn(name, what, facts.shell.restrict_folder(&word)));
            }
            let open = mode & 0o077 != 0;
            open.then(|| {
                let what = format!("{short} is open to others ({shown:03o})");
                Finding::warn(name, what, facts.shell.restrict_folder(&word))
            })
        }),
        Role::Secret => kind(Kind::File, "plain file, and is not read").or_else(|| {
            if entry.names > 1 {
                let what = format!("{short} has a second name somewhere, and is not read");
                return Some(Finding::fail(
                    name,
                    what,
                    format!("cp -p {word} {word}.new && mv {word}.new {word}"),
                ));
            }
            if listed {
                let what = format!("{short} is open to others");
                return Some(Finding::fail(name, what, facts.shell.restrict_file(&word)));
            }
            (mode & 0o077 != 0 || mode & 0o600 != 0o600).then(|| {
                let who = if mode & 0o077 != 0 { "open to others" } else { "closed to yourself" };
                let what = format!("{short} is {who} ({:03o})", mode & 0o777);
                Finding::fail(name, what, facts.shell.restrict_file(&word))
            })
        }),
        Role::Trusted => {
            let (others, group) = (mode & 0o002 != 0, mode & 0o020 != 0);
            let what = format!(
                "{short} may be written by others ({:03o}), and says which programs are run",
                mode & 0o777
            );
            let fix = format!("chmod go-w {word}");
            if others {
                Some(Finding::fail(name, what, fix))
            } else {
                // Often a group of nobody else.
                group.then(|| Finding::warn(name, what, fix))
            }
        }
    }
}

pub(super) fn config(facts: &Facts) -> Vec<Finding> {
    let name = "config";
    let Ok(paths) = &facts.places else { return vec![Finding::skip(name, nowhere(facts))] };
    let file = &paths.config_file;
    let (short, word) = (facts.home.short(file), facts.home.word(file));
    let config = match &facts.config {
        Ok(config) => config,
        Err(why) => {
            return vec![Finding::fail(name, why.clone(), facts.shell.edit(&word))];
        }
    };
    if let Daemon::Answers(told) = &facts.daemon {
        let wanted: Vec<&String> = config.vendors.keys().collect();
        let known: Vec<&String> = told.info.vendors.iter().collect();
        if wanted != known {
            let what = format!(
                "{short} names other vendors than the daemon knows: it has not read it since it was changed"
            );
            return vec![Finding::warn(name, what, "valetkey rpc reload")];
        }
    }
    let is_there = facts
        .files
        .as_ref()
        .is_some_and(|files| files.looked.iter().any(|looked| looked.path == *file));
    vec![Finding::ok(
        name,
        if is_there {
            format!("{short} is in order")
        } else {
            format!("{short} is not there: every default holds")
        },
    )]
}

pub(super) fn hooks(facts: &Facts) -> Vec<Finding> {
    let name = "hooks";
    if facts.config.is_err() {
        return vec![Finding::skip(name, "the configuration cannot be read")];
    }
    let missing: Vec<Finding> = facts
        .hooks
        .iter()
        .filter(|hook| !hook.runnable)
        .map(|hook| {
            let program = facts.home.shorten(&hook.program);
            let what = format!("{} cannot be run: there is no program {program}", hook.setting);
            Finding::fail(name, what, facts.shell.find(&program))
        })
        .collect();
    if !missing.is_empty() {
        return missing;
    }
    vec![Finding::ok(
        name,
        match facts.hooks.len() {
            0 => "none is set".to_owned(),
            1 => "the one that is set can be run".to_owned(),
            count => format!("the {count} that are set can be run"),
        },
    )]
}

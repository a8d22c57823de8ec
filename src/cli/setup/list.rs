//! `setup --list`: which agents are there, which are plugged in, and which hold a login of their own.

use serde_json::json;

use super::super::Done;
use super::super::others;
use super::super::output::{self, FAINT, GOOD, STRONG, WARN, say};
use super::agent::Agent;
use super::{AGENTS, Desk};

/// How an agent stands.
struct Row {
    agent: &'static dyn Agent,
    file: Option<std::path::PathBuf>,
    installed: bool,
    /// Nothing where there is no file that says so, or it cannot be read.
    plugged: Option<bool>,
    own_login: bool,
}

impl Row {
    /// The next step, where there is one.
    fn next(&self) -> String {
        let name = self.agent.name();
        match (self.plugged, self.own_login) {
            (_, true) => format!("valetkey import {name}"),
            (Some(true), _) => format!("valetkey setup {name} --undo"),
            (Some(false), _) if self.installed => format!("valetkey setup {name} --write"),
            _ => format!("valetkey setup {name}"),
        }
    }
}

pub(super) fn run(desk: &Desk<'_>, as_json: bool) -> Done {
    let others = others::find();
    let row = |agent: &&'static dyn Agent| Row {
        installed: agent.is_installed(&desk.around),
        plugged: desk.is_plugged(*agent),
        own_login: others.iter().any(|other| Some(other.source) == agent.own_login()),
        file: desk.usual_file(*agent),
        agent: *agent,
    };
    let rows: Vec<Row> = AGENTS.iter().map(row).collect();
    if as_json {
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "agent": row.agent.name(), "title": row.agent.title(), "file": row.file,
                    "installed": row.installed, "plugged_in": row.plugged,
                    "own_login": row.own_login, "next": row.next(),
                })
            })
            .collect();
        let told = json!({ "agents": told });
        return Ok(output::json(
            &serde_json::value::to_raw_value(&told).map_err(std::io::Error::from)?,
        )?);
    }
    let wide = rows.iter().map(|row| row.agent.name().len()).max().unwrap_or_default();
    say(format_args!("{FAINT}{:wide$}  installed  plugged in  own login  next{FAINT:#}", "agent"))?;
    for row in &rows {
        let installed = if row.installed { "yes" } else { "no" };
        let (plugged, colour) = match row.plugged {
            Some(true) => ("yes", GOOD),
            Some(false) => ("no", FAINT),
            None => ("-", FAINT),
        };
        let (own, warning) = if row.own_login { ("yes", WARN) } else { ("no", FAINT) };
        say(format_args!(
            "{STRONG}{:wide$}{STRONG:#}  {installed:9}  {colour}{plugged:10}{colour:#}  {warning}{own:9}{warning:#}  {}",
            row.agent.name(),
            row.next()
        ))?;
    }
    Ok(())
}

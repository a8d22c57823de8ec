//! Whether the ports that we want are to be had, and who has them otherwise.

use crate::platform::vitals::Holder;

use super::super::super::words::plain;
use super::super::facts::{Answering, Daemon, Facts, Port, Use};
use super::Finding;

pub(super) fn callbacks(facts: &Facts) -> Vec<Finding> {
    let name = "callback";
    let Some(ports) = wanted(facts, Use::Callback) else {
        return vec![Finding::skip(name, unknown(facts))];
    };
    let taken: Vec<(&Port, &Holder)> = ports
        .iter()
        .filter_map(|port| Some((*port, port.holder.as_ref()?)))
        // A sign-in is under way.
        .filter(|(_, holder)| !is_daemon(facts, holder))
        .collect();
    let numbers = |ports: &[&Port]| {
        ports.iter().map(|port| port.address.port().to_string()).collect::<Vec<_>>().join(" and ")
    };
    if taken.is_empty() {
        return vec![Finding::ok(
            name,
            match ports.len() {
                0 => "a browser comes back on any free port".to_owned(),
                1 => format!("port {} is free for a browser's way back", numbers(&ports)),
                _ => format!("ports {} are free for a browser's way back", numbers(&ports)),
            },
        )];
    }
    let all = taken.len() == ports.len();
    taken
        .into_iter()
        .map(|(port, holder)| {
            let what = format!("port {} is taken by {}", port.address.port(), who(holder));
            if all {
                let what = format!("{what}, and no other is free for a browser's way back");
                Finding::fail(name, what, "valetkey login --device")
            } else {
                let what = format!("{what}; a browser comes back on the other one");
                Finding::warn(name, what, ended(facts, holder))
            }
        })
        .collect()
}

pub(super) fn door(facts: &Facts) -> Vec<Finding> {
    let name = "door";
    let Some(ports) = wanted(facts, Use::Door) else {
        return vec![Finding::skip(name, unknown(facts))];
    };
    let asked = facts.config.as_ref().ok().and_then(|config| config.http.listen);
    let daemon = match &facts.daemon {
        Daemon::Answers(told) => Some(told.as_ref()),
        _ => None,
    };
    let Some(asked) = asked else { return vec![unasked(daemon)] };
    let open = daemon.and_then(|told| told.info.http.clone());
    let holder = ports.first().and_then(|port| port.holder.as_ref());
    let same = |open: &String| asked.port() == 0 || *open == asked.to_string();
    vec![match (daemon, open, holder) {
        (_, Some(open), _) if same(&open) => {
            Finding::ok(name, format!("the daemon listens on {open}"))
        }
        (_, Some(open), _) => Finding::warn(
            name,
            format!(
                "the daemon listens on {open}, and the configuration says {asked}: it was not told"
            ),
            "valetkey rpc reload",
        ),
        (_, None, Some(holder)) => Finding::fail(
            name,
            format!("it is closed, because {} has {asked}", who(holder)),
            match holder.pid {
                Some(pid) => facts.shell.then(&facts.shell.end(pid), "valetkey rpc reload"),
                None => look_up(facts, asked.port()),
            },
        ),
        (Some(_), None, None) => Finding::fail(
            name,
            format!("it is closed, although http.listen is {asked} and the port is free"),
            "valetkey rpc reload",
        ),
        (None, None, None) => Finding::skip(name, format!("{asked} is free; no daemon opens it")),
    }]
}

fn unasked(daemon: Option<&Answering>) -> Finding {
    match daemon.and_then(|told| told.info.http.as_ref()) {
        Some(open) => Finding::warn(
            "door",
            format!(
                "the daemon listens on {open}, and the configuration asks for none: it was not told"
            ),
            "valetkey rpc reload",
        ),
        None => Finding::ok("door", "none is asked for: programs use the socket"),
    }
}

fn wanted(facts: &Facts, wanted_for: Use) -> Option<Vec<&Port>> {
    let ports = facts.ports.as_ref()?.iter();
    Some(ports.filter(|port| port.wanted_for == wanted_for).collect())
}

fn unknown(facts: &Facts) -> &'static str {
    if facts.config.is_err() {
        "the configuration, which names the port, cannot be read"
    } else {
        "it could not be looked at in time"
    }
}

fn is_daemon(facts: &Facts, holder: &Holder) -> bool {
    matches!(&facts.daemon, Daemon::Answers(told) if holder.pid == Some(told.info.pid))
}

/// Whoever has a port, as far as this user may know.
fn who(holder: &Holder) -> String {
    match (holder.pid, &holder.program, holder.uid) {
        (Some(pid), Some(program), _) => format!("process {pid} ({})", plain(program)),
        (Some(pid), None, _) => format!("process {pid}"),
        (None, _, Some(uid)) => format!("a process of user {uid}"),
        (None, _, None) => "another process".to_owned(),
    }
}

fn ended(facts: &Facts, holder: &Holder) -> String {
    let other = || "valetkey login --device".to_owned();
    holder.pid.map_or_else(other, |pid| facts.shell.end(pid))
}

/// What names the process, asked with more rights than ours.
fn look_up(facts: &Facts, port: u16) -> String {
    match facts.system {
        "linux" => format!("sudo ss -ltnp 'sport = :{port}'"),
        "windows" => format!("netstat -ano -p TCP | findstr :{port}"),
        _ => format!("sudo lsof -nP -iTCP:{port} -sTCP:LISTEN"),
    }
}

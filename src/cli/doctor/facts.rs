//! All that the checks are made of, gathered before any is made.
//!
//! Whatever may take time (a daemon that hangs, a vendor behind a broken proxy, a folder on a lost network
//! disk) is asked at the same time as the rest, each in a thread of its own that is left behind where it
//! does not come back in time.

mod daemon;
mod files;
mod network;
mod ports;
mod service;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::clock::{Clock, Timestamp};
use crate::config::{Config, Hooks};
use crate::platform::paths::{Paths, PathsError};
use crate::platform::shell::Shell;
use crate::platform::vitals;

use super::super::connect::Context;
use super::super::others::{self, Other};
use super::discreet::Home;

pub(super) use daemon::{Answering, Daemon, Untold};
#[cfg(test)]
pub(super) use files::Socket;
pub(super) use files::{Disk, Files, Lock, Looked, Role};
pub(super) use network::{Half, Reach};
pub(super) use ports::{Port, Use};
#[cfg(test)]
pub(super) use service::Program as ServiceProgram;
pub(super) use service::Service;

/// Bound on each question: longer than a busy machine or a slow network takes, shorter than patience.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What is waited beyond that, so that whoever kept to the bound can still say what came of it.
const GRACE: Duration = Duration::from_secs(1);

/// Everything that is known.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// `linux`, `macos`, `windows` …
    pub(super) system: &'static str,
    /// Whose commands repair something.
    pub(super) shell: Shell,
    pub(super) uid: Option<u32>,
    pub(super) home: Home,
    /// Whether no window could be opened here: then nobody's session keeps services alive.
    pub(super) headless: bool,
    pub(super) places: Result<Paths, Nowhere>,
    /// The configuration, or what is wrong with it.
    pub(super) config: Result<Config, String>,
    pub(super) hooks: Vec<Hook>,
    pub(super) daemon: Daemon,
    /// Nothing where it could not be looked at in time; so with the others below.
    pub(super) files: Option<Files>,
    pub(super) reaches: Vec<Reach>,
    pub(super) ports: Option<Vec<Port>>,
    pub(super) service: Option<Service>,
    pub(super) others: Option<Vec<Other>>,
}

/// Why there are no places.
#[derive(Debug)]
pub(super) struct Nowhere {
    /// What is at fault: `socket`, where it is that path alone, else `places`.
    pub(super) name: &'static str,
    pub(super) why: String,
    /// What puts it right.
    pub(super) fix: String,
}

/// The program of a hook.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) setting: &'static str,
    pub(super) program: String,
    pub(super) runnable: bool,
}

/// Asks for everything at once and waits for what comes back in time.
pub(super) fn gather(context: &Context) -> Facts {
    let places_and_config = {
        let context = context.clone();
        begin(move || places_and_config(&context))
    };
    let (places, config) =
        places_and_config.by(deadline()).unwrap_or_else(|| (Err(unread()), Err(late())));
    let end = deadline();
    let paths = places.as_ref().ok().cloned();
    let daemon = paths.clone().map(|paths| begin(move || daemon::ask(&paths.socket)));
    let files = paths.clone().map(|paths| begin(move || files::look(&paths)));
    let network = config.as_ref().ok().cloned().map(|config| begin(move || network::ask(&config)));
    let ports = config.as_ref().ok().cloned().map(|config| begin(move || ports::look(&config)));
    let hooks = config.as_ref().ok().map(|config| config.hooks.clone());
    let hooks = hooks.map(|hooks| begin(move || programs(&hooks)));
    let service = begin(service::look);
    let others = begin(others::find);
    let daemon = match daemon.map(|asked| asked.by(end)) {
        None => Daemon::Nowhere,
        Some(told) => told.unwrap_or(Daemon::Silent { why: late() }),
    };
    let mut files = files.and_then(|asked| asked.by(end));
    if let (Some(files), Some(paths)) = (&mut files, &paths) {
        // Asked for only where no daemon answers, and only then is it of interest who has it.
        let absent = !matches!(daemon, Daemon::Answers(_));
        let dir = paths.data_dir.clone();
        let soon = Instant::now() + GRACE;
        files.lock = absent.then(|| begin(move || files::lock(&dir)).by(soon)).flatten();
    }
    Facts {
        now: Clock::System.now(),
        system: std::env::consts::OS,
        shell: Shell::NATIVE,
        uid: crate::platform::process::own_uid(),
        home: Home::of_this_user(),
        headless: super::super::browser::is_absent(),
        places,
        config,
        hooks: hooks.and_then(|asked| asked.by(end)).unwrap_or_default(),
        daemon,
        files,
        reaches: network.and_then(|asked| asked.by(end)).unwrap_or_default(),
        ports: ports.and_then(|asked| asked.by(end)),
        service: service.by(end),
        others: others.by(end),
    }
}

/// What is said where even the file that names the rest takes too long.
fn unread() -> Nowhere {
    let why = "the configuration could not be read in time".to_owned();
    Nowhere { name: "places", why, fix: "valetkey paths".to_owned() }
}

fn places_and_config(context: &Context) -> (Result<Paths, Nowhere>, Result<Config, String>) {
    match context.paths() {
        Ok(paths) => {
            let config = Config::load(&paths.config_file).map_err(|error| error.to_string());
            (Ok(paths), config)
        }
        Err(failure) => {
            let (name, fix) = match Paths::from_environment() {
                Err(PathsError::SocketTooLong { .. }) => {
                    ("socket", Shell::NATIVE.unset("VALETKEY_SOCKET"))
                }
                Err(PathsError::Unusable { variable }) => ("places", Shell::NATIVE.unset(variable)),
                Err(PathsError::NoHome) => ("places", "export HOME=/a/folder/of/yours".to_owned()),
                Err(PathsError::NoUser(_)) | Ok(_) => ("places", "valetkey paths".to_owned()),
            };
            let why = failure.sentence().to_owned();
            (Err(Nowhere { name, why, fix }), Err("nobody knows where it is".to_owned()))
        }
    }
}

/// The hooks that are set, and whether this user could run them.
fn programs(hooks: &Hooks) -> Vec<Hook> {
    [
        ("hooks.on_login_required", &hooks.on_login_required),
        ("hooks.on_limit", &hooks.on_limit),
        ("hooks.on_refresh", &hooks.on_refresh),
    ]
    .into_iter()
    .filter_map(|(setting, words)| {
        let program = words.first()?.clone();
        let runnable = if program.contains(['/', '\\']) {
            vitals::is_runnable(&PathBuf::from(&program))
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let suffix = std::env::consts::EXE_SUFFIX;
            std::env::split_paths(&path).any(|dir| {
                let plain = dir.join(&program);
                vitals::is_runnable(&plain)
                    || vitals::is_runnable(&dir.join(format!("{program}{suffix}")))
            })
        };
        Some(Hook { setting, program, runnable })
    })
    .collect()
}

/// What somebody is asked for.
struct Asked<T>(Receiver<T>);

fn begin<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Asked<T> {
    let (tell, told) = channel();
    // Nobody listens any more where it took too long.
    std::thread::spawn(move || drop(tell.send(work())));
    Asked(told)
}

impl<T> Asked<T> {
    /// The answer, if it comes before `end`.
    fn by(self, end: Instant) -> Option<T> {
        self.0.recv_timeout(end.saturating_duration_since(Instant::now())).ok()
    }
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE + GRACE
}

/// What is said of whoever did not answer in time.
fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_come_back_in_time_is_left_behind() {
        let (_keep, never) = channel::<()>();
        let asked = begin(move || never.recv());
        assert!(asked.by(Instant::now() + Duration::from_millis(20)).is_none());
        assert_eq!(begin(|| 7).by(deadline()), Some(7));
    }

    #[cfg(unix)]
    #[test]
    fn programs_are_looked_for_where_a_shell_would() {
        let hooks = Hooks {
            on_login_required: vec!["sh".into(), "-c".into()],
            on_limit: vec!["/nonexistent/notify".into()],
            on_refresh: Vec::new(),
        };
        let found: Vec<_> = programs(&hooks).into_iter().map(|h| (h.setting, h.runnable)).collect();
        assert_eq!(found, [("hooks.on_login_required", true), ("hooks.on_limit", false)]);
    }
}

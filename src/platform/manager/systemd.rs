//! `systemd --user`, by way of `systemctl` and `loginctl`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ASK_TIME_MAX, CHANGE_TIME_MAX, ManagerError, ServiceState, ask, complaint, run};
use crate::platform::process;

/// The unit that is the daemon.
pub const SERVICE: &str = "valetkey.service";
/// The unit that holds the daemon's socket open.
pub const SOCKET: &str = "valetkey.socket";

/// `systemctl` cannot give the process another user (systemd.exec(5), "Process Exit Codes").
const EXIT_USER: &str = "217";
/// ... nor set its capabilities.
const EXIT_CAPABILITIES: &str = "218";
/// ... nor make its namespaces.
const EXIT_NAMESPACE: &str = "226";

/// Why the service did not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fall {
    /// The sandbox could not be made, in systemd's words as `226/NAMESPACE`.
    Sandbox(&'static str),
    /// The daemon ended with this status, or for this reason.
    Ended(String),
}

/// `systemctl --user` with these words.
#[must_use]
pub fn systemctl(words: &[&str]) -> Command {
    let mut command = Command::new("systemctl");
    command.arg("--user").args(words);
    with_runtime_dir(&mut command);
    command
}

/// A session made by su or sudo does not name the runtime directory, and the manager is there all the same.
fn with_runtime_dir(command: &mut Command) {
    command.env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "");
    if let Some(dir) = forgotten_runtime_dir() {
        command.env("XDG_RUNTIME_DIR", dir);
    }
}

/// This user's runtime directory where it exists and the environment does not name it: what is started in such
/// a session looks for the daemon elsewhere than where its unit listens.
#[must_use]
pub fn forgotten_runtime_dir() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|dir| !dir.is_empty());
    let usual = PathBuf::from(format!("/run/user/{}", process::own_uid()?));
    (!named && usual.is_dir()).then_some(usual)
}

/// The journal's entries of the service: the last `lines`, and with `follow` whatever comes.
#[must_use]
pub fn journal(lines: u32, follow: bool) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--user", "--unit", SERVICE, "--lines", &lines.to_string()]);
    if follow {
        command.arg("--follow");
    } else {
        command.arg("--no-pager");
    }
    if let Some(dir) = forgotten_runtime_dir() {
        command.env("XDG_RUNTIME_DIR", dir);
    }
    command
}

/// Whether the user's manager answers.
#[must_use]
pub fn answers() -> bool {
    ask(&mut systemctl(&["show", "--property=Version"]), ASK_TIME_MAX).is_ok()
}

/// The user's own folders for units (systemd.unit(5)), the one to write into first: where the shell says that
/// configuration is, unless the manager has been told otherwise and looks in the usual one only.
#[must_use]
pub fn own_unit_dirs() -> Vec<PathBuf> {
    let Some(base) = directories::BaseDirs::new() else { return Vec::new() };
    let mut dirs =
        vec![base.config_dir().join("systemd/user"), base.home_dir().join(".config/systemd/user")];
    dirs.dedup();
    if dirs.len() > 1
        && let Ok(looked_at) =
            ask(&mut systemctl(&["show", "--property=UnitPath", "--value"]), ASK_TIME_MAX)
        && !looked_at.split_whitespace().any(|dir| Path::new(dir) == dirs[0])
    {
        dirs.reverse();
    }
    dirs
}

/// The installed unit of the daemon, this user's or everybody's.
#[must_use]
pub fn unit_file() -> Option<PathBuf> {
    let base = directories::BaseDirs::new();
    let own = base.map(|base| {
        [
            base.config_dir().join("systemd/user"),
            base.home_dir().join(".config/systemd/user"),
            base.data_dir().join("systemd/user"),
        ]
    });
    let everybody = ["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
    let dirs = own.into_iter().flatten().chain(everybody.map(PathBuf::from));
    dirs.map(|dir| dir.join(SERVICE)).find(|file| file.is_file())
}

/// How the service stands; nothing where none is installed.
#[must_use]
pub fn service() -> Option<ServiceState> {
    let file = unit_file();
    let Ok(facts) = properties(SERVICE) else {
        let file = file?;
        let wants = file.parent().map(|dir| dir.join("default.target.wants").join(SERVICE));
        return Some(ServiceState {
            enabled: wants.is_some_and(|link| link.is_symlink()),
            active: false,
            state: "unknown, because no service manager answers".to_owned(),
            sandboxed: None,
            file,
        });
    };
    state_of(&facts, file)
}

fn state_of(facts: &BTreeMap<String, String>, file: Option<PathBuf>) -> Option<ServiceState> {
    let fact = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
    let known = Some(fact("FragmentPath")).filter(|path| !path.is_empty()).map(PathBuf::from);
    let active = fact("ActiveState");
    Some(ServiceState {
        file: known.or(file)?,
        enabled: fact("UnitFileState").starts_with("enabled"),
        // While it reads its configuration again it runs, too.
        active: matches!(active, "active" | "reloading"),
        state: format!("{active} ({})", fact("SubState")),
        sandboxed: Some(!matches!(fact("PrivateUsers"), "no" | "")),
    })
}

/// Whether the socket unit listens, so that whoever connects meets the service.
#[must_use]
pub fn listens() -> bool {
    properties(SOCKET).is_ok_and(|facts| facts.get("ActiveState").is_some_and(|is| is == "active"))
}

/// What the manager knows of a unit, as far as it matters here.
fn properties(unit: &str) -> Result<BTreeMap<String, String>, ManagerError> {
    const NAMES: &str = "--property=ActiveState,SubState,UnitFileState,FragmentPath,PrivateUsers,\
                         Result,ExecMainCode,ExecMainStatus";
    let told = ask(&mut systemctl(&["show", unit, NAMES]), ASK_TIME_MAX)?;
    let pair = |line: &str| {
        line.split_once('=').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    Ok(told.lines().filter_map(pair).collect())
}

/// Makes the service run from now on and with each session. With `changed` the manager reads its files again,
/// with `restart` a daemon that runs already gives way to a new one.
///
/// # Errors
/// As the manager says.
pub fn bring_up(changed: bool, restart: bool) -> Result<(), ManagerError> {
    // What somebody enabled already stays as it is.
    for unit in [SOCKET, SERVICE] {
        if !run(&mut systemctl(&["--quiet", "is-enabled", unit]), ASK_TIME_MAX)?.status.success() {
            ask(&mut systemctl(&["--quiet", "enable", unit]), ASK_TIME_MAX)?;
        }
    }
    if changed {
        // Otherwise five failed starts of a minute ago would forbid this one.
        forgive();
        // The service with it: a new socket is not handed to a daemon that runs.
        ask(&mut systemctl(&["stop", SOCKET, SERVICE]), CHANGE_TIME_MAX)?;
    }
    start_or(if restart { "restart" } else { "start" })
}

fn start_or(verb: &str) -> Result<(), ManagerError> {
    ask(&mut systemctl(&["start", SOCKET]), ASK_TIME_MAX)?;
    // The socket stays open meanwhile, so that a client waits instead of being refused.
    ask(&mut systemctl(&[verb, SERVICE]), CHANGE_TIME_MAX).map(drop)
}

/// Lets the manager read its files again.
///
/// # Errors
/// As the manager says.
pub fn reload() -> Result<(), ManagerError> {
    ask(&mut systemctl(&["daemon-reload"]), ASK_TIME_MAX).map(drop)
}

/// Starts socket and service.
///
/// # Errors
/// As the manager says.
pub fn start() -> Result<(), ManagerError> {
    forgive();
    start_or("start")
}

/// Starts the service anew, and the socket where it was closed.
///
/// # Errors
/// As the manager says.
pub fn restart() -> Result<(), ManagerError> {
    forgive();
    start_or("restart")
}

/// Stops both in one call: with the socket still open, the next client would start the service again.
///
/// # Errors
/// As the manager says.
pub fn stop() -> Result<(), ManagerError> {
    ask(&mut systemctl(&["stop", SOCKET, SERVICE]), CHANGE_TIME_MAX).map(drop)
}

/// Stops both and lets them not start with the next session.
///
/// # Errors
/// As the manager says.
pub fn take_down() -> Result<(), ManagerError> {
    ask(&mut systemctl(&["--quiet", "disable", "--now", SOCKET, SERVICE]), CHANGE_TIME_MAX)
        .map(drop)
}

/// Forgets earlier failures, which would count against the next start.
pub fn forgive() {
    // A unit that never failed, or is not known any more, has nothing to be forgiven.
    let _ = run(&mut systemctl(&["reset-failed", SOCKET, SERVICE]), ASK_TIME_MAX);
}

/// Why the last start failed; nothing where the service runs, or the manager does not say.
#[must_use]
pub fn fall() -> Option<Fall> {
    let facts = properties(SERVICE).ok()?;
    fall_of(&facts).map(|fall| match fall {
        Fall::Ended(how) => {
            Fall::Ended(last_words().map_or(how.clone(), |words| format!("{words} ({how})")))
        }
        sandbox => sandbox,
    })
}

fn fall_of(facts: &BTreeMap<String, String>) -> Option<Fall> {
    let fact = |name: &str| facts.get(name).map(String::as_str).unwrap_or_default();
    if fact("ActiveState") == "active" {
        return None;
    }
    let status = fact("ExecMainStatus");
    Some(match status {
        EXIT_USER => Fall::Sandbox("217/USER"),
        EXIT_CAPABILITIES => Fall::Sandbox("218/CAPABILITIES"),
        EXIT_NAMESPACE => Fall::Sandbox("226/NAMESPACE"),
        "" | "0" => Fall::Ended(format!("result: {}", fact("Result"))),
        // si_code of a process that was killed (sigaction(2)); else it ended by itself.
        _ if matches!(fact("ExecMainCode"), "2" | "3") => Fall::Ended(format!("signal {status}")),
        _ => Fall::Ended(format!("exit status {status}")),
    })
}

/// What the daemon said last, where a journal kept it. It says its reason in one line, with a hint below it.
fn last_words() -> Option<String> {
    let mut command = journal(10, false);
    command.args(["--output", "cat", "--quiet"]);
    let said = ask(&mut command, ASK_TIME_MAX).ok()?;
    said.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}

/// Whether this user's services outlive the last session; nothing where no login manager knows.
pub(super) fn lingers() -> Option<bool> {
    let uid = process::own_uid()?.to_string();
    let mut command = Command::new("loginctl");
    command.args(["show-user", &uid, "--property=Linger", "--value"]);
    let output = run(&mut command, ASK_TIME_MAX).ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        // A user without a session is unknown to it, unless that user lingers.
        _ => complaint(&output).contains("not logged in").then_some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(lines: &str) -> BTreeMap<String, String> {
        let pair = |line: &str| line.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()));
        lines.split(' ').filter_map(pair).collect()
    }

    #[test]
    fn the_managers_answer_is_told_in_its_own_words() {
        let running = facts(
            "ActiveState=active SubState=running UnitFileState=enabled FragmentPath=/u/valetkey.service PrivateUsers=yes",
        );
        let state = state_of(&running, None).expect("installed");
        assert_eq!(state.file, Path::new("/u/valetkey.service"));
        assert!(state.active && state.enabled && state.sandboxed == Some(true));
        assert_eq!(state.state, "active (running)");
        let weaker =
            facts("ActiveState=inactive SubState=dead UnitFileState=disabled PrivateUsers=no");
        let state = state_of(&weaker, Some("/x".into())).expect("its file is there");
        assert!(!state.active && !state.enabled && state.sandboxed == Some(false));
        assert_eq!(state_of(&weaker, None), None, "nothing is installed");
    }

    #[test]
    fn a_sandbox_that_could_not_be_made_is_told_from_a_daemon_that_ended() {
        let fall = |facts: &str| fall_of(&self::facts(facts));
        assert_eq!(
            fall("ActiveState=failed ExecMainCode=1 ExecMainStatus=226"),
            Some(Fall::Sandbox("226/NAMESPACE"))
        );
        assert_eq!(
            fall("ActiveState=activating ExecMainCode=1 ExecMainStatus=217"),
            Some(Fall::Sandbox("217/USER"))
        );
        assert_eq!(
            fall("ActiveState=failed ExecMainCode=1 ExecMainStatus=75"),
            Some(Fall::Ended("exit status 75".to_owned()))
        );
        assert_eq!(
            fall("ActiveState=failed ExecMainCode=2 ExecMainStatus=9"),
            Some(Fall::Ended("signal 9".to_owned()))
        );
        assert_eq!(
            fall("ActiveState=failed Result=timeout ExecMainStatus=0"),
            Some(Fall::Ended("result: timeout".to_owned()))
        );
        assert_eq!(fall("ActiveState=active ExecMainStatus=0"), None);
    }
}

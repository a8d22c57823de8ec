//! launchd's agents, by way of `launchctl` and its newer verbs (`load` and `unload` are there for old scripts).

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::{ASK_TIME_MAX, CHANGE_TIME_MAX, ManagerError, ServiceState, ask, home};
use crate::platform::process;

/// The agent's name, and that of its file.
pub const LABEL: &str = "local.valetkey";

/// How often an agent that was told to stop is looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// `launchctl` with these words.
#[must_use]
pub fn launchctl(words: &[&str]) -> Command {
    let mut command = Command::new("launchctl");
    command.args(words);
    command
}

/// Where the agent's file belongs; nothing without a home.
#[must_use]
pub fn agent_file() -> Option<PathBuf> {
    Some(home()?.join("Library/LaunchAgents").join(format!("{LABEL}.plist")))
}

/// The installed agent: ours, or one that somebody wrote under a name that ends in ours.
#[must_use]
pub fn installed() -> Option<PathBuf> {
    let ours = agent_file()?;
    if ours.is_file() {
        return Some(ours);
    }
    let files = std::fs::read_dir(ours.parent()?).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|file| {
        file.extension().is_some_and(|kind| kind == "plist")
            && file.file_stem().is_some_and(|label| label.to_string_lossy().ends_with(".valetkey"))
    })
}

/// The session that agents belong to: the one on the screen, or, over SSH with nobody there, the user's own.
fn domain() -> String {
    let uid = process::own_uid().unwrap_or_default();
    let screen = format!("gui/{uid}");
    match ask(&mut launchctl(&["print", &screen]), ASK_TIME_MAX) {
        Ok(_) => screen,
        Err(_) => format!("user/{uid}"),
    }
}

fn target() -> String {
    format!("{}/{LABEL}", domain())
}

/// The command that starts the installed agent; nothing where there is none.
#[must_use]
pub fn start_command() -> Option<Command> {
    let label = installed()?.file_stem()?.to_string_lossy().into_owned();
    Some(launchctl(&["kickstart", &format!("{}/{label}", domain())]))
}

/// Whether launchd answers.
#[must_use]
pub fn answers() -> bool {
    ask(&mut launchctl(&["print", &domain()]), ASK_TIME_MAX).is_ok()
}

/// What launchd prints of the agent; nothing where it has not loaded it.
fn printed() -> Option<String> {
    ask(&mut launchctl(&["print", &target()]), ASK_TIME_MAX).ok()
}

/// How the agent stands; nothing where none is installed.
#[must_use]
pub fn service() -> Option<ServiceState> {
    let file = installed()?;
    let printed = printed();
    let state = printed.as_deref().and_then(state_in);
    Some(ServiceState {
        file,
        // What is loaded is started with the session, as its file says.
        enabled: printed.is_some(),
        active: state == Some("running"),
        state: state.unwrap_or("not loaded").to_owned(),
        sandboxed: None,
    })
}

/// The line `state = …` of the agent itself, which stands before those of its parts.
fn state_in(printed: &str) -> Option<&str> {
    printed.lines().find_map(|line| line.trim().strip_prefix("state = "))
}

/// Makes the agent run from now on and with each session. With `changed` its file is read again, with `restart`
/// a daemon that runs already gives way to a new one.
///
/// # Errors
/// As launchd says.
pub fn bring_up(changed: bool, restart: bool) -> Result<(), ManagerError> {
    let loaded = printed().is_some();
    if loaded && !changed {
        let target = target();
        let words: &[&str] =
            if restart { &["kickstart", "-k", &target] } else { &["kickstart", &target] };
        return ask(&mut launchctl(words), CHANGE_TIME_MAX).map(drop);
    }
    if loaded {
        take_down()?;
    }
    let Some(file) = agent_file() else { return Ok(()) };
    ask(&mut launchctl(&["bootstrap", &domain(), &file.to_string_lossy()]), CHANGE_TIME_MAX)
        .map(drop)
}

/// Starts the agent, and loads it first where it is not.
///
/// # Errors
/// As launchd says.
pub fn start() -> Result<(), ManagerError> {
    bring_up(false, false)
}

/// Starts the agent anew.
///
/// # Errors
/// As launchd says.
pub fn restart() -> Result<(), ManagerError> {
    bring_up(false, true)
}

/// Stops the agent and waits for its end. A clean stop stays stopped; it starts with the next session.
///
/// # Errors
/// As launchd says, and where it does not end in time.
pub fn stop() -> Result<(), ManagerError> {
    let runs = || service().is_some_and(|service| service.active);
    if !runs() {
        return Ok(());
    }
    let mut kill = launchctl(&["kill", "SIGTERM", &target()]);
    ask(&mut kill, ASK_TIME_MAX)?;
    let end = Instant::now() + CHANGE_TIME_MAX;
    while runs() {
        if Instant::now() > end {
            return Err(ManagerError::Slow { asked: super::words(&kill), within: CHANGE_TIME_MAX });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Stops the agent and unloads it.
///
/// # Errors
/// As launchd says.
pub fn take_down() -> Result<(), ManagerError> {
    if printed().is_none() {
        return Ok(());
    }
    ask(&mut launchctl(&["bootout", &target()]), CHANGE_TIME_MAX).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_state_is_the_first_one_printed() {
        let printed = "gui/501/local.valetkey = {\n\tactive count = 1\n\tstate = running\n\n\tprogram = /x\n\
                       \tendpoints = {\n\t\tstate = waiting\n\t}\n}\n";
        assert_eq!(state_in(printed), Some("running"));
        assert_eq!(state_in("Could not find service"), None);
    }
}

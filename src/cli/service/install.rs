//! `valetkey service install`: writes what differs, and starts what does not run. Nothing is done twice.

use std::io;
use std::path::{Path, PathBuf};

use crate::platform::files as disk;
use crate::platform::manager::{self, Kind, launchd, systemd, tasks};
use crate::platform::paths::Paths;
use crate::platform::process;

use super::super::Done;
use super::super::args::ServiceInstall;
use super::super::connect::{Context, this_program};
use super::super::failure::{Exit, Failure};
use super::super::output::say;
use super::files::{self, Awkward, Choice, Draft, Places};
use super::{hint, not_started, own, platform, waiting};

/// The longest service file that is compared; ours have a few kilobytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Variables that a daemon heeds and a service manager does not pass on from a shell.
const PROXIES: [&str; 6] =
    ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

pub(super) fn run(context: &Context, verb: &ServiceInstall) -> Done {
    let (kind, is_ours) = platform(verb.platform)?;
    if process::own_uid() == Some(0) && !verb.allow_root {
        return Err(Failure::new(
            Exit::Failed,
            "the service would run as root, and keep root's login",
        )
        .hint("run this as the user whose login it is to keep, or add --allow-root"));
    }
    // A configuration that does not parse would keep the daemon from starting, so it is said here.
    let (paths, _config) = context.paths_and_config()?;
    let home =
        manager::home().ok_or_else(|| Failure::new(Exit::Failed, "this user has no home"))?;
    let binary = program()?;
    let places = match (is_ours, kind) {
        (true, _) => places(&paths, home.clone(), binary),
        (false, Kind::Systemd) => Places::usual_on_linux(&home, binary),
        (false, Kind::Launchd) => Places::usual_on_macos(&home, binary),
        (false, Kind::TaskScheduler) => Places::usual_on_windows(&home, binary),
    };
    let choice = Choice {
        without_namespaces: verb.without_namespaces,
        desktop_notices: verb.desktop_notices,
    };
    let drafts = drafts(kind, &places, choice)?;
    let made = make_folders(&places, kind)?;
    let changed = write(&drafts)?;
    if !is_ours {
        return Ok(hint("the files of another system were written, and nothing was loaded")?);
    }
    if manager::answers() {
        let restarted = bring_up(&paths, &places, kind, changed)?;
        if !(made || changed || restarted) {
            say("everything was up to date")?;
        }
        say("the service runs")?;
    } else {
        without_manager(kind)?;
    }
    Ok(closing_hints(kind, choice)?)
}

/// This program's file, as a service can start it again.
fn program() -> Result<PathBuf, Failure> {
    let binary = this_program()?;
    if binary.is_file() {
        return Ok(binary);
    }
    Err(Failure::new(Exit::Failed, format!("this program's file is gone: {}", binary.display()))
        .hint("it was replaced or removed while it ran; run the new one"))
}

fn places(paths: &Paths, home: PathBuf, binary: PathBuf) -> Places {
    // The system names a program by where it really is, a home perhaps by a link that leads there.
    let usual = home.join(".local/bin/valetkey");
    let is_usual = std::fs::canonicalize(&usual).is_ok_and(|real| real == binary);
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .or_else(systemd::forgotten_runtime_dir)
        .map(|dir| dir.join("valetkey/valetkey.sock"));
    let pipe = tasks::usual_pipe().map(PathBuf::from);
    let usual_sockets = [runtime, Some(paths.state_dir.join("run/valetkey.sock")), pipe];
    let is_usual_socket =
        usual_sockets.iter().flatten().any(|usual| Path::new(&paths.socket) == usual);
    Places {
        home,
        binary: if is_usual { usual } else { binary },
        config_file: paths.config_file.clone(),
        data_dir: paths.data_dir.clone(),
        state_dir: paths.state_dir.clone(),
        socket: (!is_usual_socket).then(|| paths.socket.clone()),
    }
}

fn drafts(kind: Kind, places: &Places, choice: Choice) -> Result<Vec<Draft>, Failure> {
    let drafts = match kind {
        Kind::Systemd => {
            let dirs = systemd::own_unit_dirs();
            let dir =
                dirs.first().ok_or_else(|| Failure::new(Exit::Failed, "this user has no home"))?;
            files::units(places, choice, dir)
        }
        Kind::Launchd => files::agent(places),
        Kind::TaskScheduler => {
            let user = tasks::user()
                .ok_or_else(|| Failure::new(Exit::Failed, "this user cannot be told"))?;
            files::task(places, &user)
        }
    };
    drafts.map_err(|awkward: Awkward| {
        Failure::new(Exit::Failed, awkward.to_string())
            .hint("VALETKEY_CONFIG, VALETKEY_DATA_DIR, VALETKEY_STATE_DIR and the place of the program decide what it has to name")
    })
}

/// The folders must be there before the service starts: what is missing then cannot be bound into its sandbox.
fn make_folders(places: &Places, kind: Kind) -> Result<bool, Failure> {
    let logs = (kind == Kind::Launchd).then(|| places.home.join("Library/Logs/valetkey"));
    let own =
        [places.config_dir(), Some(&places.data_dir), Some(&places.state_dir), logs.as_deref()];
    let mut made = false;
    for dir in own.into_iter().flatten().filter(|dir| !dir.exists()) {
        disk::create_dir(dir).map_err(|error| unwritable(dir, &error))?;
        say(format_args!("made {}", dir.display()))?;
        made = true;
    }
    Ok(made)
}

/// Writes what differs, whole or not at all, and removes what a choice of earlier has left. Says whether anything did.
fn write(drafts: &[Draft]) -> Result<bool, Failure> {
    let mut changed = false;
    for Draft { path, text } in drafts {
        let found = held(path);
        match text {
            Some(text) if found.as_deref() != Some(text.as_bytes()) => {
                let dir = path.parent().unwrap_or(path);
                disk::create_dir(dir)
                    .and_then(|()| disk::replace(path, text.as_bytes()))
                    .map_err(|error| unwritable(path, &error))?;
                say(format_args!("wrote {}", path.display()))?;
            }
            None if path.symlink_metadata().is_ok() => {
                disk::remove(path).map_err(|error| unwritable(path, &error))?;
                // Somebody's own drop-ins keep their folder.
                let _ = path.parent().map(std::fs::remove_dir);
                say(format_args!("removed {}", path.display()))?;
            }
            _ => continue,
        }
        changed = true;
    }
    Ok(changed)
}

/// What stands in a plain file; nothing of a link, which is replaced by what belongs there.
fn held(path: &Path) -> Option<Vec<u8>> {
    use std::io::Read as _;

    let meta = path.symlink_metadata().ok().filter(|meta| meta.is_file());
    meta.filter(|meta| meta.len() <= FILE_BYTES_MAX)?;
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
        .hint("nothing was started; repair it and run the same again")
}

/// Starts what does not run, and starts anew what runs an older program or by older files. Says whether it did.
fn bring_up(paths: &Paths, places: &Places, kind: Kind, changed: bool) -> Result<bool, Failure> {
    let ran = manager::service().is_some_and(|service| service.active);
    let outdated = ran && is_outdated(paths, places)?;
    if changed && kind == Kind::Systemd {
        // Before any daemon stops: a client that starts one from now on starts the service.
        systemd::reload()?;
    }
    match kind {
        // Nobody but the daemon itself can end it in order.
        Kind::TaskScheduler if (changed || outdated) && ran => drop(own::end(paths)?),
        _ => own::give_way(paths, kind)?,
    }
    let brought_up = waiting("starting the service", || match kind {
        Kind::Systemd => systemd::bring_up(changed, changed || outdated),
        Kind::Launchd => launchd::bring_up(changed, outdated),
        Kind::TaskScheduler => tasks::bring_up(&tasks::task_file(&places.home), changed),
    });
    brought_up.map_err(|error| not_started(kind, &error))?;
    Ok(!ran || outdated)
}

/// Whether the daemon that runs was started from a program that has been replaced since.
fn is_outdated(paths: &Paths, places: &Places) -> Result<bool, Failure> {
    let mut paths = paths.clone();
    // Where a session does not name the runtime directory, the service listens there all the same.
    if let (None, Some(dir)) = (&places.socket, systemd::forgotten_runtime_dir()) {
        paths.socket = dir.join("valetkey/valetkey.sock").to_string_lossy().into_owned();
    }
    let Some((_client, info)) = own::info(&paths)? else { return Ok(false) };
    let replaced = disk::changed_at(&places.binary).is_some_and(|at| at > info.started_at.0);
    Ok(replaced || info.version != env!("CARGO_PKG_VERSION"))
}

fn without_manager(kind: Kind) -> Done {
    say(
        "the service is in place, and nothing was started: no service manager of this user answers here",
    )?;
    let how = match kind {
        Kind::Systemd => {
            "in a session of your own (su and sudo make none) run `valetkey service install` again; \
             without a service manager: valetkey serve"
        }
        Kind::Launchd => "it starts with your next session; until then: valetkey serve",
        Kind::TaskScheduler => {
            "schtasks.exe is not to be had; client commands start a daemon by themselves, and \
             `valetkey serve` runs it where you can watch it"
        }
    };
    Ok(hint(how)?)
}

fn closing_hints(kind: Kind, choice: Choice) -> io::Result<()> {
    let chosen = choice.without_namespaces || choice.desktop_notices;
    match kind {
        Kind::Launchd if chosen => {
            hint("a launch agent has no sandbox to change: that choice means nothing here")
        }
        Kind::TaskScheduler if chosen => {
            hint("a task has no sandbox to change: that choice means nothing here")
        }
        Kind::Launchd => Ok(()),
        Kind::TaskScheduler => match proxy() {
            Some(name) => hint(format_args!(
                "{name} is set in this shell, and a task does not see it; to tell whatever starts from your next \
                 session on: setx {name} ..."
            )),
            None => Ok(()),
        },
        Kind::Systemd => closing_hints_of_units(choice),
    }
}

fn closing_hints_of_units(choice: Choice) -> io::Result<()> {
    if choice.without_namespaces && choice.desktop_notices {
        hint(
            "without namespaces the bus of the desktop is not hidden, so nothing had to be done for notices",
        )?;
    }
    if manager::lingers() == Some(false) {
        hint(
            "the service ends with your last session; on a machine that you reach over the network only, \
             keep it running: loginctl enable-linger",
        )?;
    }
    if let Some(dir) = systemd::forgotten_runtime_dir() {
        hint(format_args!(
            "this session does not name its runtime directory; for clients to find the service: export XDG_RUNTIME_DIR={}",
            dir.display()
        ))?;
    }
    if let Some(name) = proxy() {
        hint(format_args!(
            "{name} is set in this shell, and a service does not see it; to tell it, `systemctl --user edit \
             valetkey.service` and write below [Service]: Environment={name}=..."
        ))?;
    }
    Ok(())
}

/// The first proxy that this shell has set, by name.
fn proxy() -> Option<&'static str> {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXIES.into_iter().filter(set).min()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_written_what_is_left_over_goes_and_a_second_time_nothing_happens() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, gone) = (folder.path().join("a/kept"), folder.path().join("b/gone"));
        let drafts = [
            Draft { path: kept.clone(), text: Some("new".to_owned()) },
            Draft { path: gone.clone(), text: None },
        ];
        std::fs::create_dir(gone.parent().unwrap()).unwrap();
        std::fs::write(&gone, "old").unwrap();
        assert!(write(&drafts).unwrap());
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "new");
        assert!(!gone.parent().unwrap().exists(), "its empty folder goes with it");
        assert!(!write(&drafts).unwrap(), "nothing is left to do");
        // A link in the place of a file is replaced, and what it leads to stays.
        let other = folder.path().join("other");
        std::fs::write(&other, "new").unwrap();
        std::fs::remove_file(&kept).unwrap();
        std::os::unix::fs::symlink(&other, &kept).unwrap();
        assert!(write(&drafts).unwrap());
        assert!(!kept.is_symlink() && std::fs::read_to_string(&other).unwrap() == "new");
    }
}

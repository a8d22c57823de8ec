//! `valetkey service`: the daemon as a service of this user, from the files that the repository ships.
//!
//! Who has to write a unit file by hand runs the daemon from a terminal instead, and loses it with that.

mod files;
mod install;
mod logs;
mod own;
mod status;
mod uninstall;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::platform::manager::{self, Kind, ManagerError, launchd, systemd, tasks};

use super::Done;
use super::args::{Service, ServiceAction, ServicePlatform};
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::{HINT, beyond_ascii, note, say};

/// How often the sign of waiting moves.
const TICK: Duration = Duration::from_millis(120);

pub(super) fn run(context: &Context, verb: &Service) -> Done {
    match &verb.action {
        ServiceAction::Install(verb) => install::run(context, verb),
        ServiceAction::Uninstall(verb) => uninstall::run(context, verb),
        ServiceAction::Start => start(context),
        ServiceAction::Stop => stop(context),
        ServiceAction::Restart => restart(context),
        ServiceAction::Status(verb) => status::run(context, verb.json),
        ServiceAction::Logs(verb) => logs::run(context, verb),
    }
}

fn start(context: &Context) -> Done {
    let kind = installed()?;
    own::give_way(&context.paths()?, kind)?;
    let started = waiting("starting the service", || match kind {
        Kind::Systemd => systemd::start(),
        Kind::Launchd => launchd::start(),
        Kind::TaskScheduler => tasks::start(),
    });
    started.map_err(|error| not_started(kind, &error))?;
    Ok(say("the service runs")?)
}

fn restart(context: &Context) -> Done {
    let kind = installed()?;
    let paths = context.paths()?;
    match kind {
        // The task's daemon is asked like any other.
        Kind::TaskScheduler => drop(own::end(&paths)?),
        _ => own::give_way(&paths, kind)?,
    }
    let started = waiting("starting the service anew", || match kind {
        Kind::Systemd => systemd::restart(),
        Kind::Launchd => launchd::restart(),
        Kind::TaskScheduler => tasks::start(),
    });
    started.map_err(|error| not_started(kind, &error))?;
    Ok(say("the service runs anew")?)
}

fn stop(context: &Context) -> Done {
    let kind = installed()?;
    match kind {
        Kind::Systemd => waiting("stopping the service", systemd::stop)?,
        Kind::Launchd => waiting("stopping the service", launchd::stop)?,
        Kind::TaskScheduler => drop(own::end(&context.paths()?)?),
    }
    match kind {
        Kind::Systemd => say("the service is stopped, and its socket closed")?,
        Kind::Launchd | Kind::TaskScheduler => say("the service is stopped")?,
    }
    Ok(hint(
        "it starts again with your next session, and with any client command that is not given --no-spawn; \
         to be rid of it: valetkey service uninstall",
    )?)
}

/// The kind of manager that an installed service has, which must answer.
fn installed() -> Result<Kind, Failure> {
    let kind = manager::native().ok_or_else(no_service_here)?;
    if manager::service().is_none() {
        return Err(Failure::new(Exit::Failed, "no service is installed")
            .hint("`valetkey service install` installs and starts it"));
    }
    if !manager::answers() {
        return Err(Failure::new(Exit::Failed, "no service manager of this user answers here")
            .hint(match kind {
                Kind::TaskScheduler => "schtasks.exe has to be there; without: `valetkey serve`",
                _ => "a session of your own has one (su and sudo make none); without: `valetkey serve`",
            }));
    }
    Ok(kind)
}

fn no_service_here() -> Failure {
    Failure::new(Exit::Failed, "valetkey has no service for this system yet")
        .hint("client commands start a daemon by themselves; `valetkey serve` runs it where you can watch it")
}

/// Which manager's files are meant, and whether that manager is this system's.
fn platform(named: Option<ServicePlatform>) -> Result<(Kind, bool), Failure> {
    let native = manager::native();
    let kind = match named {
        Some(ServicePlatform::Linux) => Kind::Systemd,
        Some(ServicePlatform::Macos) => Kind::Launchd,
        Some(ServicePlatform::Windows) => Kind::TaskScheduler,
        None => native.ok_or_else(no_service_here)?,
    };
    Ok((kind, native == Some(kind)))
}

impl From<ManagerError> for Failure {
    fn from(error: ManagerError) -> Self {
        Self::new(Exit::Failed, error.to_string())
            .hint("`valetkey service status` shows how it stands")
    }
}

/// Says what kept the service from starting, and what would help. Nothing is weakened here: a person decides
/// whether a smaller sandbox will do.
fn not_started(kind: Kind, error: &ManagerError) -> Failure {
    let refused = matches!(error, ManagerError::Refused { .. });
    let fall = (kind == Kind::Systemd && refused).then(systemd::fall).flatten();
    match fall {
        Some(systemd::Fall::Sandbox(what)) => {
            // It would be tried again for nothing, and clients would wait at its socket meanwhile.
            let _ = systemd::stop();
            Failure::new(
                Exit::Failed,
                format!(
                    "the service does not start, because its sandbox cannot be made ({what}): \
                     users may not make namespaces on this machine, or a folder of valetkey is missing"
                ),
            )
            .hint(
                "`valetkey service install --without-namespaces` leaves out that part of the sandbox; \
                 the daemon can then see your files",
            )
        }
        Some(systemd::Fall::Ended(how)) => {
            let _ = systemd::stop();
            Failure::new(Exit::Failed, format!("the service does not start: {how}"))
                .hint("`valetkey service logs` has more; `valetkey serve` runs the daemon where you can watch it")
        }
        None => Failure::new(Exit::Failed, format!("the service does not start: {error}"))
            .hint("`valetkey service logs` may have more"),
    }
}

/// The next step, beside an answer.
fn hint(text: impl std::fmt::Display) -> std::io::Result<()> {
    note(format_args!("{HINT}hint:{HINT:#} {text}"))
}

/// Does something that may take a while, and shows a person at a terminal that it goes on.
fn waiting<T>(words: &'static str, work: impl FnOnce() -> T) -> T {
    let spinner = ProgressBar::new_spinner().with_message(words);
    let ticks = if beyond_ascii() { "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ " } else { "|/-\\ " };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style.tick_chars(ticks));
    }
    spinner.enable_steady_tick(TICK);
    let done = work();
    spinner.finish_and_clear();
    done
}

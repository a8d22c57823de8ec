//! A task of the Task Scheduler on Windows, by way of `schtasks.exe`.
//!
//! What that program says is in the person's own language, so its exit statuses and the task's XML are all that is
//! read. The scheduler ends a task by killing it, in the middle of a refresh if need be: stopping one is the
//! business of whoever can ask the daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{ASK_TIME_MAX, ManagerError, ServiceState, ask, home, words};
use crate::platform::{ipc, paths};

/// How long a task may take from its start until its daemon answers. A machine where people sign in is busy.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// How often its daemon is looked for meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The largest task file that is read; ours has some two kilobytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Who the task is for, as the scheduler takes it: the security identifier.
#[cfg(windows)]
#[must_use]
pub fn user() -> Option<String> {
    crate::platform::access_list::own_sid().ok().map(str::to_owned)
}

/// Who the task would be for. On systems without the scheduler it is only written, to be looked at: the name
/// of the home directory stands for the person.
#[cfg(not(windows))]
#[must_use]
pub fn user() -> Option<String> {
    Some(home()?.file_name()?.to_string_lossy().into_owned())
}

/// The task's name. All users' tasks share one namespace.
#[must_use]
pub fn name() -> Option<String> {
    user().map(|user| format!("valetkey-{user}"))
}

/// The pipe where the daemon listens unless it is told otherwise.
#[must_use]
pub fn usual_pipe() -> Option<String> {
    user().map(|user| paths::pipe_of(&user))
}

/// Where the task's file is kept, below a home. The scheduler has a copy of its own.
#[must_use]
pub fn task_file(home: &Path) -> PathBuf {
    home.join(["AppData", "Local", "valetkey", "service", "task.xml"].iter().collect::<PathBuf>())
}

/// `schtasks` with these words.
fn schtasks(words: &[&str]) -> Command {
    let mut command = Command::new("schtasks.exe");
    command.args(words);
    command
}

/// Whether there is such a program at all: the scheduler behind it cannot be switched off.
#[must_use]
pub fn answers() -> bool {
    ask(&mut schtasks(&["/?"]), ASK_TIME_MAX).is_ok()
}

/// The task as the scheduler has it; nothing where it has none.
fn registered() -> Option<String> {
    let told = ask(&mut schtasks(&["/Query", "/TN", &name()?, "/XML"]), ASK_TIME_MAX).ok()?;
    // It may come in UTF-16; what is looked for in it is ASCII.
    let told = told.replace('\0', "");
    told.contains("<Task").then_some(told)
}

/// The command that starts the installed task; nothing where there is none.
#[must_use]
pub fn start_command() -> Option<Command> {
    registered()?;
    Some(schtasks(&["/Run", "/TN", &name()?]))
}

/// How the task stands; nothing where none is installed. It runs where a daemon answers on its pipe.
#[must_use]
pub fn service() -> Option<ServiceState> {
    let registered = registered()?;
    let file = task_file(&home()?);
    let active = pipe(&file).is_some_and(|pipe| serves(&pipe));
    Some(ServiceState {
        // The task itself can be disabled, or its trigger.
        enabled: !registered.contains("<Enabled>false</Enabled>"),
        active,
        state: if active { "running" } else { "ready to be started" }.to_owned(),
        sandboxed: None,
        file,
    })
}

/// The pipe of the daemon that a task's file starts.
fn pipe(file: &Path) -> Option<String> {
    use std::io::Read as _;

    let mut text = String::new();
    if let Ok(file) = std::fs::File::open(file) {
        // What cannot be read says nothing, and the usual pipe is meant.
        let _ = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    }
    let words = arguments(&text).unwrap_or_default();
    let after = words.iter().position(|word| word == "--socket");
    after.and_then(|at| words.get(at + 1).cloned()).or_else(usual_pipe)
}

fn serves(pipe: &str) -> bool {
    let server = ipc::connect_blocking(pipe).and_then(|stream| stream.server());
    matches!(server, Ok(ipc::Server::Own))
}

/// Lets the scheduler take over the task in `file`, in the place of an earlier one.
///
/// # Errors
/// As the scheduler says.
pub fn register(file: &Path) -> Result<(), ManagerError> {
    let Some(name) = name() else { return Ok(()) };
    let file = file.to_string_lossy();
    let mut create = schtasks(&["/Create", "/TN", &name, "/XML", &file, "/F"]);
    ask(&mut create, ASK_TIME_MAX)?;
    match registered() {
        Some(_) => Ok(()),
        // Where it is a program of that name only.
        None => Err(ManagerError::Refused {
            asked: words(&create),
            said: "the scheduler knows of no such task afterwards".to_owned(),
        }),
    }
}

/// Makes the task of `file` run from now on and with each session. With `changed` the file is read again.
///
/// # Errors
/// As [`register`] and [`start`].
pub fn bring_up(file: &Path, changed: bool) -> Result<(), ManagerError> {
    if changed || registered().is_none() {
        register(file)?;
    }
    start()
}

/// Starts the task, unless it runs, and waits until its daemon answers.
///
/// # Errors
/// As the scheduler says, and where no daemon answers in time.
pub fn start() -> Result<(), ManagerError> {
    let (Some(name), Some(home)) = (name(), home()) else { return Ok(()) };
    let Some(pipe) = pipe(&task_file(&home)) else { return Ok(()) };
    if serves(&pipe) {
        return Ok(());
    }
    ask(&mut schtasks(&["/Run", "/TN", &name]), ASK_TIME_MAX)?;
    let end = Instant::now() + START_TIME_MAX;
    while !serves(&pipe) {
        if Instant::now() > end {
            return Err(ManagerError::Unanswered(START_TIME_MAX));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Takes the task away. Its daemon was asked to stop before.
///
/// # Errors
/// As the scheduler says.
pub fn take_down() -> Result<(), ManagerError> {
    if registered().is_none() {
        return Ok(());
    }
    let Some(name) = name() else { return Ok(()) };
    ask(&mut schtasks(&["/Delete", "/TN", &name, "/F"]), ASK_TIME_MAX).map(drop)
}

/// The words of the command that a task's file starts, the console's host not counted; nothing where it is no
/// such file.
#[must_use]
pub fn arguments(task: &str) -> Option<Vec<String>> {
    let line = task.split_once("<Arguments>")?.1.split_once("</Arguments>")?.0;
    let line = unescaped(line);
    // What stands between quotes is a word, and between them words are parted by spaces.
    let parts = line.split('"').enumerate().flat_map(|(at, part)| {
        let quoted = (at % 2 == 1).then(|| part.to_owned());
        let plain = (at % 2 == 0).then(|| part.split_whitespace().map(str::to_owned));
        quoted.into_iter().chain(plain.into_iter().flatten()).collect::<Vec<_>>()
    });
    Some(parts.collect())
}

/// The text that [`escaped`] made this of.
fn unescaped(text: &str) -> String {
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or((part, ""));
        plain.extend(match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            _ => name.strip_prefix("#").and_then(|code| code.parse().ok()).and_then(char::from_u32),
        });
        plain += rest;
    }
    plain
}

/// A text as XML in ASCII, whatever is in it.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut xml = String::new();
    for c in text.chars() {
        match c {
            '&' => xml += "&amp;",
            '<' => xml += "&lt;",
            '>' => xml += "&gt;",
            c if c.is_ascii() => xml.push(c),
            c => xml += &format!("&#{};", u32::from(c)),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_person_is_called_survives_the_way_into_xml_and_back() {
        for name in ["Zoë & <Ada>", "日本 😀", "&amp;", "a;b&c", ""] {
            let xml = escaped(name);
            assert!(xml.is_ascii() && !xml.contains('<'), "{xml}");
            assert_eq!(unescaped(&xml), name);
        }
    }

    #[test]
    fn the_words_of_a_tasks_command_are_found() {
        let task = r#"<Exec><Command>x</Command><Arguments>--headless "C:\A &amp; B\v.exe" --socket "\\.\pipe\x y" serve</Arguments></Exec>"#;
        let words = [r"--headless", r"C:\A & B\v.exe", "--socket", r"\\.\pipe\x y", "serve"];
        assert_eq!(arguments(task).unwrap_or_default(), words);
        assert_eq!(arguments("<plist/>"), None);
    }

    #[test]
    fn a_task_that_names_no_pipe_has_the_usual_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("task.xml");
        assert_eq!(pipe(&file), usual_pipe());
        std::fs::write(&file, r#"<Arguments>--socket "\\.\pipe\mine" serve</Arguments>"#)
            .expect("written");
        assert_eq!(pipe(&file).as_deref(), Some(r"\\.\pipe\mine"));
    }
}

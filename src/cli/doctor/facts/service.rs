//! The installed service: how its manager says that it stands, and which program it starts.

use std::path::{Path, PathBuf};

use crate::platform::manager::{self, ServiceState};
use crate::platform::vitals;

use super::super::discreet::Home;

/// The largest unit file that is read; ours has some two kilobytes.
const UNIT_BYTES_MAX: u64 = 256 * 1024;

/// What is known of the service.
#[derive(Debug)]
pub(in super::super) struct Service {
    /// Whether a manager answers at all.
    pub(in super::super) manager: bool,
    /// The service, if one is installed.
    pub(in super::super) state: Option<ServiceState>,
    /// Whether it outlives the last session; nothing where that is no question.
    pub(in super::super) lingers: Option<bool>,
    /// The program that it starts, as far as its file says.
    pub(in super::super) program: Option<Program>,
}

/// A program that is started by others.
#[derive(Debug)]
pub(in super::super) struct Program {
    pub(in super::super) path: PathBuf,
    pub(in super::super) runnable: bool,
    /// Whether it is the very file that this process runs; nothing where that cannot be told.
    pub(in super::super) ours: Option<bool>,
}

pub(super) fn look() -> Service {
    let state = manager::service();
    let home = Home::of_this_user();
    let program = state.as_ref().and_then(|state| {
        program(&texts(&state.file), home.path().map(Path::to_string_lossy).as_deref())
    });
    let program = program.map(|path| Program {
        runnable: vitals::is_runnable(&path),
        ours: ours(&path),
        path,
    });
    Service { manager: manager::answers(), lingers: manager::lingers(), state, program }
}

/// Whether `path` leads to the file that this process runs.
fn ours(path: &Path) -> Option<bool> {
    let this = std::env::current_exe().ok()?.canonicalize().ok()?;
    Some(path.canonicalize().ok()? == this)
}

/// The service's file, and what its drop-ins (systemd.unit(5)) lay over it, in their order.
fn texts(file: &Path) -> Vec<String> {
    let mut dir = file.as_os_str().to_owned();
    dir.push(".d");
    let mut drop_ins: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    drop_ins.retain(|path| path.extension().is_some_and(|ending| ending == "conf"));
    drop_ins.sort();
    std::iter::once(file.to_owned()).chain(drop_ins).filter_map(|path| text(&path)).collect()
}

fn text(path: &Path) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(UNIT_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The program that units or a launch agent start; the last word counts.
fn program(texts: &[String], home: Option<&str>) -> Option<PathBuf> {
    let commands = texts.iter().flat_map(|text| text.lines());
    let command = commands
        .filter_map(|line| line.trim().strip_prefix("ExecStart="))
        .rfind(|command| !command.trim().is_empty());
    let program = match command {
        Some(command) => first_word(command)?.replace("%h", home.unwrap_or("%h")),
        None => agent_program(texts.first()?)?,
    };
    Some(PathBuf::from(program)).filter(|path| path.is_absolute())
}

/// The first word of a command line, which may be quoted and begin with a sign (systemd.service(5)).
fn first_word(command: &str) -> Option<&str> {
    let command = command.trim_start().trim_start_matches(['-', '@', ':', '+', '!']);
    match command.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => command.split_whitespace().next(),
    }
}

/// The first string after `ProgramArguments` (launchd.plist(5)), its few escapes undone.
fn agent_program(text: &str) -> Option<String> {
    let after = text.split_once("<key>ProgramArguments</key>")?.1;
    let word = after.split_once("<string>")?.1.split_once("</string>")?.0;
    Some(word.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn found(texts: &[&str]) -> Option<PathBuf> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        program(&texts, Some("/home/pat"))
    }

    #[test]
    fn the_program_is_found_in_units_drop_ins_and_agents() {
        let unit = "[Service]\nType=notify\nExecStart=%h/.local/bin/valetkey serve\n";
        assert_eq!(found(&[unit]), Some("/home/pat/.local/bin/valetkey".into()));
        let drop_in = "[Service]\nExecStart=\nExecStart=\"/opt/my tools/valetkey\" serve\n";
        assert_eq!(found(&[unit, drop_in]), Some("/opt/my tools/valetkey".into()));
        let agent = "<plist><dict><key>Label</key><string>local.valetkey</string>\n<key>ProgramArguments</key>\n<array><string>/Users/a&amp;b/valetkey</string><string>serve</string></array></dict></plist>";
        assert_eq!(found(&[agent]), Some("/Users/a&b/valetkey".into()));
        for none in ["", "ExecStart=", "ExecStart=valetkey serve", "<key>ProgramArguments</key>"] {
            assert_eq!(found(&[none]), None, "{none}");
        }
    }

    #[test]
    fn drop_ins_are_read_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("valetkey.service");
        let drop_ins = dir.path().join("valetkey.service.d");
        std::fs::create_dir(&drop_ins).unwrap();
        std::fs::write(&file, "unit").unwrap();
        for name in ["20-b.conf", "10-a.conf", "note.txt"] {
            std::fs::write(drop_ins.join(name), name).unwrap();
        }
        assert_eq!(texts(&file), ["unit", "10-a.conf", "20-b.conf"]);
        assert!(texts(&dir.path().join("none")).is_empty());
    }
}

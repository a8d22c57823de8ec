//! The service's files, as text: what the repository ships, and what differs for this person. Pure.
//!
//! The shipped unit names the usual places. Where a person's differ, a drop-in says so, and tells the daemon
//! too: a service manager does not know what a shell has in its environment.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::platform::manager::{launchd, systemd, tasks};

const UNIT: &str = include_str!("../../../systemd/valetkey.service");
const SOCKET_UNIT: &str = include_str!("../../../systemd/valetkey.socket");
const WITHOUT_NAMESPACES: &str = include_str!("../../../systemd/without-namespaces.conf");
const DESKTOP_NOTICES: &str = include_str!("../../../systemd/desktop-notices.conf");
const AGENT: &str = include_str!("../../../launchd/local.valetkey.plist");
const TASK: &str = include_str!("task.xml");

/// What `ProtectHome=tmpfs` and `PrivateTmp=yes` hide (systemd.exec(5)); `/var/home` is what `/home` leads to where the
/// system's own folders cannot be written.
const HIDDEN: [&str; 6] = ["/home", "/root", "/run/user", "/tmp", "/var/tmp", "/var/home"];

/// Characters that mean something in a unit file, even between quotes.
const MEANINGFUL: &[char] = &['"', '\'', '\\', '$', '%', ':'];

/// Where this person's things are.
#[derive(Clone, Debug)]
pub(super) struct Places {
    pub(super) home: PathBuf,
    pub(super) binary: PathBuf,
    pub(super) config_file: PathBuf,
    pub(super) data_dir: PathBuf,
    pub(super) state_dir: PathBuf,
    /// The socket, where it is not the platform's.
    pub(super) socket: Option<String>,
}

/// What the person chose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice {
    pub(super) without_namespaces: bool,
    pub(super) desktop_notices: bool,
}

/// A file of the service, as it should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) path: PathBuf,
    /// Nothing where there should be no such file.
    pub(super) text: Option<String>,
}

/// A path that a service file cannot name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a service file cannot name this path plainly: {0}")]
pub(super) struct Awkward(pub(super) PathBuf);

impl Places {
    /// Where things are on macOS unless somebody says otherwise.
    pub(super) fn usual_on_macos(home: &Path, binary: PathBuf) -> Self {
        let folder = home.join("Library/Application Support/valetkey");
        Self {
            home: home.to_owned(),
            binary,
            config_file: folder.join("config.toml"),
            state_dir: folder.join("state"),
            data_dir: folder,
            socket: None,
        }
    }

    /// ... and on Linux.
    pub(super) fn usual_on_linux(home: &Path, binary: PathBuf) -> Self {
        Self {
            home: home.to_owned(),
            binary,
            config_file: home.join(".config/valetkey/config.toml"),
            data_dir: home.join(".local/share/valetkey"),
            state_dir: home.join(".local/state/valetkey"),
            socket: None,
        }
    }

    /// ... and on Windows.
    pub(super) fn usual_on_windows(home: &Path, binary: PathBuf) -> Self {
        let data_dir = home.join("AppData/Local/valetkey/data");
        Self {
            home: home.to_owned(),
            binary,
            config_file: home.join("AppData/Roaming/valetkey/config/config.toml"),
            state_dir: data_dir.join("state"),
            data_dir,
            socket: None,
        }
    }

    /// The folder of the configuration where it is valetkey's own; another folder is nobody's business.
    pub(super) fn config_dir(&self) -> Option<&Path> {
        self.config_file.parent().filter(|dir| dir.ends_with("valetkey"))
    }

    /// Whether both name the same files.
    fn agrees_with(&self, other: &Self) -> bool {
        self.config_file == other.config_file
            && self.data_dir == other.data_dir
            && self.state_dir == other.state_dir
            && self.socket == other.socket
    }

    /// What tells a daemon of them.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let told = |path: &Path| path.to_string_lossy().into_owned();
        let mut pairs = vec![
            ("VALETKEY_CONFIG", told(&self.config_file)),
            ("VALETKEY_DATA_DIR", told(&self.data_dir)),
            ("VALETKEY_STATE_DIR", told(&self.state_dir)),
        ];
        pairs.extend(self.socket.clone().map(|socket| ("VALETKEY_SOCKET", socket)));
        pairs
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let socket = self.socket.as_deref().map(Path::new);
        [&*self.binary, &self.config_file, &self.data_dir, &self.state_dir]
            .into_iter()
            .chain(socket)
    }
}

/// The user units in `dir`.
///
/// # Errors
/// Where a path has a character that means something in a unit file.
pub(super) fn units(places: &Places, choice: Choice, dir: &Path) -> Result<Vec<Draft>, Awkward> {
    let drop_ins = |unit: &str| dir.join(format!("{unit}.d"));
    let service = drop_ins(systemd::SERVICE);
    let draft = |path: PathBuf, text: Option<String>| Draft { path, text };
    // With nothing hidden the bus needs no way back.
    let notices = choice.desktop_notices && !choice.without_namespaces;
    Ok(vec![
        draft(dir.join(systemd::SOCKET), Some(SOCKET_UNIT.to_owned())),
        draft(dir.join(systemd::SERVICE), Some(UNIT.to_owned())),
        draft(drop_ins(systemd::SOCKET).join(PLACES), socket_place(places)?),
        draft(service.join(PLACES), service_places(places)?),
        draft(
            service.join("20-without-namespaces.conf"),
            choice.without_namespaces.then(|| WITHOUT_NAMESPACES.to_owned()),
        ),
        draft(service.join("30-desktop-notices.conf"), notices.then(|| DESKTOP_NOTICES.to_owned())),
    ])
}

/// The drop-in that says where things are.
const PLACES: &str = "10-places.conf";
/// Its first line.
const WHY: &str =
    "# Written by `valetkey service install`: the places differ from the usual ones.\n";

fn socket_place(places: &Places) -> Result<Option<String>, Awkward> {
    let Some(socket) = &places.socket else { return Ok(None) };
    plainly(Path::new(socket))?;
    Ok(Some(format!("{WHY}[Socket]\nListenStream=\nListenStream={socket}\n")))
}

fn service_places(places: &Places) -> Result<Option<String>, Awkward> {
    let usual_binary = places.home.join(".local/bin/valetkey");
    let usual = Places::usual_on_linux(&places.home, usual_binary.clone());
    if places.agrees_with(&usual) && places.binary == usual_binary {
        return Ok(None);
    }
    places.paths().try_for_each(plainly)?;
    let mut text = format!("{WHY}[Service]\n");
    if places.binary != usual_binary {
        text += &format!("ExecStart=\nExecStart=\"{}\" serve\n", places.binary.display());
    }
    if !places.agrees_with(&usual) {
        for (name, value) in places.environment() {
            text += &format!("Environment=\"{name}={value}\"\n");
        }
    }
    // One empty line empties both lists.
    text += "BindPaths=\n";
    let mut read_only = Vec::new();
    if is_hidden(&places.binary) {
        read_only.push(places.binary.display().to_string());
    }
    let config = places.config_dir().unwrap_or(&places.config_file);
    if is_hidden(config) {
        read_only.push(format!("-{}", config.display()));
    }
    if !read_only.is_empty() {
        text += &format!("BindReadOnlyPaths={}\n", quoted(&read_only));
    }
    let own = [&places.data_dir, &places.state_dir].map(|dir| dir.display().to_string());
    text += &format!("BindPaths={} %t/systemd/notify\n", quoted(&own));
    Ok(Some(text))
}

fn is_hidden(path: &Path) -> bool {
    HIDDEN.iter().any(|hidden| path.starts_with(hidden))
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
}

fn plainly(path: &Path) -> Result<(), Awkward> {
    match path.to_str() {
        Some(text) if !text.contains(MEANINGFUL) && !text.chars().any(char::is_control) => Ok(()),
        _ => Err(Awkward(path.to_owned())),
    }
}

/// Where the shipped agent takes more environment.
const PLACES_MARK: &str = "\t\t<!-- places -->\n";

/// The launch agent. launchd expands neither `~` nor variables, so every path is written out.
///
/// # Errors
/// Where a path is not UTF-8, or holds what XML cannot.
pub(super) fn agent(places: &Places) -> Result<Vec<Draft>, Awkward> {
    let xml = |path: &Path| {
        let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
        text.map(escaped).ok_or_else(|| Awkward(path.to_owned()))
    };
    places.paths().try_for_each(|path| xml(path).map(drop))?;
    let mut environment = String::new();
    if !places.agrees_with(&Places::usual_on_macos(&places.home, places.binary.clone())) {
        for (name, value) in places.environment() {
            let value = escaped(&value);
            environment += &format!("\t\t<key>{name}</key>\n\t\t<string>{value}</string>\n");
        }
    }
    let (binary, home) = (xml(&places.binary)?, xml(&places.home)?);
    // Each part of the shipped text is looked at once, so that nothing in a path is taken for a place to fill.
    let fill = |text: &str| text.replace("@HOME@", &home);
    let (before, after) =
        AGENT.split_once("@BIN@").expect("the shipped agent names its program once");
    let (between, after) =
        after.split_once(PLACES_MARK).expect("the shipped agent has a place for places");
    let text = [fill(before), binary, fill(between), environment, fill(after)].concat();
    let path = places.home.join("Library/LaunchAgents").join(format!("{}.plist", launchd::LABEL));
    Ok(vec![Draft { path, text: Some(text) }])
}

/// The task, for the person whom the scheduler knows by `user`. It sees nothing of a shell's environment, so what
/// differs from the usual is told by flags.
///
/// # Errors
/// Where a path is not UTF-8, or has a character that means something to the scheduler or in a command line.
pub(super) fn task(places: &Places, user: &str) -> Result<Vec<Draft>, Awkward> {
    let word = |path: &Path| {
        // The scheduler fills in `%NAME%` and `$(Arg0)`, and a backslash keeps the quote behind it from ending a word.
        let plain = |text: &&str| {
            !text.contains(['"', '%']) && !text.contains("$(") && !text.ends_with('\\')
        };
        let text = path.to_str().filter(|text| !text.chars().any(char::is_control));
        let text = text.filter(plain).ok_or_else(|| Awkward(path.to_owned()))?;
        Ok(format!("\"{text}\""))
    };
    let differs =
        !places.agrees_with(&Places::usual_on_windows(&places.home, places.binary.clone()));
    let mut words = vec!["--headless".to_owned(), word(&places.binary)?];
    if differs {
        words.extend(["--config".to_owned(), word(&places.config_file)?]);
    }
    if let Some(socket) = &places.socket {
        words.extend(["--socket".to_owned(), word(Path::new(socket))?]);
    }
    words.extend(["serve", "--detach"].map(str::to_owned));
    if differs {
        words.extend(["--data-dir".to_owned(), word(&places.data_dir)?]);
        words.extend(["--state-dir".to_owned(), word(&places.state_dir)?]);
    }
    // From here on the shipped text is parted, so that nothing in a path is taken for a place to fill.
    let (before, after) =
        TASK.split_once("@ARGUMENTS@").expect("the shipped task has one place for arguments");
    let fill = |text: &str| text.replace("@USER@", &tasks::escaped(user));
    let text = [fill(before), tasks::escaped(&words.join(" ")), fill(after)].concat();
    Ok(vec![Draft { path: tasks::task_file(&places.home), text: Some(text) }])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

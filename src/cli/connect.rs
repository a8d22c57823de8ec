//! From the flags to a connection: which socket, and a daemon behind it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::platform::files;
use crate::platform::ipc;
use crate::platform::paths::Paths;
use crate::platform::spawn::{self, EXIT_ALREADY_RUNNING, StartError};
use crate::rpc::client::{Client, ClientError};

use super::args::Global;
use super::failure::{Exit, Failure};

/// How long a daemon may take to be ready: it loads a file and opens a socket, so this is ample.
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// How often a daemon that somebody else is starting is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The variables that point a daemon elsewhere than an installed service would look.
const OVERRIDES: [&str; 4] =
    ["VALETKEY_CONFIG", "VALETKEY_DATA_DIR", "VALETKEY_STATE_DIR", "VALETKEY_SOCKET"];

/// Whoever says where a daemon keeps its data means one on this machine.
const DATA_DIR: &str = "VALETKEY_DATA_DIR";

/// What every verb starts from.
#[derive(Clone)]
pub(crate) struct Context {
    global: Global,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        Self { global }
    }

    /// The places, flags laid over the environment, and the configuration file's socket under both.
    pub(crate) fn paths(&self) -> Result<Paths, Failure> {
        let paths = self.named_paths()?;
        if self.global.socket.is_some() {
            return Ok(paths);
        }
        // A file that does not parse must not keep a client from the daemon that runs well on what it
        // read before; whoever starts a daemon on it is told what is wrong.
        let socket = Config::load(&paths.config_file).ok().and_then(|config| config.daemon.socket);
        Ok(with_socket(paths, socket))
    }

    /// The places and the configuration, for a daemon: here a bad file is an error.
    pub(crate) fn paths_and_config(&self) -> Result<(Paths, Config), Failure> {
        let paths = self.named_paths()?;
        let config = Config::load(&paths.config_file)?;
        let socket = config.daemon.socket.clone().filter(|_| self.global.socket.is_none());
        Ok((with_socket(paths, socket), config))
    }

    fn named_paths(&self) -> Result<Paths, Failure> {
        let mut paths = Paths::from_environment()?;
        if let Some(file) = &self.global.config {
            paths.config_file = std::path::absolute(file).map_err(|error| {
                Failure::new(Exit::Usage, format!("--config is no usable path: {error}"))
                    .hint("name the file from the root on")
            })?;
        }
        Ok(with_socket(paths, self.global.socket.clone()))
    }

    /// A connection to the daemon, which is started where none runs.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let paths = self.paths()?;
        match Client::connect(&paths.socket) {
            Ok(client) => Ok(client),
            // No daemon could listen there either.
            Err(error) if error.is_of_the_name() => Err(error.into()),
            Err(ClientError::Unreachable { socket, source }) => {
                let elsewhere = self.may_be_elsewhere(&paths);
                if !self.global.no_spawn && !elsewhere {
                    return self.start(&paths);
                }
                // It would be in the way of the next one to listen there.
                let removed = source.kind() == ErrorKind::ConnectionRefused
                    && ipc::remove_abandoned(&socket).unwrap_or(false);
                let failure = Failure::from(ClientError::Unreachable { socket, source });
                Err(unreachable(failure, removed, elsewhere))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the socket was named by somebody, and no daemon has ever kept anything on this machine: then
    /// it most likely is another machine's, forwarded, and a daemon of its own here, which knows of no
    /// login, would only be in its way.
    fn may_be_elsewhere(&self, paths: &Paths) -> bool {
        let named = self.global.socket.is_some();
        named && std::env::var_os(DATA_DIR).is_none() && !paths.data_dir.exists()
    }

    /// The flags by which this program reaches the same daemon when another starts it, in whatever
    /// environment; none where nothing points elsewhere than usual.
    pub(crate) fn reach(&self) -> Result<Vec<String>, Failure> {
        let paths = self.paths()?;
        let mut flags = Vec::new();
        // Where the socket is can follow from where the data and the state are.
        if self.global.socket.is_some() || moved().is_some() {
            let socket = std::path::absolute(&paths.socket).ok();
            let socket = socket.and_then(|socket| socket.into_os_string().into_string().ok());
            flags.extend(["--socket".to_owned(), socket.unwrap_or(paths.socket)]);
        }
        if self.global.config.is_some() {
            let config = paths.config_file.into_os_string().into_string().map_err(|_| {
                Failure::new(Exit::Usage, "--config is not UTF-8, which no agent could be told")
            })?;
            flags.extend(["--config".to_owned(), config]);
        }
        Ok(flags)
    }

    fn start(&self, paths: &Paths) -> Result<Client, Failure> {
        // One starter at a time: whoever comes second waits here and then finds a daemon.
        let _turn = take_turn(paths.state_dir.join("start.lock"));
        if let Ok(client) = Client::connect(&paths.socket) {
            return Ok(client);
        }
        if self.is_ordinary() && spawn::start_installed_service(START_TIME_MAX) == Some(true) {
            return connect_soon(&paths.socket);
        }
        let mut command = Command::new(this_program()?);
        if let Some(socket) = &self.global.socket {
            command.arg("--socket").arg(socket);
        }
        if self.global.config.is_some() {
            command.arg("--config").arg(&paths.config_file);
        }
        command.args(["serve", "--detach"]);
        let socket = paths.socket.clone();
        match spawn::outliving(&mut command, START_TIME_MAX, move || {
            Client::connect(&socket).is_ok()
        }) {
            Ok(()) => connect_soon(&paths.socket),
            Err(StartError::Exited { status: Some(EXIT_ALREADY_RUNNING), .. }) => {
                connect_soon(&paths.socket)
            }
            Err(error) => Err(not_started(&error)),
        }
    }

    /// Whether nothing points elsewhere than an installed service would look.
    fn is_ordinary(&self) -> bool {
        self.global.socket.is_none()
            && self.global.config.is_none()
            && OVERRIDES.iter().all(|name| std::env::var_os(name).is_none())
    }
}

/// The variable that moves the daemon's folders and has no flag of its own, where one is set.
pub(crate) fn moved() -> Option<&'static str> {
    let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["VALETKEY_DATA_DIR", "VALETKEY_STATE_DIR"].into_iter().find(set)
}

/// This very program, as other processes of it are started.
pub(crate) fn this_program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(Exit::Failed, format!("this program cannot find its own file: {error}"))
    })
}

/// Says what can be done about a daemon that was not to be started.
fn unreachable(failure: Failure, removed: bool, elsewhere: bool) -> Failure {
    let hint = match (removed, elsewhere) {
        (true, true) => {
            "nobody listened there any more, so the file was removed: open the tunnel again, or run `valetkey serve` for a daemon on this machine"
        }
        (true, false) => {
            "nobody listened there any more, so the file was removed: open the tunnel again, or start a daemon with `valetkey serve`"
        }
        (false, true) => {
            "if it is forwarded from another machine, look at the tunnel; for a daemon on this one run `valetkey serve`"
        }
        (false, false) => "start it with `valetkey serve`, or leave out --no-spawn",
    };
    failure.hint(hint)
}

fn with_socket(mut paths: Paths, socket: Option<String>) -> Paths {
    paths.socket = socket.unwrap_or(paths.socket);
    paths
}

fn not_started(error: &StartError) -> Failure {
    let mut hint = None;
    let sentence = match error {
        // The daemon is this same program, and has said it in the form that we are about to say it in.
        StartError::Exited { said, .. } if !said.is_empty() => {
            let said = said.strip_prefix("error:").unwrap_or(said);
            let (said, next) = said.split_once("\n  hint:").unwrap_or((said, ""));
            hint = Some(next.trim()).filter(|next| !next.is_empty());
            format!("the daemon did not start: {}", said.trim())
        }
        other => other.to_string(),
    };
    let watch = "`valetkey serve` runs it where you can watch it";
    let hint = hint.map_or_else(|| watch.to_owned(), |next| format!("{next}; {watch}"));
    Failure::new(Exit::Unreachable, sentence).hint(hint)
}

/// The lock that starters share, held until it is dropped. Where it cannot be had (a read-only
/// disk, a starter that hangs) starting goes on without: two daemons cannot come of it, the
/// instance lock sees to that.
fn take_turn(path: PathBuf) -> Option<File> {
    files::create_dir(path.parent()?).ok()?;
    let file = files::append(&path).ok()?;
    let (locked, got) = channel();
    std::thread::spawn(move || locked.send(file.lock().map(|()| file)));
    got.recv_timeout(2 * START_TIME_MAX).ok()?.ok()
}

/// Connects to a daemon that was just seen or said to be there.
fn connect_soon(socket: &str) -> Result<Client, Failure> {
    let end = Instant::now() + START_TIME_MAX;
    loop {
        match Client::connect(socket) {
            Err(ClientError::Unreachable { .. }) if Instant::now() < end => {
                std::thread::sleep(LOOK_EVERY)
            }
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(socket: Option<&str>, config: PathBuf) -> Context {
        Context::new(Global {
            socket: socket.map(str::to_owned),
            config: Some(config),
            no_spawn: true,
        })
    }

    #[test]
    fn the_flag_beats_the_files_socket_and_a_broken_file_does_not_matter_to_a_client() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "[daemon]\nsocket = \"/from-file\"").expect("written");
        assert_eq!(context(None, file.clone()).paths().expect("paths").socket, "/from-file");
        assert_eq!(context(Some("/flag"), file.clone()).paths().expect("paths").socket, "/flag");
        std::fs::write(&file, "nonsense").expect("written");
        assert!(context(None, file.clone()).paths().is_ok());
        assert_eq!(context(None, file).paths_and_config().expect_err("a daemon minds").code(), 2);
    }

    #[test]
    fn without_a_daemon_and_without_leave_to_start_one_the_exit_code_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("none.sock");
        let context = context(socket.to_str(), folder.path().join("config.toml"));
        assert_eq!(context.client().expect_err("nobody there").code(), 4);
    }

    #[test]
    fn no_daemon_is_started_where_none_could_listen() {
        let folder = tempfile::tempdir().expect("a folder");
        // Too long for a socket, and no name of a pipe.
        let socket = folder.path().join("x".repeat(200));
        let mut context = context(socket.to_str(), folder.path().join("config.toml"));
        context.global.no_spawn = false;
        let failure = context.client().expect_err("nobody there");
        assert_eq!(failure.code(), 4);
        assert!(format!("{failure:?}").contains("--socket"), "{failure:?}");
    }

    #[test]
    fn starters_take_turns() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run/start.lock");
        let first = take_turn(path.clone()).expect("nobody else");
        let other = File::options().write(true).open(&path).expect("it is there");
        assert!(other.try_lock().is_err(), "the first still has it");
        drop(first);
        assert!(take_turn(path).is_some());
    }
}

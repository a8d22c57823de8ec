//! A home of its own for every daemon: nothing of the person's, nothing of another test's.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::Sandbox;
use super::daemon::Daemon;

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_valetkey");

/// A folder with the configuration, and the environment that leads there.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    environment: Vec<(String, String)>,
    files_log: bool,
}

impl Home {
    /// A home whose default vendor is this sandbox; browsers come back on any free port.
    pub(crate) fn new(sandbox: &Sandbox) -> Self {
        Self::with_config(&Self::config_for(sandbox))
    }

    /// The configuration of [`Self::new`].
    pub(crate) fn config_for(sandbox: &Sandbox) -> String {
        format!(
            "default_vendor = \"sandbox\"\n\n[vendors.sandbox]\nkind = \"sandbox\"\nissuer = \"{}\"\ncallback_ports = [0]\n",
            sandbox.url()
        )
    }

    /// A home with another configuration.
    pub(crate) fn with_config(config: &str) -> Self {
        // Short, because a socket's path has to fit into some hundred bytes.
        let folder = tempfile::Builder::new().prefix("vk").tempdir().unwrap();
        for dir in ["home", "run"] {
            std::fs::create_dir(folder.path().join(dir)).unwrap();
        }
        let home = Self { folder, environment: Vec::new(), files_log: false };
        home.write_config(config);
        home
    }

    /// Adds sections to the configuration.
    pub(crate) fn and_config(self, more: &str) -> Self {
        let config = std::fs::read_to_string(self.config()).unwrap();
        self.write_config(&format!("{config}\n{more}\n"));
        self
    }

    /// Adds a variable to the environment of everything that runs here.
    pub(crate) fn and_env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the daemon write log files, as one that no manager runs.
    pub(crate) fn with_log_files(mut self) -> Self {
        self.files_log = true;
        self
    }

    pub(crate) fn write_config(&self, config: &str) {
        std::fs::write(self.config(), config).unwrap();
    }

    /// The folder that holds everything.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state")
    }

    /// The socket's path, or the pipe's name.
    pub(crate) fn socket(&self) -> PathBuf {
        if cfg!(windows) {
            let name = self.path().file_name().unwrap().to_string_lossy();
            return PathBuf::from(format!(r"\\.\pipe\valetkey-test-{name}"));
        }
        self.path().join("run/vk.sock")
    }

    /// Where the daemon's standard error goes.
    pub(crate) fn stderr_file(&self) -> PathBuf {
        self.path().join("stderr")
    }

    /// The credential file of an account.
    pub(crate) fn credential(&self, account: &str) -> PathBuf {
        let name = match account {
            "default" => "sandbox.json".to_owned(),
            other => format!("sandbox@{other}.json"),
        };
        self.data().join("credentials").join(name)
    }

    /// The program with these arguments, in this home and in no other environment. No terminal.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        self.furnish(&mut command);
        command
    }

    /// Puts any command into this home.
    pub(crate) fn furnish(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path().join("home"))
            .env("VALETKEY_CONFIG", self.config())
            .env("VALETKEY_DATA_DIR", self.data())
            .env("VALETKEY_STATE_DIR", self.state())
            .env("VALETKEY_SOCKET", self.socket())
            .env("RUST_LOG", "valetkey=debug")
            .current_dir(self.path())
            .stdin(Stdio::null());
        // Without these no Windows program finds its libraries, the network or a place for passing files.
        for name in
            ["SystemRoot", "SystemDrive", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA"]
        {
            if let Some(value) = std::env::var_os(name).filter(|_| cfg!(windows)) {
                command.env(name, value);
            }
        }
        // What other programs keep at home: Windows tells where that is, whatever the environment says.
        if cfg!(windows) {
            let home = self.path().join("home");
            command
                .env("CODEX_HOME", home.join(".codex"))
                .env("XDG_DATA_HOME", home.join(".local").join("share"));
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
    }

    /// Runs the program to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Answers are shorter than a pipe holds, so waiting before reading blocks nobody; help texts are not.
        let reader = {
            use std::io::Read as _;
            let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let out = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                out.read_to_end(&mut bytes).map(|_| bytes)
            });
            let err = std::thread::spawn(move || {
                let mut bytes = Vec::new();
                err.read_to_end(&mut bytes).map(|_| bytes)
            });
            (out, err)
        };
        let status = super::ended(&mut child);
        let (stdout, stderr) =
            (reader.0.join().unwrap().unwrap(), reader.1.join().unwrap().unwrap());
        Output { status, stdout, stderr }
    }

    /// Starts the daemon and waits until it is ready.
    #[track_caller]
    pub(crate) fn serve(self) -> Daemon {
        Daemon::start(self)
    }

    pub(crate) fn logs_to_files(&self) -> bool {
        self.files_log
    }
}

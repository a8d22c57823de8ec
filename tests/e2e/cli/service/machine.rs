//! A person's machine, with stand-ins for the programs of its service manager.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::{stderr, stdout};

/// What the manager says of a service that runs with its whole sandbox.
pub(super) const RUNS: &str =
    "ActiveState=active\nSubState=running\nUnitFileState=enabled\nPrivateUsers=yes\n";

/// What it says of one that does not run.
pub(super) const RESTS: &str =
    "ActiveState=inactive\nSubState=dead\nUnitFileState=enabled\nPrivateUsers=yes\n";

/// A home with the program in its usual place, and nothing on PATH but the stand-ins.
pub(super) struct Machine {
    folder: TempDir,
    home: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Machine {
    /// Where no service manager answers, and the home is called this.
    pub(super) fn with_home(name: &str) -> Self {
        // Short, because a socket's path has to fit into some hundred bytes.
        let folder = tempfile::Builder::new().prefix("vk").tempdir().unwrap();
        // As the program sees it, whatever link leads there.
        let home = fs::canonicalize(folder.path()).unwrap().join(name);
        let machine = Self { folder, home, environment: Vec::new() };
        fs::create_dir_all(machine.program().parent().unwrap()).unwrap();
        for folder in ["bin", "run"] {
            fs::create_dir(machine.folder.path().join(folder)).unwrap();
        }
        let built = Path::new(env!("CARGO_BIN_EXE_valetkey"));
        if fs::hard_link(built, machine.program()).is_err() {
            fs::copy(built, machine.program()).unwrap();
        }
        machine
    }

    pub(super) fn without_manager() -> Self {
        Self::with_home("home")
    }

    /// Where a manager does whatever it is told.
    pub(super) fn new() -> Self {
        let machine = Self::without_manager();
        machine.manager("");
        machine.stand_in("loginctl", "echo yes");
        machine.stand_in("journalctl", "");
        machine.says(RUNS);
        machine
    }

    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// This place in the home, as text.
    pub(super) fn place(&self, name: &str) -> String {
        self.home.join(name).to_str().unwrap().to_owned()
    }

    pub(super) fn program(&self) -> PathBuf {
        self.home.join(".local/bin/valetkey")
    }

    pub(super) fn units(&self) -> PathBuf {
        self.home.join(".config/systemd/user")
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).unwrap()
    }

    pub(super) fn unit(&self, name: &str) -> String {
        fs::read_to_string(self.units().join(name)).unwrap()
    }

    /// Puts a file into the home.
    pub(super) fn write(&self, name: &str, text: &str) {
        let file = self.home.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// A program of this name: it writes its arguments down, then does `body` in a shell without other programs.
    pub(super) fn stand_in(&self, name: &str, body: &str) {
        let file = self.folder.path().join("bin").join(name);
        let asked = self.folder.path().join("asked");
        let script = format!("#!/bin/sh\necho \"{name} $*\" >>'{}'\n{body}\n", asked.display());
        fs::write(&file, script).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A `systemctl` with answers of the test's own before the usual ones, as branches of a `case`.
    pub(super) fn manager(&self, branches: &str) {
        let facts = self.folder.path().join("facts");
        let usual = format!(
            "*\"show valetkey\"*) while read -r fact; do echo \"$fact\"; done <'{}' ;;\n\
             *is-enabled*) exit 1 ;;",
            facts.display()
        );
        self.stand_in("systemctl", &format!("case \"$*\" in\n{branches}\n{usual}\nesac"));
    }

    /// What the manager says of both units from now on.
    pub(super) fn says(&self, facts: &str) {
        fs::write(self.folder.path().join("facts"), facts).unwrap();
    }

    /// What its programs were asked and told since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        let file = self.folder.path().join("asked");
        let asked = fs::read_to_string(&file).unwrap_or_default();
        let _ = fs::remove_file(file);
        asked.lines().map(str::to_owned).collect()
    }

    /// What the manager was told since the last time: questions change nothing.
    pub(super) fn told(&self) -> Vec<String> {
        let questions = [" show ", "show-user", "is-enabled", "journalctl"];
        let mut told = self.asked();
        told.retain(|line| !questions.iter().any(|question| line.contains(question)));
        told.into_iter().map(|line| line.replace("systemctl --user ", "")).collect()
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.program());
        command
            .args(arguments)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", self.folder.path().join("bin"))
            // Else the one of whoever runs the tests is found, with a daemon in it.
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Runs `valetkey service` and expects this exit code.
    #[track_caller]
    pub(super) fn exits(&self, code: i32, arguments: &[&str]) -> Output {
        let output = self.run(&[&["service"], arguments].concat());
        let said = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {said:?}");
        output
    }

    /// Installs it, whoever runs the tests.
    #[track_caller]
    pub(super) fn install(&self, choices: &[&str]) -> Output {
        self.exits(0, &[&["install", "--allow-root"], choices].concat())
    }

    /// Every file of the home but the program.
    pub(super) fn files(&self) -> Vec<String> {
        let mut folders = vec![self.home.clone()];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if path != self.program() {
                    let name = path.strip_prefix(&self.home).unwrap();
                    found.push(name.to_str().unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

impl Drop for Machine {
    /// A daemon that a client started here ends with the test.
    fn drop(&mut self) {
        if self.home.join(".local/share/valetkey/valetkey.lock").exists() {
            self.run(&["--no-spawn", "rpc", "shutdown"]);
        }
    }
}

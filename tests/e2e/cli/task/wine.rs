//! The life of a task, with a stand-in for the scheduler: Wine's own takes none.
//!
//! The stand-in is put beside the program, where a program is looked for first. On a person's own Windows nothing is
//! touched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use valetkey::platform::manager::tasks;

use super::elements;
use crate::cli::exits;
use crate::support::{Home, Sandbox, ended, skipped, stderr, stdout};

/// The stand-in: tests/units/windows/schtasks.c.
const SCHEDULER: &str = "VALETKEY_TEST_SCHEDULER";

fn is_wine() -> bool {
    Path::new(r"C:\windows\system32\winecfg.exe").exists()
}

/// The file of the task, which is below the profile of Wine's only user.
fn task_file() -> PathBuf {
    tasks::task_file(&PathBuf::from(std::env::var_os("USERPROFILE").unwrap()))
}

/// A home with the program and the stand-in in it.
struct Machine(Home);

impl Machine {
    fn new(sandbox: &Sandbox, scheduler: &OsStr) -> Self {
        let home = Home::new(sandbox);
        std::fs::copy(env!("CARGO_BIN_EXE_valetkey"), home.path().join("valetkey.exe")).unwrap();
        std::fs::copy(scheduler, home.path().join("schtasks.exe")).unwrap();
        Self(home)
    }

    /// Runs a verb and expects this exit code. Meanwhile the scheduler does what it is told.
    #[track_caller]
    fn exits(&self, code: i32, arguments: &[&str], daemons: &mut Vec<Child>) -> Output {
        let done = AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if std::fs::remove_file(self.0.path().join("task.wanted")).is_ok() {
                        daemons.push(self.run_task());
                    }
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
            });
            let mut command = Command::new(self.0.path().join("valetkey.exe"));
            self.0.furnish(&mut command);
            let output = command.args(arguments).output();
            done.store(true, Ordering::Relaxed);
            output.unwrap()
        });
        let said = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {said:?}");
        output
    }

    /// Does what the task says, in the environment of no shell.
    fn run_task(&self) -> Child {
        let words = tasks::arguments(&std::fs::read_to_string(task_file()).unwrap()).unwrap();
        assert_eq!(words[0], "--headless");
        let mut command = Command::new(&words[1]);
        self.0.furnish(&mut command);
        for name in ["CONFIG", "DATA_DIR", "STATE_DIR", "SOCKET"] {
            command.env_remove(format!("VALETKEY_{name}"));
        }
        command.args(&words[2..]).spawn().unwrap()
    }

    fn told(&self) -> Vec<String> {
        let file = self.0.path().join("task.told");
        let told = std::fs::read_to_string(&file).unwrap_or_default();
        let _ = std::fs::remove_file(file);
        told.lines().map(str::to_owned).collect()
    }
}

#[test]
fn a_task_is_installed_started_stopped_and_taken_away() {
    if !is_wine() {
        return skipped("the tasks of a person's own Windows are left alone");
    }
    let sandbox = Sandbox::start();
    // Wine's own scheduler refuses, and that is said.
    let home = Home::new(&sandbox);
    let refused = exits(&home, 1, &["service", "install"]);
    let said = stderr(&refused);
    assert!(said.starts_with("error: the service does not start: schtasks.exe /Create"), "{said}");
    assert!(said.contains("\n  hint: "), "{said}");
    assert!(stdout(&exits(&home, 1, &["service", "status"])).contains("not installed"));
    exits(&home, 0, &["service", "uninstall"]);
    assert!(!task_file().exists());

    let Some(scheduler) = std::env::var_os(SCHEDULER) else {
        return skipped(".ci/platforms makes the stand-in for the scheduler");
    };
    let machine = Machine::new(&sandbox, &scheduler);
    let mut daemons = Vec::new();
    let mut run = |code, words: &[&str]| stdout(&machine.exits(code, words, &mut daemons));
    let info = |said: String| serde_json::from_str::<Value>(&said).unwrap()["pid"].clone();
    let by_itself = info(run(0, &["rpc", "info"]));
    let said = run(0, &["service", "install"]);
    let stopped = format!("stopped the daemon that ran without a service (process {by_itself})");
    assert!(said.contains(&stopped) && said.ends_with("the service runs\n"), "{said}");
    let name = tasks::name().unwrap();
    let file = task_file().display().to_string();
    let created = format!("/Create /TN {name} /XML {file} /F");
    let ran = format!("/Run /TN {name}");
    assert_eq!(machine.told(), [created, ran.clone()]);
    let xml = std::fs::read_to_string(task_file()).unwrap();
    let user = tasks::user().unwrap();
    assert_eq!(elements(&xml)["Task/Triggers/LogonTrigger/UserId"], user);
    assert!(user.starts_with("S-1-5-21-"), "{user}");
    let first = info(run(0, &["--no-spawn", "rpc", "info"]));
    assert!(run(0, &["service", "status"]).contains("running"));

    assert_eq!(run(0, &["service", "install"]), "everything was up to date\nthe service runs\n");
    run(0, &["service", "start"]);
    assert_eq!(machine.told(), [""; 0], "it runs");
    run(0, &["service", "restart"]);
    assert_ne!(info(run(0, &["--no-spawn", "rpc", "info"])), first);
    run(0, &["service", "stop"]);
    assert!(run(1, &["service", "status"]).contains("not running"));
    assert!(!run(0, &["service", "logs"]).is_empty(), "the task logs to files");
    run(0, &["service", "start"]);
    assert_eq!(machine.told(), [ran.clone(), ran]);
    let said = run(0, &["service", "uninstall"]);
    assert!(said.contains("task.xml"), "{said}");
    assert_eq!(machine.told(), [format!("/Delete /TN {name} /F")]);
    assert!(!task_file().exists());
    assert!(run(1, &["service", "status"]).contains("not installed"));
    assert_eq!(daemons.len(), 3);
    for mut daemon in daemons {
        assert!(ended(&mut daemon).success(), "each was asked to stop, and did so in order");
    }
}

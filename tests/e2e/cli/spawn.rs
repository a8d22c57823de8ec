//! Client verbs that start the daemon where none runs.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::exits;
use crate::support::{Home, Sandbox, ended, eventually, stderr, stdout};

/// A home whose daemon, if one was started there, is ended with the test.
struct Spawned(Home);

impl Drop for Spawned {
    fn drop(&mut self) {
        let output = self.0.command(&["--no-spawn", "rpc", "shutdown"]).output().unwrap();
        if output.status.success() {
            // It is no child of ours, but it holds its lock to its end.
            let lock = fs::File::open(self.0.data().join("valetkey.lock")).unwrap();
            eventually("it ends", || lock.try_lock().ok());
        }
    }
}

fn logged(home: &Home) -> String {
    let files = fs::read_dir(home.state().join("log")).unwrap();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn many_clients_at_once_start_one_daemon_that_outlives_them() {
    let sandbox = Sandbox::start();
    let spawned = Spawned(Home::new(&sandbox));
    let home = &spawned.0;
    let clients: Vec<Child> = (0..8)
        .map(|_| home.command(&["rpc", "info"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let answers: Vec<Value> = clients
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            serde_json::from_slice(&output.stdout).unwrap()
        })
        .collect();
    assert!(answers.iter().all(|answer| answer["pid"] == answers[0]["pid"]), "{answers:?}");
    let later: Value = serde_json::from_str(&stdout(&exits(home, 0, &["rpc", "info"]))).unwrap();
    assert_eq!(later["pid"], answers[0]["pid"]);
    let log = eventually("it is logged", || Some(logged(home)).filter(|log| log.contains("ready")));
    assert_eq!(log.matches(" ready ").count(), 1, "{log}");
}

#[test]
fn the_first_verb_needs_no_daemon_and_the_flag_forbids_to_start_one() {
    let sandbox = Sandbox::start();
    let spawned = Spawned(Home::new(&sandbox));
    let home = &spawned.0;
    let refused = exits(home, 4, &["--no-spawn", "status"]);
    super::is_sentence_and_hint(&refused);
    assert!(!home.data().exists(), "nothing was begun");
    let status = exits(home, 3, &["status", "--json"]);
    assert_eq!(stderr(&status), "");
    assert_eq!(serde_json::from_str::<Value>(&stdout(&status)).unwrap()["state"], "signed_out");
}

#[test]
fn a_daemon_that_cannot_start_says_why_through_the_verb() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox).and_config("[daemon]\nmax_clients = \"many\"");
    let output = exits(&home, 4, &["token"]);
    let said = stderr(&output);
    assert!(said.contains("the daemon did not start") && said.contains("max_clients"), "{said}");
    assert!(said.contains("config.toml:"), "{said}");
    assert!(said.contains("valetkey serve"), "{said}");
}

// There are no sessions elsewhere.
#[cfg(unix)]
#[test]
fn a_started_daemon_is_not_ended_with_the_terminal_that_started_it() {
    let sandbox = Sandbox::start();
    let spawned = Spawned(Home::new(&sandbox));
    let home = &spawned.0;
    let info: Value = serde_json::from_str(&stdout(&exits(home, 0, &["rpc", "info"]))).unwrap();
    let pid = rustix::process::Pid::from_raw(info["pid"].as_i64().unwrap().try_into().unwrap());
    // It leads a session of its own: no hang-up and no Ctrl-C of ours reaches it.
    assert_eq!(rustix::process::getsid(pid).unwrap(), pid.unwrap());
}

#[test]
fn the_sandbox_and_a_daemon_need_nothing_but_the_program() {
    use std::io::{BufRead as _, BufReader};

    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let mut command = home.command(&["sandbox", "--port", "0", "--json", "--approve"]);
    let mut stand_in = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(stand_in.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let told: Value = serde_json::from_str(&line).unwrap();
    home.write_config(&format!(
        "default_vendor = \"play\"\n[vendors.play]\nkind = \"sandbox\"\nissuer = {}\n",
        told["issuer"]
    ));
    let spawned = Spawned(home);
    // Its device interval is the real one's, so this takes five seconds.
    let login = exits(&spawned.0, 0, &["login", "--device", "--yes"]);
    assert!(stdout(&login).contains("Signed in as pat@example.test"));
    assert!(stderr(&login).contains("This is the sandbox"));
    exits(&spawned.0, 0, &["token"]);
    stand_in.kill().unwrap();
    ended(&mut stand_in);
}

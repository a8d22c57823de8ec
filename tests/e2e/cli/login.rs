//! `valetkey login`: what is shown, what is asked, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::json;

use super::exits;
use crate::support::{
    Daemon, ENDS_VERBS, Sandbox, ask_to_end, can_ask_to_end, ended, get, stderr, stdout,
};

/// A login under way in a process of its own.
struct Login {
    child: Child,
    shown: BufReader<ChildStderr>,
}

impl Login {
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let mut command = daemon.command(&[&["login", "--yes"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let shown = BufReader::new(child.stderr.take().unwrap());
        Self { child, shown }
    }

    /// The last word of the first line that has `mark` in it.
    #[track_caller]
    fn word_after(&mut self, mark: &str) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.shown.read_line(&mut line).unwrap(), 0, "no {mark:?} in:\n{all}");
            if line.contains(mark) {
                return line.split_whitespace().last().unwrap().to_owned();
            }
            all += &line;
        }
    }

    /// Exit code, standard output, and the rest of standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let status = ended(&mut self.child);
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.unwrap().read_to_string(&mut out).unwrap();
        self.shown.read_to_string(&mut err).unwrap();
        (status.code(), out, err)
    }
}

#[test]
fn a_code_is_shown_with_a_warning_and_the_login_ends_when_it_was_typed() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut login = Login::start(&daemon, &["--device"]);
    let code = login.word_after("type the code");
    sandbox.approve_code(&code);
    let (exit, out, err) = login.end();
    assert_eq!(exit, Some(0), "{err}");
    assert!(out.contains("Signed in as pat@example.test (plus)."), "{out}");
    assert!(err.contains("Never share this code"), "{err}");
    let again = exits(&daemon, 0, &["login"]);
    assert!(stderr(&again).contains("Already signed in as pat@example.test"), "{}", stderr(&again));
    assert_eq!(sandbox.stat("code_exchanges"), 1);
}

#[test]
fn an_address_is_shown_and_the_login_ends_when_the_browser_came_back() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for (force, approve, code) in [(false, true, 0), (true, true, 0), (true, false, 1)] {
        let arguments: &[&str] =
            if force { &["--no-browser", "--force"] } else { &["--no-browser"] };
        let mut login = Login::start(&daemon, arguments);
        let address = login.word_after("/oauth/authorize?");
        get(&sandbox.decide_in_browser(&address, approve));
        let (exit, out, err) = login.end();
        assert_eq!(exit, Some(code), "{out}{err}");
        assert_eq!(out.contains("Signed in as pat@example.test"), approve, "{out}");
        assert_eq!(err.contains("error: "), !approve, "{err}");
    }
    assert_eq!(daemon.status()["connected"], true, "a refusal costs nothing");
}

#[test]
fn ctrl_c_cancels_the_login_and_makes_the_code_worthless() {
    if !can_ask_to_end("ctrl_c_cancels_the_login_and_makes_the_code_worthless") {
        return;
    }
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for way in ENDS_VERBS {
        let mut login = Login::start(&daemon, &["--device"]);
        let code = login.word_after("type the code");
        ask_to_end(&login.child, *way);
        let (exit, out, err) = login.end();
        assert_eq!((exit, out.as_str()), (Some(130), ""), "{err}");
        assert!(err.contains("the login was cancelled"), "{err}");
        sandbox.approve_code(&code);
        let trail = daemon.ok("audit.tail", json!({"limit": 1}));
        assert_eq!(trail["entries"][0]["method"], "login.cancel", "{trail}");
        assert_eq!(trail["entries"][0]["outcome"], "ok");
    }
    assert_eq!(daemon.status()["state"], "signed_out");
    assert_eq!(sandbox.stat("code_exchanges"), 0);
}

#[test]
fn without_a_terminal_and_without_an_earlier_yes_nothing_begins() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let output = exits(&daemon, 2, &["login", "--device"]);
    let said = stderr(&output);
    assert_eq!(stdout(&output), "");
    assert!(said.contains("Terms of Use") && said.contains("--yes"), "{said}");
    assert_eq!(sandbox.requests("device_code"), 0);
    // A yes that was given once is enough.
    daemon.sign_in(&sandbox);
    daemon.ok("logout", json!({}));
    let mut login = Command::new(env!("CARGO_BIN_EXE_valetkey"));
    daemon.furnish(&mut login);
    login.args(["login", "--device"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = login.spawn().unwrap();
    let shown = BufReader::new(child.stderr.take().unwrap());
    let mut login = Login { child, shown };
    sandbox.approve_code(&login.word_after("type the code"));
    assert!(ended(&mut login.child).success());
}

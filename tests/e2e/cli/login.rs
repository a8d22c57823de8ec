//! `valetkey login`: what is shown, what is asked, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStderr, Command, Stdio};

#[cfg(unix)]
use rustix::process::Signal;
use serde_json::{Value, json};

use super::exits;
#[cfg(unix)]
use crate::support::{signal, skipped};
use crate::support::{Daemon, Sandbox, ended, get, stderr, stdout};

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

#[cfg(unix)]
#[test]
fn ctrl_c_cancels_the_login_and_makes_the_code_worthless() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for which in [Signal::INT, Signal::TERM] {
        let mut login = Login::start(&daemon, &["--device"]);
        let code = login.word_after("type the code");
        signal(&login.child, which);
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

#[cfg(unix)]
#[test]
fn on_a_terminal_the_person_is_asked_and_a_plain_yes_is_remembered() {
    if Command::new("script").arg("--version").output().is_err() {
        return skipped("there is no `script` to make a terminal with");
    }
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let ask = |typed: &str| {
        let mut command = Command::new("script");
        daemon.furnish(&mut command);
        let line = format!("{} login --device", env!("CARGO_BIN_EXE_valetkey"));
        command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut typing = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut typing, typed.as_bytes()).unwrap();
        (child, typing)
    };
    let (mut child, typing) = ask("n\n");
    let refused = ended(&mut child);
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert_eq!(refused.code(), Some(1), "{shown}");
    assert!(shown.contains("Terms of Use") && shown.contains("Continue and accept?"), "{shown}");
    assert_eq!(sandbox.requests("device_code"), 0);
    drop(typing);

    let (mut child, _typing) = ask("yes\n");
    sandbox.wait("on=device_code&answered=1");
    let mut shown = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    let code = loop {
        let mut line = String::new();
        assert_ne!(shown.read_line(&mut line).unwrap(), 0, "no code in:\n{seen}");
        seen += &line;
        if let Some(rest) = line.split("type the code").nth(1) {
            break code_in(rest);
        }
    };
    assert!(seen.contains('▀') || seen.contains('▄'), "no picture to scan:\n{seen}");
    sandbox.approve_code(&code);
    std::io::copy(&mut shown, &mut std::io::sink()).ok();
    assert!(ended(&mut child).success());
    let status: Value = daemon.status();
    assert_eq!(status["connected"], true);
}

/// The code among the colours.
#[cfg(unix)]
fn code_in(text: &str) -> String {
    let is_code = |word: &&str| {
        word.len() == 10
            && word.as_bytes()[4] == b'-'
            && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_uppercase())
    };
    let words = text.split(|c: char| c.is_whitespace() || c == '\u{1b}' || c == 'm');
    words.into_iter().find(is_code).unwrap_or_else(|| panic!("no code in {text:?}")).to_owned()
}

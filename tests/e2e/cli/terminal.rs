//! What a person sees at a terminal, which `script` makes.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use serde_json::Value;

use super::ask::{doing, response};
use crate::support::{Daemon, Sandbox, ended, skipped};

#[test]
fn on_a_terminal_something_moves_while_the_model_thinks_and_no_answer_drives_it() {
    if Command::new("script").arg("--version").output().is_err() {
        return skipped("there is no `script` to make a terminal with");
    }
    let (go_on, told) = mpsc::channel::<()>();
    let told = Arc::new(Mutex::new(told));
    let fake = doing(move |call, talk| {
        told.lock().unwrap().recv().unwrap();
        talk.text(call, "be\u{1b}]0;evil\u{7}fore");
        talk.answer(call, &response(""));
    });
    let mut command = Command::new("script");
    fake.furnish(&mut command);
    let line = format!("{} ask -m m hi", env!("CARGO_BIN_EXE_valetkey"));
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut go_on = Some(go_on);
    let mut chunk = [0; 1024];
    loop {
        let count = out.read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        shown.extend_from_slice(&chunk[..count]);
        if String::from_utf8_lossy(&shown).contains("waiting for the model, 1 s")
            && let Some(go_on) = go_on.take()
        {
            go_on.send(()).unwrap();
        }
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(go_on.is_none(), "no spinner in {shown:?}");
    assert!(shown.ends_with("be]0;evilfore\r\n"), "{shown:?}");
    assert_eq!(ended(&mut child).code(), Some(0));
}

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
fn code_in(text: &str) -> String {
    let is_code = |word: &&str| {
        word.len() == 10
            && word.as_bytes()[4] == b'-'
            && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_uppercase())
    };
    let words = text.split(|c: char| c.is_whitespace() || c == '\u{1b}' || c == 'm');
    words.into_iter().find(is_code).unwrap_or_else(|| panic!("no code in {text:?}")).to_owned()
}

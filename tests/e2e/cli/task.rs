//! The service on Windows: the task's file as the scheduler would read it, and what the scheduler is told.

use std::collections::BTreeMap;
#[cfg(not(windows))]
use std::path::Path;

#[cfg(not(windows))]
use crate::support::{Home, stderr, stdout};

/// The elements of an XML file that hold text, by their way from the root. What is not well-formed ends the test.
fn elements(xml: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\"?>").expect("XML without an encoding");
    while let Some((text, after)) = rest.split_once('<') {
        if !text.trim().is_empty() {
            assert!(found.insert(open.join("/"), text.to_owned()).is_none(), "twice: {open:?}");
        }
        if let Some(comment) = after.strip_prefix("!--") {
            let (comment, after) = comment.split_once("-->").unwrap();
            assert!(!comment.contains("--"), "{comment}");
            rest = after;
            continue;
        }
        let (tag, after) = after.split_once('>').unwrap();
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None => open.push(tag.split(' ').next().unwrap()),
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest}");
    found
}

#[cfg(not(windows))]
#[test]
fn the_task_of_windows_is_written_where_it_is_only_to_be_looked_at() {
    let home = Home::with_config("");
    let person = home.path().join("Zoë & <Ada>");
    std::fs::create_dir(&person).unwrap();
    let run = |verb: &[&str]| {
        let mut command = home.command(&[&["service"], verb, &["--platform", "windows"]].concat());
        let output = command.env("HOME", &person).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let output = run(&["install", "--allow-root"]);
    assert!(stderr(&output).contains("nothing was loaded"), "{}", stderr(&output));
    let file = person.join("AppData/Local/valetkey/service/task.xml");
    let xml = std::fs::read_to_string(&file).unwrap();
    assert!(xml.is_ascii(), "schtasks.exe would take it for the old code page: {xml}");
    let elements = elements(&xml);
    let has = |way: &str, text: &str| assert_eq!(elements[&format!("Task/{way}")], text, "{way}");
    // For the sign-in of one person, as that person, with no more rights than they have.
    has("Triggers/LogonTrigger/UserId", "Zo&#235; &amp; &lt;Ada&gt;");
    has("Principals/Principal/UserId", "Zo&#235; &amp; &lt;Ada&gt;");
    has("Principals/Principal/LogonType", "InteractiveToken");
    has("Principals/Principal/RunLevel", "LeastPrivilege");
    has("Settings/MultipleInstancesPolicy", "IgnoreNew");
    has("Settings/ExecutionTimeLimit", "PT0S");
    has("Settings/DisallowStartIfOnBatteries", "false");
    has("Settings/StopIfGoingOnBatteries", "false");
    has("Settings/StartWhenAvailable", "true");
    has("Settings/Hidden", "true");
    has("Settings/RestartOnFailure/Interval", "PT1M");
    has("Settings/RestartOnFailure/Count", "3");
    has("Actions/Exec/Command", r"%SystemRoot%\System32\conhost.exe");
    let program = Path::new(env!("CARGO_BIN_EXE_valetkey")).display();
    has("Actions/Exec/Arguments", &format!("--headless \"{program}\" serve --detach"));
    assert_eq!(stdout(&run(&["install", "--allow-root"])), "", "a second time changes nothing");
    let output = run(&["uninstall"]);
    assert!(stdout(&output).contains("task.xml"), "{}", stdout(&output));
    assert!(!file.parent().unwrap().exists(), "an empty folder goes");
}

#[cfg(windows)]
mod wine;

//! `valetkey doctor` on machines with one thing wrong each: what it says, what repairs it, how it exits.

// Sockets that are files, modes and signals.
#[cfg(unix)]
mod daemon;
// Windows tells a program where home is, whatever its environment says.
#[cfg(unix)]
mod home;
mod machine;
// With the stand-in for systemd.
#[cfg(target_os = "linux")]
mod service;
mod vendors;

use std::process::Output;

use serde_json::{Value, json};

use super::exits;
use crate::support::{Daemon, Home, Sandbox, get, stderr, stdout};

/// One line of the report, with what it was wrapped into.
#[derive(Debug)]
struct Line {
    sign: char,
    name: String,
    message: String,
    fix: Option<String>,
}

/// A report, read back from what a person sees.
#[derive(Debug)]
struct Report {
    text: String,
    lines: Vec<Line>,
}

impl Report {
    /// Runs it where it must exit with this code.
    #[track_caller]
    fn of(home: &Home, code: i32) -> Self {
        Self::read(&exits(home, code, &["doctor"]))
    }

    fn read(output: &Output) -> Self {
        let text = stdout(output);
        assert_eq!(stderr(output), "", "all that is said is the report");
        let mut lines: Vec<Line> = Vec::new();
        // The last line sums up.
        for line in text.lines().filter(|line| line.starts_with("  ")) {
            let (margin, rest) = line.split_at_checked(14).unwrap_or((line, ""));
            match lines.last_mut().filter(|_| margin.trim().is_empty()) {
                Some(last) => match rest.strip_prefix("fix: ") {
                    Some(fix) => last.fix = Some(fix.to_owned()),
                    None => last.message = format!("{} {rest}", last.message),
                },
                None => lines.push(Self::first(line)),
            }
        }
        Self { text, lines }
    }

    fn first(line: &str) -> Line {
        let mut words = line.trim_start().splitn(2, ' ');
        let sign = words.next().and_then(|sign| sign.chars().next()).unwrap();
        let (name, message) = words.next().unwrap().split_once(' ').unwrap();
        let (name, message) = (name.to_owned(), message.trim_start().to_owned());
        Line { sign, name, message, fix: None }
    }

    /// The first line of that name and sign.
    #[track_caller]
    fn line(&self, sign: char, name: &str) -> &Line {
        let mut found = self.lines.iter().filter(|line| (line.sign, &*line.name) == (sign, name));
        found.next().unwrap_or_else(|| panic!("no {sign} {name}:\n{}", self.text))
    }

    /// Holds it to a line with these words in it and this command under it.
    #[track_caller]
    fn says(&self, sign: char, name: &str, words: &str, fix: &str) {
        let line = self.line(sign, name);
        assert!(line.message.contains(words), "{words:?} is not in {line:?}");
        assert_eq!(line.fix.as_deref(), Some(fix), "{line:?}");
    }

    /// Holds it to nothing being wrong but in checks of these names.
    #[track_caller]
    fn nothing_but(&self, names: &[&str]) {
        let odd = |line: &&Line| matches!(line.sign, '!' | '✗') && !names.contains(&&*line.name);
        let odd: Vec<&Line> = self.lines.iter().filter(odd).collect();
        assert!(odd.is_empty(), "{odd:#?}");
    }
}

/// A daemon with a login, on which all is well.
fn healthy(sandbox: &Sandbox) -> Daemon {
    let daemon = Daemon::of(sandbox);
    daemon.sign_in(sandbox);
    daemon
}

/// Fails the refresh that is forced, so that what is wrong shows in the status.
fn refuse_refresh(sandbox: &Sandbox, daemon: &Daemon, status: u16, code: &str, message: &str) {
    let body = json!({"error": {"code": code, "message": message}});
    sandbox.fault(json!({"on": "refresh", "times": 0, "status": status, "body": body}));
    let held = daemon.token()["generation"].clone();
    // Lent as it is, or refused: both are looked at in the report.
    let _ = daemon.call("token", json!({"rejected": held}));
}

#[test]
fn a_healthy_machine_is_all_well() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let report = Report::of(&daemon, 0);
    report.nothing_but(&[]);
    // What the machine of a test has not.
    let skipped = report.lines.iter().filter(|line| line.sign == '–');
    assert!(skipped.into_iter().all(|line| line.name == "service"), "{}", report.text);
    let fine = [
        "daemon", "version", "socket", "lock", "files", "config", "hooks", "clock", "issuer",
        "api", "login", "refresh", "callback", "door", "owners", "disk",
    ];
    for name in fine {
        assert_eq!(report.line('✓', name).fix, None);
    }
    let pid = daemon.pid();
    assert!(report.line('✓', "daemon").message.starts_with(&format!("process {pid} answers")));
    assert!(report.line('✓', "login").message.starts_with("sandbox/default lends"));
    assert!(report.text.lines().last().unwrap().starts_with("All is well: "), "{}", report.text);
    assert!(report.text.lines().all(|line| line.chars().count() <= 80), "{}", report.text);
    assert!(!report.text.contains('\u{1b}'), "colours in a pipe: {:?}", report.text);
}

#[test]
fn programs_get_the_same_as_json_and_old_terminals_as_ascii() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let output = exits(&daemon, 0, &["doctor", "--json"]);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["ok"], true);
    let checks = told["checks"].as_array().unwrap();
    assert_eq!(checks.len(), Report::of(&daemon, 0).lines.len());
    for check in checks {
        let members: Vec<&String> = check.as_object().unwrap().keys().collect();
        assert_eq!(members, ["fix", "message", "name", "verdict"]);
        assert!(matches!(check["verdict"].as_str(), Some("ok" | "skip")), "{check}");
        assert_eq!(check["fix"], Value::Null);
    }
    let plain = daemon.command(&["doctor"]).env("LC_ALL", "C").output().unwrap();
    assert!(plain.stdout.is_ascii(), "{}", stdout(&plain));
    sandbox.lever("revoke_family", &json!({}));
    refuse_refresh(&sandbox, &daemon, 400, "refresh_token_invalidated", "no");
    let output = exits(&daemon, 1, &["doctor", "--json"]);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(told["ok"], false);
    let login = told["checks"].as_array().unwrap().iter().find(|check| check["name"] == "login");
    let login = login.unwrap();
    assert_eq!(login["verdict"], "fail");
    assert_eq!(login["fix"], "valetkey login --vendor sandbox --account default");
}

#[test]
fn nothing_in_a_report_is_secret_or_says_whose_it_is() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let status = daemon.status();
    let access = daemon.token()["access_token"].as_str().unwrap().to_owned();
    let kept = std::fs::read_to_string(daemon.credential("default")).unwrap();
    let refresh = kept.split('"').find(|word| word.starts_with("rt_")).unwrap().to_owned();
    let email = status["account_email"].as_str().unwrap();
    let account = status["account_id"].as_str().unwrap();
    // The issuer repeats all of it where it refuses.
    let words = format!("{account} of <{email}>, or pat.two@example.test, sent {access} {refresh}");
    refuse_refresh(&sandbox, &daemon, 503, "busy", &words);
    let mut told = Vec::new();
    told.push(Report::of(&daemon, 0).text);
    told.push(stdout(&exits(&daemon, 0, &["doctor", "--json"])));
    sandbox.clear_faults();
    refuse_refresh(&sandbox, &daemon, 401, "refresh_token_expired", &words);
    told.push(Report::of(&daemon, 1).text);
    told.push(stdout(&exits(&daemon, 1, &["doctor", "--json"])));
    for text in told {
        assert!(text.contains("sandbox/default"), "an account goes by its name: {text}");
        for secret in [&*access, &refresh, email, account, "pat.two@example.test"] {
            assert!(!text.contains(&secret[..secret.len() / 2]), "{secret} shows in {text}");
        }
    }
}

// Windows tells a program where home is, whatever its environment says.
#[cfg(unix)]
#[test]
fn the_home_directory_is_abbreviated_and_need_not_be_told() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let (inner, config) = (home.path().join("home"), home.path().join("home/.config/valetkey"));
    std::fs::create_dir_all(&config).unwrap();
    std::fs::copy(home.config(), config.join("config.toml")).unwrap();
    let mut command = home.command(&["doctor"]);
    command.env_clear().env("HOME", &inner);
    let report = Report::read(&command.output().unwrap());
    if cfg!(target_os = "linux") {
        let line = report.line('✓', "config");
        assert_eq!(line.message, "~/.config/valetkey/config.toml is in order");
    }
    assert!(!report.text.contains(inner.to_str().unwrap()), "{}", report.text);
    // Without one all has to be found by the other variables; nothing is the worse for it.
    let mut command = home.command(&["doctor"]);
    command.env_remove("HOME");
    let report = Report::read(&command.output().unwrap());
    report.line('✓', "config");
    report.line('✓', "issuer");
}

#[test]
fn looking_changes_nothing_and_starts_nothing() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let report = Report::of(&home, 0);
    report.says('!', "daemon", "none runs", "valetkey status");
    report.nothing_but(&["daemon"]);
    for name in ["version", "socket", "login", "refresh"] {
        report.line('–', name);
    }
    assert!(
        report.line('✓', "files").message.contains("files and folders of ours are yours alone")
    );
    assert!(!home.data().exists() && !home.state().exists() && !home.socket().exists());
    assert_eq!(get(&format!("{}/_sandbox/stats", sandbox.url())).json()["refresh_requests"], 0);
    exits(&home, 4, &["--no-spawn", "status"]);
}

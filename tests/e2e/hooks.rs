//! The person's own commands: each run when it should be, and never in anybody's way.

use std::fs;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::*;

/// What a command may find in its environment, beside what a shell adds by itself.
const KNOWN: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "PWD",
    "_",
    // What Windows' programs and its shell cannot do without.
    "ComSpec",
    "PATHEXT",
    "PROMPT",
    "SystemRoot",
    "SystemDrive",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
];

/// A home with commands that write their environment into files of this name.
fn telling(sandbox: &Sandbox, hooks: &[&str]) -> Home {
    let home = Home::new(sandbox);
    let section = hooks_section(&home, hooks);
    home.and_config(&section)
}

fn hooks_section(home: &Home, hooks: &[&str]) -> String {
    let mut section = "[hooks]\n".to_owned();
    for hook in hooks {
        let file = home.path().join(format!("told-{hook}"));
        let words = telling_into(home, &file.display().to_string()).join("', '");
        section += &format!("{hook} = ['{words}']\n");
    }
    section
}

/// A command that writes its environment into a file of this name and a number of its own, which appears at
/// once with all that belongs into it.
#[cfg(unix)]
fn telling_into(_: &Home, file: &str) -> Vec<String> {
    let script = format!("env > {file}.$$.new; mv {file}.$$.new {file}.$$");
    ["sh", "-c", &script].map(str::to_owned).to_vec()
}

/// A command that writes its environment into a file of this name and a number of its own, which appears at
/// once with all that belongs into it.
#[cfg(windows)]
fn telling_into(home: &Home, file: &str) -> Vec<String> {
    const SCRIPT: &str = "@echo off\r\nset > %1.new\r\nset n=0\r\n:next\r\nset /a n=n+1\r\n\
        if exist %1.%n% goto next\r\nmove %1.new %1.%n%\r\n";
    let script = home.path().join("tell.bat");
    fs::write(&script, SCRIPT).unwrap();
    ["cmd", "/d", "/c", script.to_str().unwrap(), file].map(str::to_owned).to_vec()
}

/// What this command was told, each time.
fn told(home: &Home, hook: &str) -> Vec<Vec<(String, String)>> {
    let files = fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path());
    let ours = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("told-{hook}.")) && !name.ends_with(".new")
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let pair = |line: &str| line.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.lines().filter_map(pair).collect()
    };
    files.filter(ours).map(read).collect()
}

/// Waits until a command was told something for the so-manieth time; gives the variables of each.
#[track_caller]
fn wait_told(home: &Home, hook: &str, times: usize) -> Vec<Vec<(String, String)>> {
    let what = format!("{hook} is run {times} times");
    let told = eventually(&what, || Some(told(home, hook)).filter(|told| told.len() >= times));
    assert_eq!(told.len(), times, "{hook}");
    told
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> &'a str {
    let known = variables.iter().find(|(known, _)| known == name);
    known.map(|(_, value)| value.as_str()).unwrap_or_default()
}

/// The token is reported as refused by the API, and so renewed.
#[track_caller]
fn renew(daemon: &Daemon) -> Value {
    let generation = daemon.token()["generation"].clone();
    daemon.ok("token", json!({"rejected": generation}))
}

/// The issuer refuses the refresh token for good.
#[track_caller]
fn end_the_login(sandbox: &Sandbox, daemon: &Daemon) {
    sandbox.fault(json!({"on": "refresh", "status": 400, "body": {"error": "invalid_grant"}}));
    let generation = daemon.token()["generation"].clone();
    // A token that still lives is lent on, or the call fails; what counts is what the issuer said.
    let _ = daemon.call("token", json!({"rejected": generation}));
    assert_eq!(daemon.status()["state"], "login_required");
}

/// A completion that meets a limit with this end, in seconds since the epoch.
#[track_caller]
fn meet_limit(sandbox: &Sandbox, daemon: &Daemon, resets_at: u64) {
    let error = json!({"type": "usage_limit_reached", "message": "The usage limit has been reached",
        "plan_type": "plus", "resets_at": resets_at});
    sandbox.fault(json!({"on": "responses", "status": 429, "body": {"error": error}}));
    let model = daemon.ok("models", json!({}))["models"][0].clone();
    let model = model["id"].as_str().or(model.as_str()).unwrap().to_owned();
    let error = daemon.err("responses.create", json!({"model": model, "input": "hi"}));
    assert_eq!(error["data"]["kind"], "usage_limit", "{error}");
}

#[test]
fn each_thing_that_happens_is_told_once_with_what_is_known_and_without_a_secret() {
    let sandbox = Sandbox::start();
    let hooks = ["on_login_required", "on_limit", "on_refresh"];
    let home = telling(&sandbox, &hooks).and_env("OPENAI_API_KEY", "canary");
    let daemon = home.serve();
    daemon.sign_in(&sandbox);
    let mut tokens = vec![daemon.token()["access_token"].as_str().unwrap().to_owned()];

    tokens.push(renew(&daemon)["access_token"].as_str().unwrap().to_owned());
    let refreshed = wait_told(&daemon, "on_refresh", 1);
    assert_eq!(value(&refreshed[0], "VALETKEY_EVENT"), "refresh");
    assert_eq!(value(&refreshed[0], "VALETKEY_STATE"), "active");
    assert_eq!(value(&refreshed[0], "VALETKEY_VENDOR"), "sandbox");
    // A command that calls `valetkey` reaches this daemon, and starts no other.
    assert_eq!(value(&refreshed[0], "VALETKEY_SOCKET"), daemon.ok("info", json!({}))["socket"]);
    assert_eq!(value(&refreshed[0], "VALETKEY_NO_SPAWN"), "1");

    for _ in 0..3 {
        meet_limit(&sandbox, &daemon, 1_999_999_999);
    }
    let limits = wait_told(&daemon, "on_limit", 1);
    assert_eq!(value(&limits[0], "VALETKEY_EVENT"), "limit");
    assert_eq!(value(&limits[0], "VALETKEY_RESETS_AT"), "1999999999000");
    assert_eq!(value(&limits[0], "VALETKEY_PLAN"), "plus");
    assert!(value(&limits[0], "VALETKEY_MESSAGE").contains("is lifted in"));

    end_the_login(&sandbox, &daemon);
    let ended = wait_told(&daemon, "on_login_required", 1);
    assert_eq!(value(&ended[0], "VALETKEY_STATE"), "login_required");
    assert_eq!(value(&ended[0], "VALETKEY_REASON"), "invalid_grant");
    assert_eq!(value(&ended[0], "VALETKEY_ACCOUNT"), "default");
    assert!(value(&ended[0], "VALETKEY_MESSAGE").ends_with("Sign in again: valetkey login"));

    // A second limit comes through the same queue as repeats of the first would have.
    daemon.sign_in(&sandbox);
    meet_limit(&sandbox, &daemon, 2_000_999_999);
    wait_told(&daemon, "on_limit", 2);
    for hook in hooks {
        for variables in told(&daemon, hook) {
            for (name, value) in &variables {
                let known = KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name));
                // Wine tells every program where its own files are.
                let wines = cfg!(windows) && name.starts_with("WINE");
                let known = known || wines || name.starts_with("VALETKEY_");
                assert!(known, "{name}={value}");
                assert!(!tokens.iter().any(|token| value.contains(token.as_str())), "{name}");
            }
        }
    }
    assert_eq!(told(&daemon, "on_refresh").len(), 1, "a sign-in is no refresh");
    assert_eq!(told(&daemon, "on_login_required").len(), 1);
}

// What hangs is a script that Windows' shell cannot be made to run.
#[cfg(unix)]
#[test]
fn a_command_that_hangs_delays_nothing_and_a_hundred_events_do_not_pile_up() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let pids = home.path().join("pids");
    let script = format!("sleep 600 & echo $! $$ >> {}; wait", pids.display());
    let mut daemon =
        home.and_config(&format!("[hooks]\non_limit = [\"sh\", \"-c\", \"{script}\"]")).serve();
    daemon.sign_in(&sandbox);
    for n in 0..100 {
        meet_limit(&sandbox, &daemon, 1_999_999_999 + 1000 * n);
    }
    let running = eventually("one runs", || {
        fs::read_to_string(&pids).ok().filter(|text| text.split_whitespace().count() >= 2)
    });
    let left_out = "more happens than this command can tell of";
    eventually("it is said", || daemon.log().contains(left_out).then_some(()));
    assert_eq!(daemon.log().matches(left_out).count(), 1);
    assert_eq!(daemon.token()["generation"], 1, "lending goes on");
    let begun = Instant::now();
    assert_eq!(daemon.stop().code(), Some(0), "{}", daemon.log());
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    for pid in running.split_whitespace() {
        eventually("it is killed with all that it started", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z")).then_some(())
        });
    }
    assert_eq!(fs::read_to_string(&pids).unwrap(), running, "one at a time, and none at the end");
}

#[test]
fn a_missing_program_is_one_warning_and_a_failing_one_says_so() {
    let sandbox = Sandbox::start();
    let (failing, status) = if cfg!(windows) {
        (r#""cmd", "/d", "/c", "echo oh dear&exit 7""#, "exit code: 7")
    } else {
        (r#""sh", "-c", "echo oh dear; exit 7""#, "exit status: 7")
    };
    let hooks = format!("[hooks]\non_refresh = [\"/nonexistent/hook\"]\non_limit = [{failing}]");
    let daemon = Home::new(&sandbox).and_config(&hooks).serve();
    daemon.sign_in(&sandbox);
    for _ in 0..3 {
        renew(&daemon);
    }
    meet_limit(&sandbox, &daemon, 1_999_999_999);
    eventually("the failure is logged", || {
        let log = daemon.log();
        (log.contains(status) && log.contains("oh dear")).then_some(())
    });
    eventually("the missing one is logged", || {
        daemon.log().contains("/nonexistent/hook").then_some(())
    });
    assert_eq!(daemon.log().matches("cannot be run").count(), 1, "{}", daemon.log());
    assert_eq!(daemon.token()["generation"], 4);
}

#[test]
fn a_reload_puts_commands_in_force_and_a_login_that_stays_ended_is_told_once_a_run() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    end_the_login(&sandbox, &daemon);
    let section = hooks_section(&daemon, &["on_login_required"]);
    daemon.write_config(&format!("{}\n{section}", Home::config_for(&sandbox)));
    daemon.ok("reload", json!({}));
    wait_told(&daemon, "on_login_required", 1);
    daemon.ok("reload", json!({}));
    daemon.restart();
    wait_told(&daemon, "on_login_required", 2);
    // Taken out again: nothing is run from then on.
    daemon.write_config(&Home::config_for(&sandbox));
    daemon.ok("reload", json!({}));
    daemon.sign_in(&sandbox);
    end_the_login(&sandbox, &daemon);
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(told(&daemon, "on_login_required").len(), 2);
    assert!(!daemon.log().contains("does nothing with it yet"));
}

//! One healthy machine, and each way in which it can be less than that.

#![allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]

use std::time::Duration;

use serde_json::{Value, json};

use super::super::discreet::Home;
use super::super::facts::{
    Answering, Daemon, Disk, Facts, Files, Half, Hook, Lock, Looked, Nowhere, Port, Reach, Role,
    Service, ServiceProgram, Socket, Untold, Use,
};
use super::{Finding, Verdict, judge};
use crate::cli::others::Other;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::platform::manager::ServiceState;
use crate::platform::paths::Paths;
use crate::platform::shell::Shell;
use crate::platform::vitals::{Access, Entry, Holder, Kind, Space};
use crate::rpc::{ImportSource, Info, PROTOCOL, Status};
use crate::vendor::reach::Reached;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const ACCOUNT_ID: &str = "7c1d3f8e-5a0b";

fn entry(kind: Kind, mode: u32) -> Entry {
    Entry { kind, owner: Some(1000), mode: Some(mode), access: None, names: 1 }
}

fn looked(path: &str, role: Role, entry: Entry) -> Looked {
    Looked { path: path.into(), role, entry: Ok(entry) }
}

fn status(change: Value) -> Status {
    let mut status = json!({
        "vendor": "openai", "account": "default", "connected": true, "state": "active",
        "account_email": "pat@example.test", "account_id": ACCOUNT_ID, "plan": "plus",
        "expires_at": NOW.0 + 864_000_000, "refresh_at": NOW.0 + 600_000_000,
        "last_refresh_at": NOW.0 - 86_400_000, "last_error": null,
    });
    for (name, value) in change.as_object().unwrap() {
        status[name] = value.clone();
    }
    serde_json::from_value(status).unwrap()
}

fn answering() -> Answering {
    let info: Info = serde_json::from_value(json!({
        "name": "valetkey", "version": env!("CARGO_PKG_VERSION"), "protocol": PROTOCOL, "pid": 4711,
        "started_at": NOW.0 - 7_200_000, "uptime": 7200, "socket": "/run/user/1000/valetkey/valetkey.sock",
        "http": "127.0.0.1:8459", "vendors": ["openai"],
    }))
    .unwrap();
    Answering { info, exe: None, logins: Ok(vec![status(json!({}))]) }
}

fn reach(half: Half, host: &str, outcome: Result<Reached, String>) -> Reach {
    Reach { half, host: host.into(), outcome }
}

fn port(wanted_for: Use, number: u16) -> Port {
    Port { wanted_for, address: ([127, 0, 0, 1], number).into(), holder: None }
}

fn disk(bytes: u64, files: Option<u64>, read_only: bool) -> Disk {
    let space = Space { id: 1, bytes, files, read_only };
    let path = "/home/pat/.local/share/valetkey/credentials".into();
    Disk { what: "the credentials", path, space: Ok(Some(space)) }
}

fn service() -> Service {
    let state = ServiceState {
        file: "/home/pat/.config/systemd/user/valetkey.service".into(),
        enabled: true,
        active: true,
        state: "active (running)".into(),
        sandboxed: Some(true),
    };
    let path = "/home/pat/.local/bin/valetkey".into();
    let program = Some(ServiceProgram { path, runnable: true, ours: Some(true) });
    Service { manager: true, state: Some(state), lingers: Some(true), program }
}

/// A machine on which all is as it should be.
fn healthy() -> Facts {
    let home = "/home/pat";
    let config = "[http]\nlisten = \"127.0.0.1:8459\"";
    let date = Ok(Reached { status: 200, skew_millis: Some(0) });
    let refused = Ok(Reached { status: 401, skew_millis: Some(0) });
    Facts {
        now: NOW,
        system: "linux",
        shell: Shell::Posix,
        uid: Some(1000),
        home: Home::at(home),
        headless: true,
        places: Ok(Paths {
            config_file: format!("{home}/.config/valetkey/config.toml").into(),
            data_dir: format!("{home}/.local/share/valetkey").into(),
            state_dir: format!("{home}/.local/state/valetkey").into(),
            socket: "/run/user/1000/valetkey/valetkey.sock".into(),
        }),
        config: Ok(Config::parse(config, std::path::Path::new("c")).unwrap()),
        hooks: Vec::new(),
        daemon: Daemon::Answers(Box::new(answering())),
        files: Some(Files {
            socket: Some(Socket {
                path: "/run/user/1000/valetkey/valetkey.sock".into(),
                entry: Ok(Some(entry(Kind::Socket, 0o600))),
                folder: Ok(Some(entry(Kind::Folder, 0o700))),
            }),
            looked: vec![
                looked(
                    "/home/pat/.config/valetkey/config.toml",
                    Role::Trusted,
                    entry(Kind::File, 0o644),
                ),
                looked(
                    "/home/pat/.local/share/valetkey",
                    Role::Private,
                    entry(Kind::Folder, 0o700),
                ),
            ],
            disks: vec![disk(9 << 30, Some(100_000), false)],
            lock: None,
        }),
        reaches: vec![
            reach(Half::Issuer, "auth.openai.com", date),
            reach(Half::Api, "chatgpt.com", refused),
        ],
        ports: Some(vec![
            port(Use::Callback, 1455),
            port(Use::Callback, 1457),
            port(Use::Door, 8459),
        ]),
        service: Some(service()),
        others: Some(Vec::new()),
    }
}

fn findings(change: impl FnOnce(&mut Facts)) -> Vec<Finding> {
    let mut facts = healthy();
    change(&mut facts);
    judge(&facts).into_iter().flatten().collect()
}

/// Changes the healthy machine and expects one finding of that name and verdict; gives what it says and what
/// repairs it.
#[track_caller]
fn found(
    name: &str,
    verdict: Verdict,
    change: impl FnOnce(&mut Facts),
) -> (String, Option<String>) {
    let all = findings(change);
    let mut named = all.iter().filter(|finding| finding.name == name);
    let finding = named.next().unwrap_or_else(|| panic!("no {name}: {all:#?}"));
    assert_eq!(finding.verdict, verdict, "{finding:?}");
    (finding.message.clone(), finding.fix.clone())
}

/// As [`found`], for what has to be repaired.
#[track_caller]
fn fault(name: &str, verdict: Verdict, change: impl FnOnce(&mut Facts)) -> (String, String) {
    let (message, fix) = found(name, verdict, change);
    (message, fix.expect("a command"))
}

fn told(facts: &mut Facts) -> &mut Answering {
    match &mut facts.daemon {
        Daemon::Answers(told) => told,
        other => panic!("{other:?}"),
    }
}

fn login(facts: &mut Facts, change: Value) {
    told(facts).logins = Ok(vec![status(change)]);
}

fn no_daemon(facts: &mut Facts) {
    facts.daemon = Daemon::Absent { stale: false };
    let files = facts.files.as_mut().unwrap();
    files.lock = Some(Lock::Free);
    if let Some(socket) = &mut files.socket {
        socket.entry = Ok(None);
    }
}

fn files(facts: &mut Facts) -> &mut Files {
    facts.files.as_mut().unwrap()
}

#[cfg(unix)]
fn socket(facts: &mut Facts) -> &mut Socket {
    files(facts).socket.as_mut().unwrap()
}

/// The same machine where there are pipes and access lists.
fn on_windows(facts: &mut Facts) {
    (facts.system, facts.shell, facts.uid) = ("windows", Shell::PowerShell, None);
    facts.places.as_mut().unwrap().socket = r"\\.\pipe\valetkey-S-1-5-21-1-2-3-1001".into();
    let files = files(facts);
    files.socket = None;
    for looked in &mut files.looked {
        let entry = looked.entry.as_mut().unwrap();
        *entry = Entry { owner: None, mode: None, access: Some(Access::Own), ..*entry };
    }
}

#[test]
fn a_healthy_machine_is_all_well() {
    let all = findings(|_| {});
    assert!(all.iter().all(|finding| finding.verdict == Verdict::Ok), "{all:#?}");
    let names: Vec<&str> = all.iter().map(|finding| finding.name).collect();
    let order = [
        "daemon", "version", "socket", "lock", "files", "config", "hooks", "clock", "issuer",
        "api", "login", "refresh", "service", "unit", "sandbox", "linger", "callback", "door",
        "owners", "disk",
    ];
    assert_eq!(names, order);
}

#[test]
fn whatever_is_not_well_has_a_command_and_whatever_is_has_none() {
    let changes: [fn(&mut Facts); 6] = [
        |_| {},
        no_daemon,
        |facts| facts.config = Err("c:1:1: wrong".into()),
        |facts| facts.places = Err(Nowhere { name: "places", why: "x".into(), fix: "y".into() }),
        |facts| (facts.files, facts.ports, facts.service, facts.others) = (None, None, None, None),
        |facts| facts.reaches.clear(),
    ];
    for change in changes {
        for finding in findings(change) {
            let wrong = matches!(finding.verdict, Verdict::Warn | Verdict::Fail);
            assert_eq!(finding.fix.is_some(), wrong, "{finding:?}");
            assert!(!finding.message.is_empty() && !finding.message.ends_with('.'), "{finding:?}");
            assert!(finding.fix.is_none_or(|fix| !fix.contains('\n')));
        }
    }
}

#[test]
fn without_a_daemon_what_it_would_tell_is_skipped() {
    let (_, fix) = fault("daemon", Verdict::Warn, |facts| {
        no_daemon(facts);
        facts.service.as_mut().unwrap().state = None;
    });
    assert_eq!(fix, "valetkey status");
    let (_, fix) = fault("daemon", Verdict::Fail, no_daemon);
    assert_eq!(fix, "valetkey service start");
    for name in ["version", "socket", "login", "refresh", "door"] {
        found(name, Verdict::Skip, no_daemon);
    }
    assert_eq!(found("lock", Verdict::Ok, no_daemon).0, "nobody holds it");
}

#[test]
fn a_daemon_that_is_not_ours_or_does_not_speak() {
    let (what, _) = fault("daemon", Verdict::Fail, |f| f.daemon = Daemon::Foreign(Some(0)));
    assert!(what.contains("user 0"), "{what}");
    let silent = |facts: &mut Facts| {
        facts.daemon = Daemon::Silent { why: "no answer within 5 s".into() };
        files(facts).lock = Some(Lock::Held { pid: Some(4711), program: None });
    };
    let (what, fix) = fault("daemon", Verdict::Fail, silent);
    assert!(what.contains("no answer within 5 s") && fix == "kill -9 4711", "{what} {fix}");
    let (what, fix) = fault("lock", Verdict::Fail, silent);
    assert!(what.starts_with("process 4711 holds the logins") && fix == "kill 4711", "{what}");
}

#[test]
fn another_version_and_a_file_that_was_replaced() {
    let (what, fix) =
        fault("version", Verdict::Warn, |facts| told(facts).info.version = "0.0.9".into());
    assert!(what.contains("the daemon is 0.0.9"), "{what}");
    assert_eq!(fix, "valetkey service restart");
    let (_, fix) = fault("version", Verdict::Fail, |facts| {
        told(facts).info.protocol = 2;
        facts.service.as_mut().unwrap().state = None;
    });
    assert_eq!(fix, "valetkey rpc shutdown");
    let deleted = "/home/pat/.local/bin/valetkey (deleted)".to_owned();
    fault("version", Verdict::Warn, |facts| told(facts).exe = Some(deleted));
}

#[cfg(unix)]
#[test]
fn a_socket_that_is_stale_open_foreign_or_none() {
    let set = |entry: Entry| move |facts: &mut Facts| socket(facts).entry = Ok(Some(entry));
    let (_, fix) = fault("socket", Verdict::Warn, set(entry(Kind::Socket, 0o666)));
    assert_eq!(fix, "chmod 600 /run/user/1000/valetkey/valetkey.sock");
    let (what, _) = fault("socket", Verdict::Fail, set(entry(Kind::File, 0o600)));
    assert!(what.contains("no socket"), "{what}");
    let foreign = Entry { owner: Some(33), ..entry(Kind::Socket, 0o600) };
    let (what, _) = fault("socket", Verdict::Fail, set(foreign));
    assert!(what.contains("user 33"), "{what}");
    let (what, _) = fault("socket", Verdict::Warn, |facts| {
        facts.daemon = Daemon::Absent { stale: true };
    });
    assert!(what.contains("left behind"), "{what}");
    let (_, fix) = fault("socket", Verdict::Fail, |facts| {
        socket(facts).folder = Ok(Some(entry(Kind::Folder, 0o777)));
    });
    assert_eq!(fix, "chmod go-w /run/user/1000/valetkey");
    found("socket", Verdict::Ok, |facts| {
        socket(facts).folder = Ok(Some(entry(Kind::Folder, 0o1777)));
    });
    let (what, _) = fault("socket", Verdict::Fail, |facts| {
        facts.places.as_mut().unwrap().socket = format!("/{}", "x".repeat(200));
    });
    assert!(what.contains("201 bytes"), "{what}");
}

#[test]
fn places_that_nobody_knows_are_told_once_and_the_rest_is_skipped() {
    let nowhere = |facts: &mut Facts| {
        facts.places =
            Err(Nowhere { name: "socket", why: "too long".into(), fix: "unset X".into() });
        (facts.files, facts.daemon) = (None, Daemon::Nowhere);
    };
    assert_eq!(fault("socket", Verdict::Fail, nowhere), ("too long".into(), "unset X".into()));
    for name in ["daemon", "lock", "files", "config", "disk"] {
        found(name, Verdict::Skip, nowhere);
    }
}

#[test]
fn files_that_others_may_read_or_own() {
    let credential = "/home/pat/.local/share/valetkey/credentials/openai@work.json";
    let with = |role: Role, entry: Entry| {
        move |facts: &mut Facts| files(facts).looked.push(looked(credential, role, entry))
    };
    let short = "~/.local/share/valetkey/credentials/openai@work.json";
    let (what, fix) = fault("files", Verdict::Fail, with(Role::Secret, entry(Kind::File, 0o644)));
    assert_eq!(what, format!("{short} is open to others (644)"));
    assert_eq!(fix, format!("chmod 600 {short}"));
    let closed = with(Role::Secret, entry(Kind::File, 0o000));
    assert!(fault("files", Verdict::Fail, closed).0.contains("closed to yourself"));
    let link = with(Role::Secret, entry(Kind::Link, 0o777));
    assert!(fault("files", Verdict::Fail, link).0.contains("is no plain file"));
    let second = with(Role::Secret, Entry { names: 2, ..entry(Kind::File, 0o600) });
    assert!(fault("files", Verdict::Fail, second).0.contains("second name"));
    let foreign = Entry { owner: Some(0), ..entry(Kind::File, 0o600) };
    let (what, fix) = fault("files", Verdict::Fail, with(Role::Secret, foreign));
    assert!(what.ends_with("belongs to user 0"), "{what}");
    assert_eq!(fix, format!("sudo chown -R \"$(id -un)\" {short}"));
    let (_, fix) = fault("files", Verdict::Fail, |facts| facts.uid = Some(0));
    assert_eq!(fix, "sudo -u '#1000' valetkey doctor", "root takes nothing away from anybody");
    let (_, fix) = fault("files", Verdict::Warn, with(Role::Private, entry(Kind::Folder, 0o755)));
    assert!(fix.starts_with("chmod 700 "), "{fix}");
    fault("files", Verdict::Fail, with(Role::Private, entry(Kind::Folder, 0o500)));
    fault("files", Verdict::Fail, with(Role::Private, entry(Kind::File, 0o700)));
    fault("files", Verdict::Warn, with(Role::Trusted, entry(Kind::File, 0o664)));
    let (what, _) = fault("files", Verdict::Fail, with(Role::Trusted, entry(Kind::File, 0o666)));
    assert!(what.contains("which programs are run"), "{what}");
    let unseen = |facts: &mut Facts| {
        let entry = Err("Permission denied".into());
        files(facts).looked.push(Looked { path: credential.into(), role: Role::Secret, entry });
    };
    assert!(fault("files", Verdict::Fail, unseen).0.contains("Permission denied"));
}

#[test]
fn on_windows_pipes_and_access_lists_are_judged_and_nobody_is_told_a_command_of_unix() {
    let all = findings(on_windows);
    assert!(all.iter().all(|finding| finding.verdict == Verdict::Ok), "{all:#?}");
    let pipe = r"\\.\pipe\valetkey-S-1-5-21-1-2-3-1001";
    assert_eq!(found("socket", Verdict::Ok, on_windows).0, format!("{pipe}, yours alone"));
    let absent = |facts: &mut Facts| {
        on_windows(facts);
        no_daemon(facts);
    };
    assert!(found("socket", Verdict::Skip, absent).0.starts_with(pipe));
    let long = |facts: &mut Facts| {
        on_windows(facts);
        facts.places.as_mut().unwrap().socket.push_str(&"x".repeat(300));
    };
    assert_eq!(fault("socket", Verdict::Fail, long).1, r"valetkey --socket \\.\pipe\vk serve");
    let misnamed = |facts: &mut Facts| {
        on_windows(facts);
        facts.daemon = Daemon::Misnamed { why: "set another".into() };
    };
    assert!(fault("socket", Verdict::Fail, misnamed).0.ends_with("is no pipe: set another"));
    found("daemon", Verdict::Skip, misnamed);
    let with = |role: Role, kind: Kind, access: Access| {
        move |facts: &mut Facts| {
            on_windows(facts);
            let entry = Entry { owner: None, mode: None, access: Some(access), ..entry(kind, 0) };
            files(facts).looked.push(looked("/home/pat/openai.json", role, entry));
        }
    };
    let (what, fix) = fault("files", Verdict::Fail, with(Role::Secret, Kind::File, Access::Shared));
    assert_eq!(what, "~/openai.json is open to others");
    let word = "~/openai.json";
    assert_eq!(fix, format!("icacls {word} /inheritance:r /grant:r \"${{env:USERNAME}}:F\""));
    fault("files", Verdict::Warn, with(Role::Private, Kind::Folder, Access::Shared));
    found("files", Verdict::Ok, with(Role::Trusted, Kind::File, Access::Shared));
    let (_, fix) = fault("files", Verdict::Fail, with(Role::Trusted, Kind::File, Access::Foreign));
    assert_eq!(fix, format!("takeown /F {word}"));
    // Everything that can be wrong at once.
    let wrong = |facts: &mut Facts| {
        on_windows(facts);
        facts.daemon = Daemon::Silent { why: "no answer".into() };
        files(facts).lock = Some(Lock::Held { pid: Some(4711), program: None });
        files(facts).disks = vec![disk(0, None, false)];
        let program = "C:\\none.exe".into();
        facts.hooks.push(Hook { setting: "hooks.on_limit", program, runnable: false });
        for port in facts.ports.as_mut().unwrap() {
            port.holder = Some(Holder::default());
        }
        for reach in &mut facts.reaches {
            reach.outcome = Err("down".into());
        }
    };
    let unix = ["kill ", "chmod", "sudo", "mv ", "ls ", "df ", "curl ", "&&", "EDITOR", "unset"];
    let fixes: Vec<String> = findings(wrong).into_iter().filter_map(|one| one.fix).collect();
    assert!(fixes.len() > 5, "{fixes:?}");
    for fix in fixes {
        // `taskkill` is theirs.
        let fix = fix.replace("taskkill", "");
        assert!(unix.iter().all(|word| !fix.contains(word)), "{fix}");
    }
}

#[test]
fn many_faults_of_one_kind_are_not_a_flood() {
    let all = findings(|facts| {
        for at in 0..50 {
            let path = format!("/home/pat/{at}.json");
            files(facts).looked.push(looked(&path, Role::Secret, entry(Kind::File, 0o644)));
        }
    });
    let told: Vec<_> = all.iter().filter(|finding| finding.name == "files").collect();
    assert_eq!(told.len(), 8);
    assert!(told[7].message.ends_with("and 42 more like that"), "{}", told[7].message);
}

#[test]
fn a_configuration_that_means_nothing_is_told_with_its_place() {
    let wrong = |facts: &mut Facts| {
        facts.config = Err("/home/pat/.config/valetkey/config.toml:2:1: unknown key `x`".into());
        (facts.reaches, facts.ports) = (Vec::new(), None);
    };
    let (what, fix) = fault("config", Verdict::Fail, wrong);
    assert_eq!(what, "~/.config/valetkey/config.toml:2:1: unknown key `x`");
    assert_eq!(fix, "${EDITOR:-vi} ~/.config/valetkey/config.toml");
    for name in ["hooks", "clock", "issuer", "api", "callback", "door"] {
        found(name, Verdict::Skip, wrong);
    }
    let (_, fix) =
        fault("config", Verdict::Warn, |facts| told(facts).info.vendors.push("work".into()));
    assert_eq!(fix, "valetkey rpc reload");
    let missing = Hook {
        setting: "hooks.on_limit",
        program: "/home/pat/bin/notify me".into(),
        runnable: false,
    };
    let (what, fix) = fault("hooks", Verdict::Fail, |facts| facts.hooks.push(missing));
    assert!(what.starts_with("hooks.on_limit cannot be run"), "{what}");
    assert!(!what.contains("/home/pat") && !fix.contains("/home/pat"), "{what} {fix}");
}

#[test]
fn a_clock_that_is_off_is_told_with_its_direction() {
    let off = |millis: i64| {
        move |facts: &mut Facts| {
            facts.reaches[0].outcome = Ok(Reached { status: 200, skew_millis: Some(millis) });
        }
    };
    found("clock", Verdict::Ok, off(-59_999));
    let (what, fix) = fault("clock", Verdict::Warn, off(60_000));
    assert_eq!(what, "this machine's clock is 60 seconds behind that of auth.openai.com");
    assert_eq!(fix, "sudo timedatectl set-ntp true");
    fault("clock", Verdict::Warn, off(-299_999));
    let (what, _) = fault("clock", Verdict::Fail, off(-7_200_000));
    assert!(what.contains("2 hours ahead of"), "{what}");
    let (what, _) = found("clock", Verdict::Ok, |facts| {
        facts.reaches[0].outcome = Err("down".into());
    });
    assert!(what.contains("chatgpt.com"), "where the issuer is silent, the API is asked: {what}");
    found("clock", Verdict::Skip, |facts| facts.reaches.clear());
    found("clock", Verdict::Skip, |facts| {
        facts.reaches.truncate(1);
        facts.reaches[0].outcome = Ok(Reached { status: 200, skew_millis: None });
    });
}

#[test]
fn vendors_that_are_down_or_in_trouble() {
    let down = "client error (Connect): dns error: no such name";
    let (what, fix) =
        fault("issuer", Verdict::Fail, |facts| facts.reaches[0].outcome = Err(down.into()));
    assert!(what.ends_with("cannot be renewed: dns error: no such name"), "{what}");
    assert_eq!(fix, "curl -sSI https://auth.openai.com");
    let (what, _) =
        fault("api", Verdict::Fail, |facts| facts.reaches[1].outcome = Err(down.into()));
    assert!(what.contains("completions cannot be carried"), "{what}");
    let (what, _) = fault("api", Verdict::Warn, |facts| {
        facts.reaches[1].outcome = Ok(Reached { status: 503, skew_millis: None });
    });
    assert!(what.contains("HTTP 503"), "{what}");
    found("issuer", Verdict::Skip, |facts| facts.reaches.clear());
}

#[test]
fn logins_that_cannot_lend_or_soon_will_not() {
    let error = |reason: &str, message: &str| json!({"reason": reason, "message": message, "at": NOW.0 - 60_000});
    let (what, fix) = fault("login", Verdict::Fail, |facts| {
        login(facts, json!({"state": "signed_out", "connected": false, "expires_at": null}));
    });
    assert_eq!(what, "openai/default: nobody is signed in");
    assert_eq!(fix, "valetkey login --vendor openai --account default");
    let required = |facts: &mut Facts| {
        let error = error("refresh_token_reused", "no more of pat@example.test");
        login(facts, json!({"state": "login_required", "account": "work", "last_error": error}));
    };
    let (what, fix) = fault("login", Verdict::Fail, required);
    assert!(what.contains("(refresh_token_reused)") && what.contains("in 10 days"), "{what}");
    assert_eq!(fix, "valetkey login --vendor openai --account work");
    let (what, _) = fault("refresh", Verdict::Warn, required);
    assert!(what.contains("it failed 60 seconds ago (no more of (not shown))"), "{what}");
    let degraded = |facts: &mut Facts| {
        login(facts, json!({"state": "degraded", "last_error": error("unreachable", "down")}));
    };
    let (what, _) = fault("login", Verdict::Warn, degraded);
    assert!(what.contains("cannot be renewed just now (unreachable)"), "{what}");
    let ended = |facts: &mut Facts| {
        login(
            facts,
            json!({"state": "degraded", "connected": false, "expires_at": NOW.0 - 120_000}),
        );
    };
    let (what, fix) = fault("login", Verdict::Fail, ended);
    assert!(what.contains("its token ended 2 minutes ago"), "{what}");
    assert_eq!(fix, "valetkey usage --vendor openai --account default");
    found("login", Verdict::Warn, |facts| login(facts, json!({"state": "locked"})));
    found("login", Verdict::Ok, |facts| login(facts, json!({"state": "refreshing"})));
    let (what, fix) = fault("refresh", Verdict::Warn, |facts| {
        login(facts, json!({"refresh_at": NOW.minus(Duration::from_secs(900)).0}));
    });
    assert!(what.contains("due 15 minutes ago"), "{what}");
    assert_eq!(fix, "valetkey service restart");
    let untold = |refused| {
        move |facts: &mut Facts| {
            told(facts).logins = Err(Untold { why: "who knows".into(), refused });
        }
    };
    found("login", Verdict::Skip, untold(false));
    let (what, fix) = fault("login", Verdict::Fail, untold(true));
    assert!(what.contains("who knows") && fix == "valetkey status", "{what}: {fix}");
    found("refresh", Verdict::Skip, untold(true));
    let endless = |facts: &mut Facts| {
        let error = error("unreachable", &"ä ".repeat(2000));
        login(facts, json!({"state": "degraded", "last_error": error}));
    };
    assert!(fault("refresh", Verdict::Warn, endless).0.chars().count() < 300);
}

#[test]
fn a_service_that_does_not_run_or_will_not_stay() {
    let set =
        |change: fn(&mut Service)| move |facts: &mut Facts| change(facts.service.as_mut().unwrap());
    let (what, fix) = fault(
        "service",
        Verdict::Fail,
        set(|s| {
            let state = s.state.as_mut().unwrap();
            (state.active, state.state) = (false, "failed (Result: exit-code)".into());
        }),
    );
    assert!(what.contains("failed (Result: exit-code)"), "{what}");
    assert_eq!(fix, "valetkey service start");
    fault("service", Verdict::Warn, set(|s| s.state.as_mut().unwrap().enabled = false));
    fault("sandbox", Verdict::Warn, set(|s| s.state.as_mut().unwrap().sandboxed = Some(false)));
    let gone = set(|s| s.program.as_mut().unwrap().runnable = false);
    let (what, fix) = fault("unit", Verdict::Fail, gone);
    assert!(what.contains("~/.local/bin/valetkey"), "{what}");
    assert_eq!(fix, "valetkey service install");
    fault("unit", Verdict::Warn, set(|s| s.program.as_mut().unwrap().ours = Some(false)));
    let (_, fix) = fault("linger", Verdict::Warn, set(|s| s.lingers = Some(false)));
    assert_eq!(fix, "loginctl enable-linger");
    found("linger", Verdict::Ok, |facts| {
        facts.headless = false;
        facts.service.as_mut().unwrap().lingers = Some(false);
    });
    found("service", Verdict::Skip, set(|s| s.state = None));
    let none = findings(set(|s| s.state = None));
    assert!(none.iter().all(|finding| finding.name != "linger"), "nothing to linger");
}

#[test]
fn ports_that_somebody_else_has() {
    let node = || Holder { pid: Some(99), program: Some("node".into()), uid: Some(1000) };
    let one = |facts: &mut Facts| facts.ports.as_mut().unwrap()[0].holder = Some(node());
    let (what, fix) = fault("callback", Verdict::Warn, one);
    assert!(what.starts_with("port 1455 is taken by process 99 (node)"), "{what}");
    assert_eq!(fix, "kill 99");
    let (what, fix) = fault("callback", Verdict::Fail, |facts| {
        for port in facts.ports.as_mut().unwrap() {
            port.holder = Some(Holder { uid: Some(33), ..Holder::default() });
        }
    });
    assert!(what.contains("a process of user 33, and no other is free"), "{what}");
    assert_eq!(fix, "valetkey login --device");
    found("callback", Verdict::Ok, |facts| {
        let ours = Holder { pid: Some(4711), ..Holder::default() };
        facts.ports.as_mut().unwrap()[0].holder = Some(ours);
    });
    let (what, fix) = fault("door", Verdict::Fail, |facts| {
        told(facts).info.http = None;
        facts.ports.as_mut().unwrap()[2].holder = Some(node());
    });
    assert!(what.contains("process 99 (node) has 127.0.0.1:8459"), "{what}");
    assert_eq!(fix, "kill 99 && valetkey rpc reload");
    let (_, fix) = fault("door", Verdict::Fail, |facts| told(facts).info.http = None);
    assert_eq!(fix, "valetkey rpc reload");
    let elsewhere = |f: &mut Facts| told(f).info.http = Some("127.0.0.1:1".into());
    fault("door", Verdict::Warn, elsewhere);
    let unasked = |facts: &mut Facts| facts.config = Ok(Config::default());
    fault("door", Verdict::Warn, unasked);
    found("door", Verdict::Ok, |facts| {
        unasked(facts);
        told(facts).info.http = None;
    });
}

#[test]
fn programs_that_own_the_same_login_are_named_and_the_account_is_not() {
    let other = |account_id: Option<&str>| {
        let account_id = account_id.map(str::to_owned);
        move |facts: &mut Facts| {
            facts.others = Some(vec![Other {
                source: ImportSource::Codex,
                path: "/home/pat/.codex/auth.json".into(),
                account_id,
                email: Some("pat@example.test".into()),
            }]);
        }
    };
    let (what, fix) = fault("owners", Verdict::Warn, other(Some(ACCOUNT_ID)));
    assert!(what.contains("the Codex CLI") && what.contains("openai/default"), "{what}");
    assert!(!what.contains(ACCOUNT_ID) && !what.contains('@'), "{what}");
    assert_eq!(fix, "valetkey import codex --sign-out-other --vendor openai --account default");
    found("owners", Verdict::Ok, other(Some("another")));
    found("owners", Verdict::Ok, other(None));
    found("owners", Verdict::Skip, |facts| {
        other(Some(ACCOUNT_ID))(facts);
        no_daemon(facts);
    });
}

#[test]
fn disks_that_are_full_or_take_no_writes() {
    let set = |bytes, files, read_only| {
        move |facts: &mut Facts| {
            facts.files.as_mut().unwrap().disks = vec![disk(bytes, files, read_only)];
        }
    };
    let (what, fix) = fault("disk", Verdict::Warn, set((50 << 20) - 1, None, false));
    assert!(what.starts_with("49 MiB are left"), "{what}");
    assert_eq!(fix, "df -h ~/.local/share/valetkey/credentials");
    let (what, _) = fault("disk", Verdict::Fail, set((1 << 20) - 1, None, false));
    assert!(what.starts_with("1023 KiB are left"), "{what}");
    let (_, fix) = fault("disk", Verdict::Fail, set(9 << 30, Some(3), false));
    assert!(fix.starts_with("df -i "), "{fix}");
    fault("disk", Verdict::Warn, set(9 << 30, Some(999), false));
    let (what, _) = fault("disk", Verdict::Fail, set(9 << 30, None, true));
    assert!(what.contains("nothing can be written"), "{what}");
    found("disk", Verdict::Skip, |facts| {
        facts.files.as_mut().unwrap().disks[0].space = Ok(None);
    });
}

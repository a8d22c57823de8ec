//! A daemon that is not there, is another, hangs, or stands on the wrong files.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::super::fake::Fake;
use super::{Report, healthy};
use crate::support::{Daemon, Home, Sandbox, eventually, is_root, skipped};

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A path as the report has it: nothing of these lies in the home directory.
fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_daemon_of_another_version_is_told_from_this_program() {
    for (version, protocol, sign, code) in [("0.0.9", 1, '!', 0), ("9.0.0", 2, '✗', 1)] {
        let sandbox = Sandbox::start();
        let fake = Fake::start(move |call, talk| {
            let active = json!({
                "vendor": "sandbox", "account": "default", "connected": true, "state": "active",
                "account_email": null, "account_id": null, "plan": null,
                "expires_at": 9_000_000_000_000_u64, "refresh_at": null, "last_refresh_at": null,
                "last_error": null,
            });
            let result = match call["method"].as_str().unwrap() {
                "info" => json!({
                    "name": "valetkey", "version": version, "protocol": protocol, "pid": 1,
                    "started_at": 1, "uptime": 90, "socket": "/s", "http": null,
                    "vendors": ["openai", "sandbox"],
                }),
                "status" => active,
                "accounts.list" => json!({"accounts": []}),
                other => panic!("{other}"),
            };
            talk.answer(call, &result);
        });
        fake.write_config(&Home::config_for(&sandbox));
        chmod(&fake.socket(), 0o600);
        let report = Report::of(&fake, code);
        let words = format!("the daemon is {version}");
        report.says(sign, "version", &words, "valetkey rpc shutdown");
        report.nothing_but(&["version"]);
    }
}

#[test]
fn a_socket_that_was_left_behind_is_stale() {
    let sandbox = Sandbox::start();
    let mut daemon = healthy(&sandbox);
    daemon.kill();
    let report = Report::of(&daemon, 0);
    report.says('!', "socket", "was left behind by a daemon", "valetkey status");
    report.says('!', "daemon", "none runs", "valetkey status");
    assert_eq!(report.line('✓', "lock").message, "nobody holds it");
    report.nothing_but(&["socket", "daemon"]);
}

#[test]
fn a_daemon_that_hangs_is_not_waited_for() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    daemon.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", daemon.pid());
    eventually("it has stopped", || {
        let text = std::fs::read_to_string(&stat).ok();
        // Elsewhere there is nothing to look at, and the signal is quick.
        text.is_none_or(|text| text.contains(") T ")).then_some(())
    });
    let began = Instant::now();
    let report = Report::of(&daemon, 1);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let pid = daemon.pid();
    let words = "does not answer as a daemon does: no answer within 5 s";
    report.says('✗', "daemon", words, &format!("kill -9 {pid}"));
    report.says('✗', "lock", &format!("process {pid}"), &format!("kill {pid}"));
    report.nothing_but(&["daemon", "lock"]);
    daemon.signal(Signal::CONT);
    assert_eq!(daemon.status()["state"], "active", "it was only paused");
}

#[test]
fn a_daemon_whose_socket_was_taken_away_still_has_the_logins() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    std::fs::remove_file(daemon.socket()).unwrap();
    let report = Report::of(&daemon, 1);
    let pid = daemon.pid();
    let words = "holds the logins and does not answer on this socket";
    report.says('✗', "lock", words, &format!("kill {pid}"));
    report.nothing_but(&["daemon", "lock"]);
}

#[test]
fn a_socket_that_is_open_to_others_or_may_be_replaced_or_is_none() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let (socket, folder) = (daemon.socket(), daemon.socket().parent().unwrap().to_owned());
    chmod(&socket, 0o666);
    let report = Report::of(&daemon, 0);
    report.says('!', "socket", "is open to others (666)", &format!("chmod 600 {}", shown(&socket)));
    chmod(&socket, 0o600);
    chmod(&folder, 0o777);
    let report = Report::of(&daemon, 1);
    report.says('✗', "socket", "others may replace it", &format!("chmod go-w {}", shown(&folder)));
    report.nothing_but(&["socket"]);
    let home = Home::new(&sandbox);
    std::fs::write(home.socket(), "a person's file").unwrap();
    let report = Report::of(&home, 1);
    let path = shown(&home.socket()).to_owned();
    report.says('✗', "socket", "is no socket", &format!("mv {path} {path}.aside"));
}

#[test]
fn a_socket_whose_path_is_too_long_is_told_wherever_it_comes_from() {
    let sandbox = Sandbox::start();
    let long = format!("/{}", "x".repeat(200));
    let home = Home::new(&sandbox).and_env("VALETKEY_SOCKET", &long);
    let report = Report::of(&home, 1);
    report.says('✗', "socket", "is longer than", "unset VALETKEY_SOCKET");
    let home = Home::with_config(&format!(
        "[daemon]\nsocket = \"{long}\"\n{}",
        Home::config_for(&sandbox).replace("default_vendor = \"sandbox\"", "")
    ));
    home.write_config(&format!(
        "default_vendor = \"sandbox\"\n{}",
        std::fs::read_to_string(home.config()).unwrap()
    ));
    let mut command = home.command(&["doctor"]);
    command.env_remove("VALETKEY_SOCKET");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let state = home.state().join("vk.sock");
    let fix = format!("valetkey --socket {} serve", shown(&state));
    Report::read(&output).says('✗', "socket", "its path has 201 bytes", &fix);
}

#[test]
fn files_that_others_could_read_or_replace() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let (credential, data) = (daemon.credential("default"), daemon.data());
    chmod(&credential, 0o644);
    let report = Report::of(&daemon, 1);
    let fix = format!("chmod 600 {}", shown(&credential));
    report.says('✗', "files", "sandbox.json is open to others (644)", &fix);
    report.nothing_but(&["files"]);
    chmod(&credential, 0o600);
    chmod(&data, 0o755);
    let report = Report::of(&daemon, 0);
    let fix = format!("chmod 700 {}", shown(&data));
    report.says('!', "files", "is open to others (755)", &fix);
    chmod(&data, 0o700);
    chmod(&daemon.config(), 0o666);
    let report = Report::of(&daemon, 1);
    let fix = format!("chmod go-w {}", shown(&daemon.config()));
    report.says('✗', "files", "says which programs are run", &fix);
    chmod(&daemon.config(), 0o644);
    Report::of(&daemon, 0).nothing_but(&[]);
}

#[test]
fn a_credential_that_is_a_link_or_belongs_to_somebody_else() {
    let sandbox = Sandbox::start();
    let mut daemon = healthy(&sandbox);
    assert_eq!(daemon.stop().code(), Some(0));
    let credential = daemon.credential("default");
    let elsewhere = daemon.path().join("elsewhere");
    std::fs::rename(&credential, &elsewhere).unwrap();
    symlink(&elsewhere, &credential).unwrap();
    let path = shown(&credential).to_owned();
    let report = Report::of(&daemon, 1);
    report.says('✗', "files", "is no plain file", &format!("mv {path} {path}.aside"));
    std::fs::remove_file(&credential).unwrap();
    std::fs::hard_link(&elsewhere, &credential).unwrap();
    let fix = format!("cp -p {path} {path}.new && mv {path}.new {path}");
    Report::of(&daemon, 1).says('✗', "files", "has a second name", &fix);
    std::fs::remove_file(&elsewhere).unwrap();
    if !is_root() {
        return skipped("a foreign owner takes root to make");
    }
    chown(&credential, Some(65534), None).unwrap();
    let report = Report::of(&daemon, 1);
    let fix = "sudo -u '#65534' valetkey doctor";
    report.says('✗', "files", "belongs to user 65534", fix);
}

/// On Linux a user id belongs to a thread; its listener is that user's for good.
#[test]
#[cfg(target_os = "linux")]
fn a_socket_of_another_user_is_not_spoken_to() {
    if !is_root() {
        return skipped("a socket of another user takes root to make");
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let socket = home.socket();
    chmod(home.path(), 0o755);
    chmod(socket.parent().unwrap(), 0o777);
    let at = socket.clone();
    let listener = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        std::os::unix::net::UnixListener::bind(at).unwrap()
    });
    let listener = listener.join().unwrap();
    let report = Report::of(&home, 1);
    report.says('✗', "daemon", "served by user 65534, who is not you", "valetkey paths");
    let owned = report.lines.iter().filter(|line| line.name == "socket");
    let owned: Vec<&str> = owned.filter_map(|line| line.fix.as_deref()).collect();
    assert!(owned.contains(&&*format!("sudo rm {}", shown(&socket))), "{}", report.text);
    drop(listener);
}

#[test]
fn a_configuration_that_does_not_parse_is_told_while_the_daemon_goes_on() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let good = Home::config_for(&sandbox);
    let config = shown(&daemon.config()).to_owned();
    let edit = format!("${{EDITOR:-vi}} {config}");
    daemon.write_config(&format!("{good}\n[daemon]\nmax_cleints = 3\n"));
    let report = Report::of(&daemon, 1);
    let line = good.lines().count() + 3;
    let words = format!(":{line}:1: unknown key `max_cleints` in [daemon]");
    report.says('✗', "config", &words, &edit);
    report.nothing_but(&["config"]);
    for name in ["hooks", "clock", "issuer", "api", "callback", "door"] {
        report.line('–', name);
    }
    assert!(report.line('✓', "login").message.starts_with("sandbox/default lends"));
    std::fs::remove_file(daemon.config()).unwrap();
    std::fs::create_dir(daemon.config()).unwrap();
    Report::of(&daemon, 1).says('✗', "config", "cannot read the configuration", &edit);
    std::fs::remove_dir(daemon.config()).unwrap();
    daemon.write_config(&format!(
        "{good}\n[vendors.second]\nkind = \"sandbox\"\nissuer = \"{}\"\n",
        sandbox.url()
    ));
    let report = Report::of(&daemon, 0);
    report.says('!', "config", "it has not read it since it was changed", "valetkey rpc reload");
}

#[test]
fn hooks_whose_programs_are_not_there() {
    let sandbox = Sandbox::start();
    let hooks =
        "[hooks]\non_limit = [\"no-such-program\", \"x\"]\non_refresh = [\"sh\", \"-c\", \":\"]\n";
    let daemon = Daemon::start(Home::new(&sandbox).and_config(hooks));
    daemon.sign_in(&sandbox);
    let report = Report::of(&daemon, 1);
    let words = "hooks.on_limit cannot be run: there is no program no-such-program";
    report.says('✗', "hooks", words, "command -v no-such-program");
    report.nothing_but(&["hooks"]);
}

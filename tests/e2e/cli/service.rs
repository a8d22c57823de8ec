//! The service: its files, and what its manager is told.
//!
//! What the real manager makes of them is looked at in tests/units.

mod machine;

use std::fs;
use std::path::Path;

use serde_json::Value;

use self::machine::{Machine, RESTS, RUNS};
use super::is_sentence_and_hint;
use crate::support::{is_root, skipped, stderr, stdout};

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Whether systemd is what `service` speaks to on this system.
fn has_units() -> bool {
    if !cfg!(target_os = "linux") {
        skipped("user units are a matter of Linux");
    }
    cfg!(target_os = "linux")
}

const UNITS: [&str; 2] =
    [".config/systemd/user/valetkey.service", ".config/systemd/user/valetkey.socket"];
const DROP_INS: &str = ".config/systemd/user/valetkey.service.d";
const BOTH: &str = "valetkey.socket valetkey.service";

#[test]
fn install_writes_the_shipped_units_starts_them_and_does_nothing_twice() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    machine.says(RESTS);
    let output = machine.install(&[]);
    assert_eq!(machine.files(), UNITS);
    for unit in ["valetkey.service", "valetkey.socket"] {
        assert_eq!(machine.unit(unit), shipped(&format!("systemd/{unit}")));
        let line = format!("wrote {}\n", machine.units().join(unit).display());
        assert!(stdout(&output).contains(&line), "{}", stdout(&output));
    }
    assert!(stdout(&output).ends_with("the service runs\n"), "{}", stdout(&output));
    let told = [
        "daemon-reload",
        "--quiet enable valetkey.socket",
        "--quiet enable valetkey.service",
        "reset-failed valetkey.socket valetkey.service",
        "stop valetkey.socket valetkey.service",
        "start valetkey.socket",
        "restart valetkey.service",
    ];
    assert_eq!(machine.told(), told);

    machine.manager("*is-enabled*) exit 0 ;;");
    machine.says(RUNS);
    let output = machine.install(&[]);
    assert_eq!(stdout(&output), "everything was up to date\nthe service runs\n");
    assert_eq!(stderr(&output), "");
    assert_eq!(machine.told(), ["start valetkey.socket", "start valetkey.service"]);
}

#[test]
fn other_places_are_told_to_the_service_and_taken_back_with_their_reason() {
    if !has_units() {
        return;
    }
    let mut machine = Machine::new();
    let (config, data) = (machine.place("my conf/valetkey/c.toml"), machine.place("vk"));
    machine.set("VALETKEY_CONFIG", &config);
    machine.set("VALETKEY_DATA_DIR", &data);
    machine.set("VALETKEY_SOCKET", &machine.place("a door"));
    machine.install(&[]);
    let (state, bin) =
        (machine.place(".local/state/valetkey"), machine.place(".local/bin/valetkey"));
    let (conf, door) = (machine.place("my conf/valetkey"), machine.place("a door"));
    let why = "# Written by `valetkey service install`: the places differ from the usual ones.\n";
    assert_eq!(
        machine.unit("valetkey.service.d/10-places.conf"),
        format!(
            "{why}[Service]\n\
             Environment=\"VALETKEY_CONFIG={config}\"\n\
             Environment=\"VALETKEY_DATA_DIR={data}\"\n\
             Environment=\"VALETKEY_STATE_DIR={state}\"\n\
             Environment=\"VALETKEY_SOCKET={door}\"\n\
             BindPaths=\n\
             BindReadOnlyPaths=\"{bin}\" \"-{conf}\"\n\
             BindPaths=\"{data}\" \"{state}\" %t/systemd/notify\n"
        )
    );
    assert_eq!(
        machine.unit("valetkey.socket.d/10-places.conf"),
        format!("{why}[Socket]\nListenStream=\nListenStream={door}\n")
    );
    assert!(Path::new(&data).is_dir(), "what is bound into the sandbox has to be there");
    let usual = Machine::new();
    for file in ["valetkey.service.d/10-places.conf", "valetkey.socket.d/10-places.conf"] {
        usual.write(&format!(".config/systemd/user/{file}"), "[Service]\n");
    }
    usual.write(&format!("{DROP_INS}/50-mine.conf"), "[Service]\n");
    usual.install(&[]);
    let [service, socket] = UNITS;
    assert_eq!(usual.files(), [service, &format!("{DROP_INS}/50-mine.conf"), socket]);
    assert!(!usual.units().join("valetkey.socket.d").exists(), "an empty folder goes");
}

#[test]
fn what_was_chosen_holds_until_it_is_not_chosen() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    let has = |name: &str| machine.units().join("valetkey.service.d").join(name).exists();
    machine.install(&["--without-namespaces"]);
    let drop_in = machine.unit("valetkey.service.d/20-without-namespaces.conf");
    assert_eq!(drop_in, shipped("systemd/without-namespaces.conf"));
    machine.install(&["--desktop-notices"]);
    assert!(!has("20-without-namespaces.conf"));
    let drop_in = machine.unit("valetkey.service.d/30-desktop-notices.conf");
    assert_eq!(drop_in, shipped("systemd/desktop-notices.conf"));
    // With nothing hidden nothing has to be bound back.
    let output = machine.install(&["--without-namespaces", "--desktop-notices"]);
    assert!(has("20-without-namespaces.conf") && !has("30-desktop-notices.conf"));
    assert!(
        stderr(&output).contains("the bus of the desktop is not hidden"),
        "{}",
        stderr(&output)
    );
    machine.install(&[]);
    assert_eq!(machine.files(), UNITS);
}

#[test]
fn nothing_is_written_where_the_service_could_not_start() {
    let mut machine = Machine::new();
    machine.write(".config/valetkey/config.toml", "[daemon]\nmax_clients = \"many\"");
    let output = machine.exits(2, &["install", "--allow-root"]);
    assert!(stderr(&output).contains("max_clients"), "{}", stderr(&output));
    fs::remove_file(machine.place(".config/valetkey/config.toml")).unwrap();
    if has_units() {
        machine.set("VALETKEY_DATA_DIR", &machine.place("100%"));
        let output = machine.exits(1, &["install", "--allow-root"]);
        is_sentence_and_hint(&output);
        assert!(stderr(&output).contains("100%"), "{}", stderr(&output));
    }
    assert_eq!(machine.files(), [""; 0]);
    assert_eq!(machine.told(), [""; 0]);
}

#[test]
fn root_is_refused_unless_root_insists() {
    if !is_root() {
        return skipped("only root can be refused for being root");
    }
    let machine = Machine::new();
    let output = machine.exits(1, &["install"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("--allow-root"), "{}", stderr(&output));
    assert_eq!((machine.files(), machine.asked()), (vec![], vec![]));
}

#[test]
fn where_no_manager_answers_the_files_are_written_and_the_next_step_is_said() {
    if !has_units() {
        return;
    }
    let machine = Machine::without_manager();
    let output = machine.install(&[]);
    assert!(stdout(&output).contains("no service manager of this user answers"), "{output:?}");
    assert!(stderr(&output).contains("valetkey serve"), "{}", stderr(&output));
    assert_eq!(machine.files(), UNITS);
    for verb in ["start", "stop", "restart"] {
        is_sentence_and_hint(&machine.exits(1, &[verb]));
    }
    let output = machine.exits(1, &["status"]);
    assert!(stdout(&output).contains("no service manager answers"), "{}", stdout(&output));
    // What enabling makes, from a time when a manager did answer.
    let wants = machine.units().join("default.target.wants");
    fs::create_dir(&wants).unwrap();
    std::os::unix::fs::symlink("../valetkey.service", wants.join("valetkey.service")).unwrap();
    machine.exits(0, &["uninstall"]);
    assert_eq!(machine.files(), [""; 0]);
    assert!(!machine.units().exists(), "empty folders go");
}

#[test]
fn a_sandbox_that_cannot_be_made_is_told_and_never_weakened() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    machine.says(
        "ActiveState=activating\nSubState=auto-restart\nExecMainCode=1\nExecMainStatus=226\n",
    );
    machine.manager(
        "*\"start valetkey.service\") echo 'Job for valetkey.service failed.' >&2; exit 1 ;;",
    );
    for verb in [&["install", "--allow-root"][..], &["start"], &["restart"]] {
        let output = machine.exits(1, verb);
        let said = stderr(&output);
        assert!(said.contains("226/NAMESPACE") && said.contains("--without-namespaces"), "{said}");
        let told = machine.told();
        assert_eq!(told.last().unwrap(), &format!("stop {BOTH}"), "it is not tried on: {told:?}");
    }
    assert_eq!(machine.files(), UNITS);
}

#[test]
fn a_daemon_that_does_not_stay_is_told_in_its_own_last_words() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    machine.install(&[]);
    machine.says("ActiveState=failed\nResult=exit-code\nExecMainCode=1\nExecMainStatus=75\n");
    machine.manager(
        "*\"start valetkey.service\") echo 'Job for valetkey.service failed.' >&2; exit 1 ;;",
    );
    machine.stand_in("journalctl", "echo 'error: another daemon runs'; echo '  hint: stop it'");
    let output = machine.exits(1, &["start"]);
    is_sentence_and_hint(&output);
    let said = stderr(&output);
    assert!(said.contains("another daemon runs (exit status 75)"), "{said}");
    machine.manager(
        "*\"stop valetkey\"*) echo 'Access denied' >&2; echo 'See system logs' >&2; exit 4 ;;",
    );
    let output = machine.exits(1, &["stop"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("failed: Access denied\n"), "{}", stderr(&output));
}

#[test]
fn uninstall_takes_exactly_what_was_written() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    let theirs = [
        ".config/systemd/user/other.service",
        ".config/systemd/user/valetkey.service.d/50-mine.conf",
        ".config/valetkey/config.toml",
        ".local/share/valetkey/credentials/openai.json",
    ];
    for file in theirs {
        machine.write(file, "# mine\n");
    }
    machine.install(&["--without-namespaces"]);
    assert_eq!(machine.files().len(), theirs.len() + 3);
    machine.asked();
    let output = machine.exits(0, &["uninstall"]);
    assert_eq!(machine.files(), theirs);
    assert_eq!(stdout(&output).matches("removed ").count(), 3, "{}", stdout(&output));
    let told = [
        &format!("--quiet disable --now {BOTH}"),
        "daemon-reload",
        &format!("reset-failed {BOTH}"),
    ];
    assert_eq!(machine.told(), told);
    machine.says("ActiveState=inactive\nSubState=dead\nUnitFileState=\nFragmentPath=\n");
    let output = machine.exits(0, &["uninstall"]);
    assert_eq!(stdout(&output), "no service was installed\n");
    assert_eq!((machine.files(), machine.told()), (theirs.map(str::to_owned).to_vec(), vec![]));
    let output = machine.exits(1, &["start"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("valetkey service install"), "{}", stderr(&output));
}

#[test]
fn status_is_for_people_and_for_scripts() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    let status = |code, facts: &str| -> Value {
        machine.says(facts);
        serde_json::from_str(&stdout(&machine.exits(code, &["status", "--json"]))).unwrap()
    };
    let none = status(1, "ActiveState=inactive\n");
    assert_eq!((&none["installed"], &none["file"]), (&Value::Bool(false), &Value::Null));
    assert_eq!((&none["manager"], &none["manager_answers"]), (&"systemd".into(), &true.into()));
    machine.install(&[]);
    let runs = status(0, RUNS);
    let facts = ["installed", "active", "enabled", "sandboxed", "lingers"];
    assert!(facts.iter().all(|fact| runs[fact] == true), "{runs}");
    assert_eq!(runs["state"], "active (running)");
    assert_eq!(runs["file"], machine.place(UNITS[0]));
    let rests = status(1, &RESTS.replace("PrivateUsers=yes", "PrivateUsers=no"));
    assert_eq!((&rests["active"], &rests["sandboxed"]), (&false.into(), &false.into()));
    let output = machine.exits(1, &["status"]);
    assert!(stdout(&output).contains("valetkey service start"), "{}", stdout(&output));
    machine.says(RUNS);
    let output = machine.exits(0, &["status"]);
    assert!(stdout(&output).contains("running") && !stdout(&output).contains("hint"), "{output:?}");
}

#[test]
fn stopping_closes_the_socket_and_a_session_that_ends_the_service_is_explained() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    machine.stand_in("loginctl", "echo no");
    let output = machine.install(&[]);
    assert!(stderr(&output).contains("loginctl enable-linger"), "{}", stderr(&output));
    machine.asked();
    let output = machine.exits(0, &["stop"]);
    assert_eq!(machine.told(), [format!("stop {BOTH}")]);
    assert!(stderr(&output).contains("it starts again with your next session"), "{output:?}");
}

#[test]
fn logs_come_from_the_journal_or_from_the_files_of_the_daemon() {
    if !has_units() {
        return;
    }
    let mut machine = Machine::new();
    machine.install(&[]);
    machine.stand_in("journalctl", "echo from the journal");
    machine.asked();
    let output = machine.exits(0, &["logs", "--follow", "-n", "5"]);
    assert_eq!(stdout(&output), "from the journal\n");
    let asked = machine.asked();
    assert_eq!(asked, ["journalctl --user --unit valetkey.service --lines 5 --follow"]);
    machine.set("VALETKEY_LOG_TO", "file");
    is_sentence_and_hint(&machine.exits(1, &["logs"]));
    machine.write(".local/state/valetkey/log/valetkey.2030-01-01.log", "one\ntwo\n");
    assert_eq!(stdout(&machine.exits(0, &["logs", "-n", "1"])), "two\n");
    assert_eq!(machine.asked(), [""; 0]);
    machine.exits(2, &["logs", "-n", "many"]);
}

#[test]
fn a_daemon_that_a_client_started_gives_way_to_the_service() {
    if !has_units() {
        return;
    }
    let machine = Machine::new();
    machine.says(RESTS);
    let info: Value = serde_json::from_str(&stdout(&machine.run(&["rpc", "info"]))).unwrap();
    assert_eq!(machine.told(), [""; 0], "no service is installed to be started");
    let output = machine.install(&[]);
    let line = format!("stopped the daemon that ran without a service (process {})", info["pid"]);
    assert!(stdout(&output).contains(&line), "{}", stdout(&output));
    let lock = fs::File::open(machine.place(".local/share/valetkey/valetkey.lock")).unwrap();
    lock.try_lock().expect("it holds the credentials no more");
}

#[test]
fn the_agent_of_macos_has_whole_paths_whatever_they_are_called() {
    let machine = Machine::with_home("A & <B> 'c'");
    let output = machine.install(&["--platform", "macos"]);
    let plist = "Library/LaunchAgents/local.valetkey.plist";
    assert_eq!(machine.files(), [plist]);
    let agent = machine.read(plist);
    let home = machine.place("").replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    for path in [".local/bin/valetkey", "Library/Logs/valetkey/stderr.log"] {
        let line = format!("<string>{home}{path}</string>");
        assert_eq!(agent.matches(&line).count(), 1, "{path}: {agent}");
    }
    assert!(!agent.contains('@') && !agent.contains("<!-- places -->"), "{agent}");
    if cfg!(target_os = "linux") {
        assert!(stderr(&output).contains("nothing was loaded"), "{}", stderr(&output));
        let again = machine.install(&["--platform", "macos"]);
        assert_eq!(stdout(&again), "");
        let output = machine.exits(0, &["uninstall", "--platform", "macos"]);
        assert!(stdout(&output).contains(plist), "{}", stdout(&output));
        assert_eq!(machine.files(), [""; 0]);
    }
}

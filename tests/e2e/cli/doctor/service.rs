//! The installed service, by a stand-in for its manager.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::Report;
use crate::support::{Daemon, Home, Sandbox};

/// A machine whose service is installed, with a daemon on which all is well.
struct Installed {
    daemon: Daemon,
    bin: PathBuf,
    unit: PathBuf,
}

impl Installed {
    fn new(sandbox: &Sandbox) -> Self {
        let home = Home::new(sandbox);
        let bin = home.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let unit = home.path().join("home/.config/systemd/user/valetkey.service");
        fs::create_dir_all(unit.parent().unwrap()).unwrap();
        let home = home.and_env("PATH", bin.to_str().unwrap());
        let daemon = Daemon::start(home);
        daemon.sign_in(sandbox);
        let machine = Self { daemon, bin, unit };
        machine.starts(env!("CARGO_BIN_EXE_valetkey"));
        machine.says("active", "enabled", "yes");
        machine.stand_in("loginctl", "echo yes");
        machine
    }

    fn stand_in(&self, name: &str, body: &str) {
        let file = self.bin.join(name);
        fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Which program the unit starts.
    fn starts(&self, program: &str) {
        fs::write(&self.unit, format!("[Service]\nExecStart=\"{program}\" serve\n")).unwrap();
    }

    /// What the manager says of the unit.
    fn says(&self, active: &str, enabled: &str, namespace: &str) {
        let facts = format!(
            "echo ActiveState={active}; echo SubState=some; echo UnitFileState={enabled}; echo PrivateUsers={namespace}"
        );
        self.stand_in("systemctl", &facts);
    }

    #[track_caller]
    fn report(&self, code: i32) -> Report {
        Report::of(&self.daemon, code)
    }
}

#[test]
fn a_service_that_is_well() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    let report = machine.report(0);
    report.nothing_but(&[]);
    for name in ["service", "unit", "sandbox", "linger"] {
        assert_eq!(report.line('✓', name).fix, None);
    }
}

#[test]
fn a_service_that_does_not_run() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.says("failed", "enabled", "yes");
    let report = machine.report(1);
    report.says('✗', "service", "it does not run: failed (some)", "valetkey service start");
    report.nothing_but(&["service"]);
}

#[test]
fn a_service_that_will_not_start_by_itself() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.says("active", "disabled", "yes");
    let report = machine.report(0);
    report.says('!', "service", "will not after the next sign-in", "valetkey service install");
    report.nothing_but(&["service"]);
}

#[test]
fn a_service_whose_sandbox_is_not_in_force() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.says("active", "enabled", "no");
    let report = machine.report(0);
    let fix = "systemctl --user cat valetkey.service";
    report.says('!', "sandbox", "sees all files of this user", fix);
    report.nothing_but(&["sandbox"]);
}

#[test]
fn a_service_that_starts_a_program_which_is_gone_or_another() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.starts("/nowhere/valetkey");
    let report = machine.report(1);
    report.says('✗', "unit", "is not there or cannot be run", "valetkey service install");
    report.nothing_but(&["unit"]);
    machine.starts("/bin/true");
    let report = machine.report(0);
    report.says('!', "unit", "is not this program", "valetkey service install");
    report.nothing_but(&["unit"]);
}

#[test]
fn a_server_whose_service_ends_with_the_last_session() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.stand_in("loginctl", "echo no");
    let report = machine.report(0);
    report.says('!', "linger", "ends with your last session", "loginctl enable-linger");
    report.nothing_but(&["linger"]);
}

#[test]
fn a_manager_that_hangs_is_not_waited_for() {
    let sandbox = Sandbox::start();
    let machine = Installed::new(&sandbox);
    machine.stand_in("systemctl", "exec /bin/sleep 15");
    let report = machine.report(0);
    assert!(report.line('–', "service").message.contains("did not answer in time"));
}

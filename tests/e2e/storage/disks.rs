//! Disks that are full or take no writes, before, during and after a refresh.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use valetkey::store::{Record, format};

use super::{beginning, force, reason};
use crate::support::*;

fn kept(daemon: &Daemon) -> Record {
    let bytes = std::fs::read(daemon.credential("default")).unwrap();
    format::decode(&bytes).unwrap_or_else(|error| panic!("{error}"))
}

/// Something mounted over a folder, for as long as this lives.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// A small file system of its own, with room for a few credentials.
    pub(crate) fn small(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", at.to_str().unwrap()]);
        Self(at.to_owned())
    }

    /// The same folder again, read-only.
    pub(crate) fn read_only(at: &Path) -> Self {
        let path = at.to_str().unwrap();
        mount(&["--bind", path, path]);
        let mounted = Self(at.to_owned());
        mount(&["-o", "remount,bind,ro", path]);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: a daemon may still hold its lock there.
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn mount(arguments: &[&str]) {
    assert!(Command::new("mount").args(arguments).status().unwrap().success(), "{arguments:?}");
}

/// Whether file systems may be mounted here; says so where not.
pub(crate) fn may_mount(test: &str) -> bool {
    let probe = tempfile::tempdir().unwrap();
    let tried = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(probe.path()).output();
    let may = is_root() && tried.is_ok_and(|output| output.status.success());
    if may {
        assert!(Command::new("umount").arg(probe.path()).status().unwrap().success());
    } else {
        skipped(&format!("{test}: needs root and the right to mount"));
    }
    may
}

/// Writes until nothing more fits; removing the file makes room again.
pub(crate) fn fill(dir: &Path) -> PathBuf {
    use std::io::Write as _;
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
    path
}

#[test]
fn on_a_full_disk_the_issuer_is_not_asked_while_the_token_lives() {
    if !may_mount("on_a_full_disk_the_issuer_is_not_asked_while_the_token_lives") {
        return;
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let _disk = Mounted::small(&home.data());
    let mut daemon = home.serve();
    daemon.sign_in(&sandbox);
    let before = std::fs::read(daemon.credential("default")).unwrap();
    let filler = fill(&daemon.data());
    assert_eq!(force(&daemon)["generation"], 1, "lent as it is");
    let status = daemon.status();
    assert_eq!((&status["state"], reason(&daemon).as_str()), (&json!("degraded"), "storage_error"));
    assert_eq!(status["connected"], true);
    assert_eq!(sandbox.stat("refresh_requests"), 0);
    assert_eq!(std::fs::read(daemon.credential("default")).unwrap(), before);
    // A restart on the full disk finds all of it, and no sign of a refresh that was never begun.
    daemon.restart();
    assert_eq!((daemon.token()["generation"].as_u64(), reason(&daemon).as_str()), (Some(1), ""));
    std::fs::remove_file(filler).unwrap();
    assert_eq!(force(&daemon)["generation"], 2);
    assert_eq!((reason(&daemon).as_str(), kept(&daemon).generation), ("", 2));
}

#[test]
fn an_answer_that_finds_the_disk_full_has_its_room() {
    if !may_mount("an_answer_that_finds_the_disk_full_has_its_room") {
        return;
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let _disk = Mounted::small(&home.data());
    let mut daemon = home.serve();
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let mut line = daemon.connect();
    let id = line.request("token", &json!({"rejected": 1}));
    sandbox.wait("on=refresh&in_flight=1");
    let _filler = fill(&daemon.data());
    sandbox.clear_faults();
    let lent = line.answer(id).unwrap();
    assert_eq!(lent["generation"], 2);
    assert_eq!((kept(&daemon).generation, reason(&daemon).as_str()), (2, ""));
    daemon.kill();
    daemon.start_again();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!(sandbox.stat("reuse_detected"), 0);
}

/// A refresh whose answer comes while the folder of credentials takes no writes.
fn unsaved(sandbox: &Sandbox) -> (Daemon, Mounted, Value) {
    let daemon = Daemon::of(sandbox);
    daemon.sign_in(sandbox);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let mut line = daemon.connect();
    let id = line.request("token", &json!({"rejected": 1}));
    sandbox.wait("on=refresh&in_flight=1");
    let mounted = Mounted::read_only(&daemon.data().join("credentials"));
    sandbox.clear_faults();
    let lent = line.answer(id).unwrap();
    assert_eq!(lent["generation"], 2, "lent although it could not be saved");
    assert_eq!(reason(&daemon), "storage_error");
    assert_eq!(daemon.status()["state"], "degraded");
    assert_eq!(kept(&daemon).generation, 1, "the folder takes no writes");
    let copy = daemon.state().join("rescue/sandbox.json");
    assert_eq!(std::fs::metadata(copy).unwrap().mode() & 0o777, 0o600);
    (daemon, mounted, lent)
}

#[test]
fn what_could_not_be_saved_is_saved_when_the_disk_takes_writes_again() {
    if !may_mount("what_could_not_be_saved_is_saved_when_the_disk_takes_writes_again") {
        return;
    }
    let sandbox = Sandbox::start();
    let (daemon, mounted, lent) = unsaved(&sandbox);
    drop(mounted);
    eventually("it is saved", || (reason(&daemon).is_empty()).then_some(()));
    assert_eq!(kept(&daemon).generation, 2);
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert!(!daemon.state().join("rescue/sandbox.json").exists(), "the second copy is gone");
    assert!(beginning(&daemon, "sandbox.spare").is_empty());
}

#[test]
fn a_second_copy_survives_a_kill_and_is_adopted_at_the_next_start() {
    if !may_mount("a_second_copy_survives_a_kill_and_is_adopted_at_the_next_start") {
        return;
    }
    let sandbox = Sandbox::start();
    let (mut daemon, mounted, lent) = unsaved(&sandbox);
    daemon.kill();
    drop(mounted);
    // The room may hold the answer too: what is tried here is the copy on the other disk.
    for spare in beginning(&daemon, "sandbox.spare") {
        std::fs::remove_file(spare).unwrap();
    }
    daemon.start_again();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!((kept(&daemon).generation, reason(&daemon).as_str()), (2, ""));
    assert!(!daemon.state().join("rescue/sandbox.json").exists());
    assert_eq!(force(&daemon)["generation"], 3);
    assert_eq!(sandbox.stat("reuse_detected"), 0);
}

#[test]
fn an_orderly_end_on_a_disk_without_writes_leaves_one_copy_and_a_start_there_lends_it() {
    if !may_mount(
        "an_orderly_end_on_a_disk_without_writes_leaves_one_copy_and_a_start_there_lends_it",
    ) {
        return;
    }
    let sandbox = Sandbox::start();
    let (mut daemon, mounted, lent) = unsaved(&sandbox);
    daemon.restart();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!(force(&daemon)["generation"], 2, "there is no room for another answer");
    assert_eq!(sandbox.stat("refresh_requests"), 1);
    drop(mounted);
    daemon.restart();
    assert_eq!(force(&daemon)["generation"], 3);
    assert_eq!(sandbox.stat("reuse_detected"), 0);
}

#[test]
fn a_login_that_finds_the_disk_full_fails_and_the_one_held_stays() {
    if !may_mount("a_login_that_finds_the_disk_full_fails_and_the_one_held_stays") {
        return;
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let _disk = Mounted::small(&home.data());
    let daemon = home.serve();
    daemon.sign_in(&sandbox);
    let filler = fill(&daemon.data());
    let started = start_login(&daemon, "browser", json!({}));
    assert_eq!(complete(&sandbox, &started).status, 400);
    let polled = daemon.ok("login.poll", json!({"login_id": started.login_id}));
    assert_eq!(
        (&polled["login"], &polled["error"]["data"]["kind"]),
        (&json!("failed"), &json!("storage_error"))
    );
    sandbox.wait_for_revocations(1);
    assert_eq!(daemon.token()["generation"], 1);
    std::fs::remove_file(filler).unwrap();
    assert_eq!(force(&daemon)["generation"], 2);
}

#[test]
fn a_logout_works_on_a_full_disk() {
    if !may_mount("a_logout_works_on_a_full_disk") {
        return;
    }
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let _disk = Mounted::small(&home.data());
    let mut daemon = home.serve();
    daemon.sign_in(&sandbox);
    fill(&daemon.data());
    assert_eq!(daemon.ok("logout", json!({}))["revoked"], true);
    assert!(beginning(&daemon, "sandbox").is_empty());
    daemon.restart();
    assert_eq!(daemon.status()["state"], "signed_out");
}

//! Files that are not as they should be: nothing is lost, nothing is trusted that is not ours.

// Full and read-only file systems are mounted for it.
#[cfg(unix)]
pub(crate) mod disks;

#[cfg(unix)]
use std::os::unix::fs::{PermissionsExt as _, symlink};
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::*;

/// Files in the folder of credentials whose name begins so.
fn beginning(home: &Home, prefix: &str) -> Vec<PathBuf> {
    let dir = home.data().join("credentials");
    let names = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path());
    names.filter(|p| p.file_name().unwrap().to_str().unwrap().starts_with(prefix)).collect()
}

/// Has a token refreshed by force; gives what is lent then.
fn force(daemon: &Daemon) -> Value {
    let held = daemon.token()["generation"].clone();
    daemon.ok("token", json!({"rejected": held}))
}

fn reason(daemon: &Daemon) -> String {
    daemon.status()["last_error"]["reason"].as_str().unwrap_or_default().to_owned()
}

/// Lets others in, as a careless copy does.
#[cfg(unix)]
fn loosen(path: &Path) {
    let found = std::fs::metadata(path).unwrap();
    let mode = if found.is_dir() { 0o777 } else { 0o644 };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Lets others in, as a folder with an access list of its own does to what is moved there.
#[cfg(windows)]
fn loosen(path: &Path) {
    use std::os::windows::fs::OpenOptionsExt as _;

    use windows_permissions::constants::{SeObjectType, SecurityInformation};
    use windows_permissions::wrappers::SetSecurityInfo;
    use windows_permissions::{LocalBox, SecurityDescriptor};

    /// `READ_CONTROL` and `WRITE_DAC`.
    const READ_AND_SET_LIST: u32 = 0x0006_0000;
    /// `FILE_FLAG_BACKUP_SEMANTICS`, without which no folder opens.
    const FOLDERS_TOO: u32 = 0x0200_0000;

    let mut options = std::fs::OpenOptions::new();
    let mut opened =
        options.access_mode(READ_AND_SET_LIST).custom_flags(FOLDERS_TOO).open(path).unwrap();
    let own = valetkey::platform::access_list::own_sid().unwrap();
    // And everybody may read it.
    let list: LocalBox<SecurityDescriptor> =
        format!("D:(A;;FA;;;{own})(A;;FR;;;WD)").parse().unwrap();
    let (kind, what) = (SeObjectType::SE_KERNEL_OBJECT, SecurityInformation::Dacl);
    SetSecurityInfo(&mut opened, kind, what, None, None, list.dacl(), None).unwrap();
}

#[test]
fn what_is_open_to_others_is_closed_and_told() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let credential = daemon.credential("default");
    let places = [daemon.data(), daemon.data().join("credentials"), credential];
    assert!(is_private(&places[1]) && is_private(&places[2]));
    assert_eq!(daemon.stop().code(), Some(0));
    for place in &places {
        loosen(place);
        assert!(!is_private(place), "{}", place.display());
    }
    daemon.start_again();
    for place in &places {
        assert!(is_private(place), "{}", place.display());
    }
    assert_eq!(daemon.token()["generation"], 1);
    // A log is whole once its process has ended.
    assert_eq!(daemon.stop().code(), Some(0));
    for told in ["the file was open to others", "the folder was open to others"] {
        assert!(daemon.log().contains(told), "{}", daemon.log());
    }
}

/// Puts something else where the credential was, starts, and sees it kept aside and told.
fn replaced(kind: &str, replace: impl Fn(&Path, &[u8])) {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.stop().code(), Some(0));
    let file = daemon.credential("default");
    let content = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    replace(&file, &content);
    let there = std::fs::read(&file).unwrap();
    daemon.start_again();
    let status = daemon.status();
    assert_eq!(
        (&status["connected"], reason(&daemon).as_str()),
        (&json!(false), "storage_error"),
        "{kind}: {status}"
    );
    let asides = beginning(&daemon, &format!("sandbox.json.{kind}-2"));
    assert_eq!(asides.len(), 1, "{kind}: {asides:?}");
    assert_eq!(std::fs::read(&asides[0]).unwrap(), there, "{kind}: kept whole");
    let message = status["last_error"]["message"].as_str().unwrap();
    assert!(message.contains(asides[0].to_str().unwrap()), "{message}");
    let error = daemon.err("token", json!({}));
    assert_eq!(error["data"]["kind"], "login_required", "{error}");
    daemon.sign_in(&sandbox);
    assert_eq!((daemon.token()["generation"].as_u64(), reason(&daemon).as_str()), (Some(2), ""));
    assert!(asides[0].exists(), "{kind}: only a logout removes it");
    daemon.ok("logout", json!({}));
    assert!(beginning(&daemon, "sandbox.json").is_empty(), "{kind}");
}

#[test]
fn a_damaged_file_is_kept_aside_and_told() {
    replaced("damaged", |file, content| {
        std::fs::write(file, &content[..content.len() / 2]).unwrap()
    });
    replaced("damaged", |file, content| {
        let mut content = content.to_owned();
        let at = content.len() / 2;
        content[at] = content[at].wrapping_add(1) | 1;
        std::fs::write(file, content).unwrap();
    });
    replaced("damaged", |file, _| std::fs::write(file, "").unwrap());
}

#[test]
fn a_file_of_a_newer_version_is_kept_aside_and_told() {
    replaced("newer", |file, _| std::fs::write(file, r#"{"version":2,"vault":{}}"#).unwrap());
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    let probe = tempfile::tempdir().unwrap();
    let link = probe.path().join("link");
    // Wine says that it made one, and made none.
    let made = symlink(probe.path(), &link).and_then(|()| std::fs::symlink_metadata(&link));
    if let Err(error) = made {
        let test = "a_link_in_the_place_of_the_file_is_not_followed";
        return skipped(&format!("{test}: no link can be made here: {error}"));
    }
    replaced("refused", |file, content| {
        let target = file.parent().unwrap().parent().unwrap().join("elsewhere");
        std::fs::write(&target, content).unwrap();
        symlink(target, file).unwrap();
    });
}

// On Windows nobody gives a file another name who has no right to it.
#[cfg(unix)]
#[test]
fn a_file_that_has_another_name_as_well_is_not_used() {
    replaced("refused", |file, content| {
        let target = file.parent().unwrap().parent().unwrap().join("elsewhere");
        std::fs::write(&target, content).unwrap();
        std::fs::hard_link(target, file).unwrap();
    });
}

#[cfg(unix)]
#[test]
fn a_foreign_file_in_the_place_of_the_credential_is_not_used() {
    if !is_root() {
        return skipped("a_foreign_file_in_the_place_of_the_credential_is_not_used: needs root");
    }
    replaced("refused", |file, content| {
        std::fs::write(file, content).unwrap();
        std::os::unix::fs::chown(file, Some(12_345), None).unwrap();
    });
}

#[test]
fn generations_grow_and_consent_stays_although_the_login_was_removed() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(force(&daemon)["generation"], 2);
    daemon.ok("logout", json!({}));
    assert_eq!(std::fs::read_dir(daemon.data().join("credentials")).unwrap().count(), 0);
    daemon.restart();
    assert_eq!(daemon.err("token", json!({}))["data"]["kind"], "login_required");
    // No consent in the call: it is on record.
    let started = daemon.ok("login.start", json!({"method": "browser"}));
    let url = started["authorize_url"].as_str().unwrap();
    assert_eq!(get(&sandbox.decide_in_browser(url, true)).status, 200);
    assert_eq!(daemon.token()["generation"], 3);
    // A copy of the login that was signed out, put back by hand or by a backup, is not used again.
    let old = std::fs::read(daemon.credential("default")).unwrap();
    daemon.ok("logout", json!({}));
    assert_eq!(daemon.stop().code(), Some(0));
    std::fs::write(daemon.credential("default"), old).unwrap();
    daemon.start_again();
    assert_eq!(daemon.status()["state"], "signed_out");
    assert!(!daemon.credential("default").exists());
}

#[test]
fn a_damaged_ledger_costs_no_login() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.stop().code(), Some(0));
    std::fs::write(daemon.data().join("ledger.json"), "{").unwrap();
    daemon.start_again();
    assert_eq!(daemon.token()["generation"], 1);
    assert_eq!(force(&daemon)["generation"], 2);
    let asides = std::fs::read_dir(daemon.data()).unwrap().flatten();
    let kept =
        asides.filter(|f| f.file_name().to_str().unwrap().starts_with("ledger.json.damaged-"));
    assert_eq!(kept.count(), 1);
}

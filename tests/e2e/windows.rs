//! What only Windows has: a name for the pipe that tells users apart, its security descriptor, and where files are.

use std::fs::OpenOptions;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use serde_json::Value;
use valetkey::platform::access_list::own_sid;
use windows_permissions::constants::{SeObjectType, SecurityInformation};
use windows_permissions::wrappers::GetSecurityInfo;

use crate::support::{Daemon, Home, Sandbox, stderr, stdout};

/// `READ_CONTROL`: the right to read a security descriptor.
const READ_LIST: u32 = 0x0002_0000;

#[test]
fn the_pipe_is_its_owners_alone() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let pipe = OpenOptions::new().access_mode(READ_LIST).open(daemon.socket()).unwrap();
    let what = SecurityInformation::Owner | SecurityInformation::Dacl;
    let found = GetSecurityInfo(&pipe, SeObjectType::SE_KERNEL_OBJECT, what).unwrap();
    let found = found.as_sddl().unwrap().to_string_lossy().into_owned();
    // One entry, to which nothing above it adds, with all rights.
    let own = own_sid().unwrap();
    assert_eq!(found, format!("O:{own}D:P(A;;FA;;;{own})"));
}

#[test]
fn each_user_has_a_pipe_of_their_own_and_files_that_stay_on_this_machine() {
    let home = Home::with_config("");
    let mut command = home.command(&["paths", "--json"]);
    for name in ["CONFIG", "DATA_DIR", "STATE_DIR", "SOCKET"] {
        command.env_remove(format!("VALETKEY_{name}"));
    }
    let told: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!(told["socket"], format!(r"\\.\pipe\valetkey-{}", own_sid().unwrap()));
    let local = PathBuf::from(std::env::var_os("LOCALAPPDATA").unwrap());
    assert!(local.ends_with(r"AppData\Local"), "{}", local.display());
    for place in ["data", "credentials", "state", "log", "audit"] {
        let path = PathBuf::from(told[place].as_str().unwrap());
        assert!(path.starts_with(local.join("valetkey")), "{place}: {}", path.display());
    }
}

#[test]
fn the_demo_runs_to_its_end() {
    let output = Home::with_config("").run(&["demo"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    assert!(said.contains("checks passed"), "{said}");
}

//! Signing in, by browser and by code, and everything that must not come of it.

use crate::support::{Daemon, Sandbox};

#[test]
fn a_person_signs_in_either_way_and_a_token_is_lent() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.token()["account"], "default");
    daemon.sign_in_by_device(&sandbox);
    assert_eq!(daemon.token()["account"], "default");
}

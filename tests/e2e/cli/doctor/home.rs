//! Programs that own one of our logins as well.

use std::fs;

use serde_json::{Value, json};

use super::{Report, healthy};
use crate::support::Sandbox;

#[test]
fn another_program_that_owns_one_of_our_logins() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let kept = fs::read_to_string(daemon.credential("default")).unwrap();
    let login = serde_json::from_str::<Value>(&kept).unwrap()["login"].take();
    let hold = |account: &str| {
        let file = daemon.path().join("home/.codex/auth.json");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let tokens = json!({
            "id_token": "e30.e30.e30", "access_token": "e30.e30.e30", "refresh_token": "held-there",
            "account_id": account,
        });
        fs::write(file, json!({"tokens": tokens}).to_string()).unwrap();
    };
    let account = login["account_id"].as_str().unwrap();
    hold(account);
    let report = Report::of(&daemon, 0);
    let fix = "valetkey import codex --sign-out-other --vendor sandbox --account default";
    report.says('!', "owners", "the Codex CLI has a login of its own", fix);
    report.nothing_but(&["owners"]);
    for secret in [account, "held-there"] {
        assert!(!report.text.contains(secret), "{}", report.text);
    }
    hold("somebody-else");
    let report = Report::of(&daemon, 0);
    report.nothing_but(&[]);
    assert!(report.line('✓', "owners").message.contains("not held here"), "{}", report.text);
}

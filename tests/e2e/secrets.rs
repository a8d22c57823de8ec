//! Nothing secret in any byte that leaves the daemon but for its one purpose.
//!
//! A whole life is led at trace level against an issuer that repeats every secret it is shown; then every
//! byte written outside the credential files is searched, for the secrets that are known and for
//! anything that looks like one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use valetkey::store::{Record, format};

use crate::support::*;

/// Characters in a row that no word, path or number of ours has, but every token, code and verifier.
const LONG_RUN: usize = 40;

/// Every secret met so far, and everything that was told to somebody who may not know any.
#[derive(Default)]
struct Witness {
    refresh_tokens: BTreeSet<String>,
    access_tokens: BTreeSet<String>,
    others: BTreeSet<String>,
    told: Vec<String>,
}

impl Witness {
    /// Looks into the credential file.
    fn look(&mut self, daemon: &Daemon) -> Record {
        let bytes = std::fs::read(daemon.credential("default")).unwrap();
        let record: Record = format::decode(&bytes).unwrap();
        self.refresh_tokens.insert(record.refresh_token.expose().to_owned());
        self.access_tokens.insert(record.access_token.expose().to_owned());
        record
    }

    /// Calls a method whose answer may hold no secret, well or not.
    fn ask(&mut self, daemon: &Daemon, method: &str, params: Value) -> Value {
        let answer = daemon.call(method, params).unwrap_or_else(|error| error);
        self.told.push(format!("{method}: {answer}"));
        answer
    }

    /// All that may be asked without getting a token.
    fn ask_around(&mut self, daemon: &Daemon) {
        for method in ["status", "info", "accounts.list", "models", "audit.tail"] {
            self.ask(daemon, method, json!({}));
        }
    }

    /// An answer of the issuer that repeats all that it was shown.
    fn echo(&self) -> String {
        let all = self.refresh_tokens.iter().chain(&self.access_tokens).chain(&self.others);
        all.map(|secret| format!("you sent {secret}, ")).collect()
    }

    /// Has the issuer answer so at an endpoint.
    fn fault(&self, sandbox: &Sandbox, on: &str, status: u16, code: &str) {
        let body = json!({"error": {"code": code, "message": self.echo()}});
        sandbox.fault(json!({"on": on, "status": status, "body": body}));
    }

    fn secrets(&self) -> impl Iterator<Item = &String> {
        self.refresh_tokens.iter().chain(&self.access_tokens).chain(&self.others)
    }

    /// Whether a text is free of all of it.
    fn check(&self, place: &str, text: &str) {
        for secret in self.secrets() {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            // Where it stands, without saying it once more.
            let line = line.map(|line| line.replace(secret.as_str(), "<the secret>"));
            assert_eq!(line, None, "{place} holds a secret");
            // Half of a token is a leak as well, and so is a signed token without its signature.
            let half = &secret[..secret.len() / 2];
            assert!(!text.contains(half), "{place} holds half of a secret");
        }
    }
}

/// Runs of token characters that are as long as a secret. A checksum in hexadecimal is none.
fn suspects(text: &str) -> Vec<&str> {
    let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let hex = |run: &str| run.len() == 64 && run.bytes().all(|b| b.is_ascii_hexdigit());
    text.split(|c| !token(c)).filter(|run| run.len() >= LONG_RUN && !hex(run)).collect()
}

/// Every file below a folder but the credential files and their copies.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() && !path.ends_with("credentials") && !path.ends_with("rescue") {
            files(&path, found);
        } else if kind.is_file() {
            found.push(path);
        }
    }
}

/// A life with everything in it that may go wrong.
fn lead_a_life(sandbox: &Sandbox, daemon: &Daemon, witness: &mut Witness) {
    // A sign-in that the issuer refuses in words that repeat the code, one that it answers with garbage, one that works.
    for failure in [Some(400), Some(200), None] {
        let started = start_login(daemon, "browser", json!({"replace": true}));
        let back = sandbox.decide_in_browser(&started.authorize_url(), true);
        witness.others.insert(parameter(&back, "code").unwrap());
        if let Some(status) = failure {
            witness.fault(sandbox, "token", status, "invalid_grant");
        }
        let page = get(&back);
        assert_eq!(page.status, if failure.is_some() { 400 } else { 200 });
        witness.told.push(page.body);
        witness.ask(daemon, "login.poll", json!({"login_id": started.login_id}));
    }
    witness.look(daemon);
    witness.ask_around(daemon);
    let token = daemon.token();
    witness.access_tokens.insert(token["access_token"].as_str().unwrap().to_owned());

    // Refreshes that fail in every way, each with a body that repeats the tokens; one that works between them.
    for (status, code) in [(503, "later"), (500, "broken"), (400, "invalid_client")] {
        witness.fault(sandbox, "refresh", status, code);
        let held = daemon.token()["generation"].clone();
        daemon.ok("token", json!({"rejected": held}));
        let status = witness.ask(daemon, "status", json!({}));
        assert_eq!(status["state"], "degraded", "{status}");
    }
    assert_eq!(daemon.ok("token", json!({"rejected": 1}))["generation"], 2);
    witness.look(daemon);
    witness.ask_around(daemon);

    // A catalogue and a revocation that are refused in the same words; a sign-in by code.
    witness.fault(sandbox, "models", 403, "no");
    witness.ask(daemon, "models", json!({"refresh": true}));
    witness.fault(sandbox, "revoke", 500, "no");
    witness.ask(daemon, "logout", json!({}));
    let error = witness.ask(daemon, "token", json!({}));
    assert_eq!(error["data"]["kind"], "login_required");
    daemon.sign_in_by_device(sandbox);
    witness.look(daemon);

    // The end: refused for good, and rejected.
    witness.fault(sandbox, "refresh", 401, "refresh_token_invalidated");
    let held = daemon.token()["generation"].clone();
    daemon.ok("token", json!({"rejected": held}));
    let error = witness.ask(daemon, "token", json!({"rejected": held}));
    assert_eq!(error["data"]["kind"], "login_required", "{error}");
    for mistake in
        [json!({"rejected": ["x"]}), json!({"refresh_token": "x"}), json!({"vendor": "x"})]
    {
        witness.ask(daemon, "token", mistake);
    }
    witness.ask_around(daemon);
    for arguments in
        [&["status"][..], &["status", "--json"], &["token"], &["accounts"], &["models"], &["paths"]]
    {
        let output = daemon.run(arguments);
        witness.told.push(format!("{arguments:?}: {}{}", stdout(&output), stderr(&output)));
    }
}

fn no_secret_anywhere(home: Home) {
    let sandbox = Sandbox::start();
    home.write_config(&Home::config_for(&sandbox));
    let mut daemon = home.and_env("RUST_LOG", "trace").serve();
    let mut witness = Witness::default();
    lead_a_life(&sandbox, &daemon, &mut witness);
    let pid = daemon.pid();
    for what in ["environ", "cmdline"] {
        let bytes = std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        witness.told.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    daemon.restart();
    assert_eq!(daemon.stop().code(), Some(0));

    assert!(witness.refresh_tokens.len() >= 3 && witness.access_tokens.len() >= 3);
    assert_eq!(witness.others.len(), 3, "codes");
    let mut written = Vec::new();
    files(daemon.path(), &mut written);
    let mut lines = 0;
    for path in &written {
        let bytes = std::fs::read(path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        witness.check(&path.display().to_string(), &text);
        let suspects = suspects(&text);
        assert!(suspects.is_empty(), "{}: {suspects:?}", path.display());
        lines += text.matches("valetkey::").count();
    }
    assert!(lines > 10, "the log was found and has {lines} lines");
    assert!(written.iter().any(|path| path.to_str().unwrap().contains("audit")), "{written:?}");
    for told in &witness.told {
        let beginning: String = told.chars().take(60).collect();
        witness.check(&beginning, told);
    }
}

#[test]
fn a_whole_life_at_trace_level_writes_no_secret_to_standard_error() {
    no_secret_anywhere(Home::with_config(""));
}

#[test]
fn a_whole_life_at_trace_level_writes_no_secret_into_log_files() {
    no_secret_anywhere(Home::with_config("").with_log_files());
}

#[test]
fn what_is_searched_for_would_be_found() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let mut witness = Witness::default();
    let record = witness.look(&daemon);
    for secret in [record.refresh_token.expose(), record.access_token.expose()] {
        let line = format!("a line with {secret} in it");
        assert!(!suspects(&line).is_empty());
        assert!(std::panic::catch_unwind(|| witness.check("a line", &line)).is_err());
    }
    let answer = daemon.token().to_string();
    assert!(answer.contains(record.access_token.expose()), "the one place for it");
    assert!(!answer.contains(record.refresh_token.expose()));
}

#[test]
#[cfg(target_os = "linux")]
fn no_core_is_dumped() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[test]
#[cfg(target_os = "linux")]
fn no_other_process_of_the_same_user_may_look_into_it() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;

    /// A user that nobody is.
    const SOMEBODY: u32 = 12_345;
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let mut command = home.command(&["serve"]);
    if is_root() {
        // A process of root's own shows root as the owner in any case.
        let mut places = vec![home.path().to_owned()];
        places.extend(std::fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.path()));
        for place in places {
            chown(place, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        }
        command.uid(SOMEBODY).gid(SOMEBODY);
    }
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return skipped(&format!("the program cannot be run by another user: {error}"));
        }
    };
    // The kernel gives what belongs to a process that is not dumpable to root (proc(5)).
    let of = format!("/proc/{}/environ", child.id());
    eventually("it serves", || home.socket().exists().then_some(()));
    let owner = std::fs::metadata(of).map(|meta| meta.uid());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(owner.unwrap(), 0);
}

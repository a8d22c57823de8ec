//! The owner against an issuer as strict as the real one, over real HTTP, in time that jumps.
//!
//! The clock is virtual and shared with the sandbox, so that ten days pass in a second and a suspended
//! laptop is one line. What is waited for is always something that the owner publishes or the sandbox
//! counts; only the absence of a request is looked for after a pause ([`House::pause`]).

mod ahead;
mod belief;
mod callers;
mod endings;
mod epochs;
mod events;
mod failures;
mod importing;
mod signing_in;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::super::state::{LoginProgress, State, Status};
use super::super::{Lending, Lent, Login, LoginError, Logins};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::store::{Record, Store};
use crate::vendor::sandbox::{Options, Sandbox};

const START: Timestamp = Timestamp(1_900_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How often a sleeper of the virtual clock looks up.
const SLICE: Duration = Duration::from_millis(10);
/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// What an ordinary caller asks for.
const USUAL: Duration = Duration::from_secs(60);

/// An issuer and a home for its logins.
struct House {
    sandbox: Sandbox,
    http: reqwest::Client,
    clock: Clock,
    home: tempfile::TempDir,
}

/// The logins of a house, open. As after a start of the daemon.
struct Open {
    logins: Logins,
    login: Login,
    stop: CancellationToken,
}

impl House {
    async fn new(access_ttl: Duration) -> Self {
        let clock = Clock::virtual_at(START, SLICE);
        let options = Options {
            clock: clock.clone(),
            access_ttl,
            approve: true,
            any_callback_port: true,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(LONG).build().unwrap();
        Self { sandbox, http, clock, home: tempfile::tempdir().unwrap() }
    }

    /// A house in which somebody has signed in just now.
    async fn signed_in(access_ttl: Duration) -> (Self, Open) {
        let house = Self::new(access_ttl).await;
        let open = house.open().await;
        house.sign_in(&open).await;
        (house, open)
    }

    fn config(&self) -> Config {
        self.config_with("")
    }

    /// The configuration with more keys of the vendor.
    fn config_with(&self, keys: &str) -> Config {
        let url = self.sandbox.url();
        let text = format!(
            "default_vendor = \"sandbox\"\n[vendors.sandbox]\nkind = \"sandbox\"\nissuer = \"{url}\"\n{keys}"
        );
        Config::parse(&text, Path::new("config.toml")).unwrap()
    }

    fn store(&self) -> Store {
        Store::open(&self.home.path().join("data"), &self.home.path().join("state")).unwrap()
    }

    async fn open(&self) -> Open {
        self.open_with(&self.config()).await
    }

    async fn open_with(&self, config: &Config) -> Open {
        let stop = CancellationToken::new();
        let logins =
            Logins::open(self.store(), config, self.clock.clone(), stop.clone()).await.unwrap();
        let login = logins.default_login().expect("the default login is open");
        Open { logins, login, stop }
    }

    /// Begins a login with a device code, which the sandbox approves, and follows it to its end.
    async fn sign_in(&self, open: &Open) {
        self.lever("settings", json!({"approve": true, "interval": "1"})).await;
        let named = open.logins.name(None, None).unwrap();
        let aim = open.logins.aim(&named, false).await.unwrap();
        let begun = open.logins.pending().begin_device(aim).await.unwrap();
        let progress = self.follow(open, &begun.login_id).await;
        assert_eq!(progress.login, LoginProgress::Complete, "{:?}", progress.error);
    }

    /// Lets the issuer's interval pass until a login under way has ended.
    async fn follow(&self, open: &Open, login_id: &str) -> super::super::pending::Progress {
        let follow = async {
            loop {
                let waited = open.logins.pending().wait(login_id, Some(2 * SLICE)).await;
                let (_, progress) = waited.unwrap();
                if progress.login != LoginProgress::Pending {
                    return progress;
                }
                self.jump(SECOND);
            }
        };
        tokio::time::timeout(LONG, follow).await.expect("the login ends")
    }

    fn jump(&self, time: Duration) {
        self.clock.jump(i64::try_from(time.as_millis()).unwrap());
    }

    fn jump_back(&self, time: Duration) {
        self.clock.jump(-i64::try_from(time.as_millis()).unwrap());
    }

    /// Jumps to a moment, or stays where that is past.
    fn jump_to(&self, moment: Timestamp) {
        self.jump(moment.since(self.clock.now()));
    }

    /// Jumps to the moment for which the next attempt is planned.
    fn jump_to_plan(&self, login: &Login) {
        self.jump_to(login.status().refresh_at.expect("an attempt is planned"));
    }

    /// Time enough for the owner to do what it should not: some slices of its clock, and a question that
    /// it answers after whatever it was about to do.
    async fn pause(&self, login: &Login) {
        tokio::time::sleep(4 * SLICE).await;
        assert!(login.is_alive().await);
    }

    async fn lever(&self, name: &str, body: Value) -> Value {
        let url = format!("{}/_sandbox/{name}", self.sandbox.url());
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{name} {body}");
        answer.json().await.unwrap()
    }

    async fn fault(&self, fault: Value) {
        self.lever("faults", fault).await;
    }

    async fn clear_faults(&self) {
        let url = format!("{}/_sandbox/faults", self.sandbox.url());
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    async fn stats(&self) -> Value {
        let url = format!("{}/_sandbox/stats", self.sandbox.url());
        self.http.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn stat(&self, name: &str) -> u64 {
        self.stats().await[name].as_u64().unwrap()
    }

    /// How often the issuer was shown a refresh token.
    async fn asked(&self) -> u64 {
        self.stat("refresh_requests").await
    }

    /// Waits for a condition such as `on=refresh&in_flight=1`.
    async fn wait(&self, condition: &str) {
        let url = format!("{}/_sandbox/wait?{condition}&timeout_ms=20000", self.sandbox.url());
        let answer = self.http.get(url).send().await.unwrap();
        assert!(answer.status().is_success(), "in vain: {condition}");
    }

    /// The names of all files of logins.
    fn files(&self) -> Vec<String> {
        let names = |dir: PathBuf| std::fs::read_dir(dir).unwrap().flatten().map(|f| f.file_name());
        let mut files: Vec<_> = names(self.home.path().join("data/credentials"))
            .chain(names(self.home.path().join("state/rescue")))
            .map(|name| name.into_string().unwrap())
            .collect();
        files.sort();
        files
    }
}

impl Open {
    /// An orderly end; the house can be opened again.
    async fn close(self) {
        self.stop.cancel();
        self.logins.ended().await.unwrap();
    }

    /// The record on the disk.
    fn record(&self, house: &House) -> Record {
        let bytes = std::fs::read(house.home.path().join("data/credentials/sandbox.json")).unwrap();
        crate::store::format::decode(&bytes).unwrap()
    }
}

/// Waits until what is published is as wished, and gives it.
async fn until(login: &Login, holds: impl Fn(&Status) -> bool) -> Status {
    let mut published = login.watch();
    let waiting = published.wait_for(|published| holds(&published.status));
    match tokio::time::timeout(LONG, waiting).await {
        Ok(published) => published.expect("the owner lives").status.clone(),
        Err(_) => panic!("in vain; now {:?}", login.status()),
    }
}

/// Waits until the owner holds the token of this generation.
async fn until_generation(login: &Login, generation: u64) -> Arc<Lent> {
    let mut published = login.watch();
    let waiting = published
        .wait_for(|published| published.lent.as_ref().is_some_and(|l| l.generation >= generation));
    let lent = match tokio::time::timeout(LONG, waiting).await {
        Ok(published) => published.expect("the owner lives").lent.clone().expect("just seen"),
        Err(_) => panic!("in vain; now {:?}", login.status()),
    };
    assert_eq!(lent.generation, generation);
    lent
}

/// Waits until the token on the disk has been checked.
async fn checked(house: &House, open: &Open) {
    let looking = async {
        while !open.record(house).verified {
            tokio::time::sleep(SLICE).await;
        }
    };
    tokio::time::timeout(LONG, looking).await.expect("it is checked");
}

/// So many callers at once; what each got.
async fn callers(login: &Login, count: usize, min_ttl: Duration) -> Vec<Lending> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let login = login.clone();
        tasks.spawn(async move { login.lend(min_ttl).await });
    }
    tokio::time::timeout(LONG, tasks.join_all()).await.expect("every caller is answered")
}

fn reason(status: &Status) -> &str {
    status.last_error.as_ref().map_or("", |problem| problem.reason.as_str())
}

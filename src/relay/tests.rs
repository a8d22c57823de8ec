//! What the relay asks of an API, against one as strict as the real one, over real HTTP, in time that jumps.

mod models;
mod routing;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::login::directory::Named;
use crate::login::state::LoginProgress;
use crate::login::{Login, Logins};
use crate::store::Store;
use crate::vendor::OpenAi;
use crate::vendor::sandbox::{Options, Sandbox};

const START: Timestamp = Timestamp(1_900_000_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// How often a sleeper of the virtual clock looks up.
const SLICE: Duration = Duration::from_millis(10);
/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

/// An API, and a login that is held for it.
struct House {
    sandbox: Option<Sandbox>,
    url: String,
    http: reqwest::Client,
    clock: Clock,
    logins: Logins,
    login: Login,
    named: Named,
    home: tempfile::TempDir,
    stop: CancellationToken,
}

impl House {
    async fn signed_out() -> Self {
        let clock = Clock::virtual_at(START, SLICE);
        let options = Options { clock: clock.clone(), approve: true, ..Options::default() };
        let sandbox = Sandbox::start(options).await.unwrap();
        let url = sandbox.url().to_owned();
        let text = format!(
            "default_vendor = \"sandbox\"\n[vendors.sandbox]\nkind = \"sandbox\"\nissuer = \"{url}\"\n"
        );
        let config = Config::parse(&text, Path::new("config.toml")).unwrap();
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(&home.path().join("data"), &home.path().join("state")).unwrap();
        let stop = CancellationToken::new();
        let logins = Logins::open(store, &config, clock.clone(), stop.clone()).await.unwrap();
        let login = logins.default_login().expect("the default login is open");
        let named = logins.name(None, None).unwrap();
        let http = reqwest::Client::builder().no_proxy().timeout(LONG).build().unwrap();
        Self { sandbox: Some(sandbox), url, http, clock, logins, login, named, home, stop }
    }

    async fn signed_in() -> Self {
        let house = Self::signed_out().await;
        house.sign_in().await;
        house
    }

    /// Signs in with a device code, which the sandbox approves.
    async fn sign_in(&self) {
        self.settings(json!({"interval": "1"})).await;
        let aim = self.logins.aim(&self.named, true).await.unwrap();
        let begun = self.logins.pending().begin_device(aim).await.unwrap();
        let follow = async {
            loop {
                let waited = self.logins.pending().wait(&begun.login_id, Some(2 * SLICE)).await;
                let (_, progress) = waited.unwrap();
                if progress.login != LoginProgress::Pending {
                    return progress;
                }
                self.jump(SECOND);
            }
        };
        let progress = tokio::time::timeout(LONG, follow).await.expect("the login ends");
        assert_eq!(progress.login, LoginProgress::Complete, "{:?}", progress.error);
    }

    fn vendor(&self) -> Arc<OpenAi> {
        self.logins.vendor(&self.named.vendor).unwrap()
    }

    fn jump(&self, time: Duration) {
        self.clock.jump(i64::try_from(time.as_millis()).unwrap());
    }

    async fn lever(&self, name: &str, body: Value) {
        let url = format!("{}/_sandbox/{name}", self.url);
        let answer = self.http.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{name} {body}");
    }

    async fn settings(&self, change: Value) {
        self.lever("settings", change).await;
    }

    async fn fault(&self, fault: Value) {
        self.lever("faults", fault).await;
    }

    async fn clear_faults(&self) {
        let url = format!("{}/_sandbox/faults", self.url);
        assert!(self.http.delete(url).send().await.unwrap().status().is_success());
    }

    /// The counters of one kind of request.
    async fn endpoint(&self, name: &str) -> Value {
        let url = format!("{}/_sandbox/stats", self.url);
        let stats: Value = self.http.get(url).send().await.unwrap().json().await.unwrap();
        stats["endpoints"][name].clone()
    }

    /// How often something was asked.
    async fn asked(&self, name: &str) -> u64 {
        self.endpoint(name).await["requests"].as_u64().unwrap_or(0)
    }

    /// The vendor goes away.
    async fn cut_off(&mut self) {
        self.sandbox.take().expect("it is there").stop().await;
    }

    fn file(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

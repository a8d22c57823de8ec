//! The stand-in issuer, on a port and a thread of its own, and its levers.

use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use valetkey::vendor::sandbox::Options;

use super::http::{Response, get, post, send};

/// A running sandbox; ends with the test.
#[derive(Debug)]
pub(crate) struct Sandbox {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// As strict as the real issuer, but it takes callbacks on any port, wants a second between device
    /// polls and issues tokens for an hour.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let sandbox = Self::start_with(Options {
            any_callback_port: true,
            access_ttl: Duration::from_secs(3600),
            ..Options::default()
        });
        sandbox.settings(json!({"interval": "1"}));
        sandbox
    }

    #[track_caller]
    pub(crate) fn start_with(options: Options) -> Self {
        let (tell, told) = channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sandbox = valetkey::vendor::sandbox::Sandbox::start(options).await.unwrap();
                tell.send(sandbox.url().to_owned()).unwrap();
                let _ = stopped.await;
                drop(sandbox);
            });
        });
        let url = told.recv().expect("the sandbox starts");
        Self { url, stop: Some(stop), thread: Some(thread) }
    }

    /// The issuer's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The port that it listens on.
    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Pulls a lever.
    #[track_caller]
    pub(crate) fn lever(&self, name: &str, body: &Value) -> Value {
        let answer = post(&format!("{}/_sandbox/{name}", self.url), body);
        assert_eq!(answer.status, 200, "{name} {body}: {}", answer.body);
        answer.json()
    }

    /// Scripts one fault or a list of them.
    #[track_caller]
    pub(crate) fn fault(&self, fault: Value) {
        self.lever("faults", &fault);
    }

    /// Ends every fault, stalls under way included.
    pub(crate) fn clear_faults(&self) {
        assert_eq!(send("DELETE", &format!("{}/_sandbox/faults", self.url), None).status, 200);
    }

    /// Changes some settings and gives them all.
    #[track_caller]
    pub(crate) fn settings(&self, change: Value) -> Value {
        self.lever("settings", &change)
    }

    /// All counters.
    #[track_caller]
    pub(crate) fn stats(&self) -> Value {
        get(&format!("{}/_sandbox/stats", self.url)).json()
    }

    /// One counter.
    #[track_caller]
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.stats()[name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// Requests that an endpoint has had.
    pub(crate) fn requests(&self, endpoint: &str) -> u64 {
        self.stats()["endpoints"][endpoint]["requests"].as_u64().unwrap_or(0)
    }

    /// Completions that have arrived, refused ones included.
    #[track_caller]
    pub(crate) fn asked(&self) -> u64 {
        self.requests("responses")
    }

    /// The latest completion request: its `headers` (never the token) and its `body`.
    #[track_caller]
    pub(crate) fn last_request(&self) -> Value {
        let mut seen = get(&format!("{}/_sandbox/requests", self.url)).json();
        let requests = seen["requests"].as_array_mut().unwrap();
        requests.pop().expect("nothing was asked of it")
    }

    /// Waits for a condition such as `on=refresh&in_flight=1` and gives the counters.
    #[track_caller]
    pub(crate) fn wait(&self, condition: &str) -> Value {
        let url = format!("{}/_sandbox/wait?{condition}&timeout_ms=20000", self.url);
        let answer = get(&url);
        assert_eq!(answer.status, 200, "in vain: {condition}; {}", answer.body);
        answer.json()
    }

    /// Waits until so many grants have been revoked.
    #[track_caller]
    pub(crate) fn wait_for_revocations(&self, count: u64) {
        self.wait(&format!("on=revoke&answered={count}"));
        assert_eq!(self.stat("revocations"), count);
    }

    /// The person types a device code and says yes.
    #[track_caller]
    pub(crate) fn approve_code(&self, user_code: &str) {
        self.lever("approve", &json!({"user_code": user_code}));
    }

    /// The person says no.
    #[track_caller]
    pub(crate) fn deny_code(&self, user_code: &str) {
        self.lever("deny", &json!({"user_code": user_code}));
    }

    /// The person opens the authorize page and clicks; gives the address that the browser is sent to.
    #[track_caller]
    pub(crate) fn decide_in_browser(&self, authorize_url: &str, approve: bool) -> String {
        let page: Response = get(authorize_url);
        assert_eq!(page.status, 200, "no page to click on: {}", page.body);
        let state = super::parameter(authorize_url, "state").unwrap();
        let lever = if approve { "approve" } else { "deny" };
        let decided = self.lever(lever, &json!({"state": state}));
        decided["redirect_url"].as_str().unwrap().to_owned()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the sandbox panicked");
        }
    }
}

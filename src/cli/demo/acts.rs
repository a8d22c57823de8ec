//! What happens in the demo, act by act: something is done, checked, and only then told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::clock::Clock;
use crate::rpc::client::CallError;
use crate::rpc::{
    Kind, LoggedOut, LoginMethod, LoginPoll, LoginProgress, LoginStart, LoginStarted, LoginWait,
    LogoutParams, Rejected, Status, TokenParams, TokenResult,
};

use super::super::Done;
use super::super::failure::{Exit, Failure};
use super::super::words::plain;
use super::{Demo, outcome, spinner, told};

/// The callers that ask at once: more than anybody runs, few enough for a small machine's threads.
const CALLERS: usize = 50;

/// The first token's life in seconds: short, so that its end can be waited for.
const SHORT_LIFE_SECS: u64 = 6;

/// What is left of that life when the callers ask: less than half, so that it has to be renewed, and
/// more than the second before its end at which the daemon would do so by itself.
const NEAR_ITS_END: Duration = Duration::from_secs(2);

/// How long the issuer takes over a refresh while the callers ask, so that all of them meet it.
const SLOW_REFRESH_MS: u64 = 300;

/// How long the answer that `kill -9` interrupts is kept back.
const LOST_ANSWER_MS: u64 = 10_000;

impl Demo {
    pub(super) fn start(&mut self) -> Done {
        let waiting = spinner("starting a vendor and a daemon");
        let began = Instant::now();
        self.stage.start_sandbox()?;
        self.stage.sandbox_post(
            "settings",
            &json!({"access_ttl_secs": SHORT_LIFE_SECS, "interval": 1}),
        )?;
        self.stage.start_daemon()?;
        let status: Status = self.stage.client()?.call("status", &json!({}))?;
        self.check("nobody is signed in at first", !status.connected, || {
            format!("{:?}", status.state)
        })?;
        waiting.finish_and_clear();
        told(
            "A stand-in vendor and a daemon are running",
            &format!("the daemon was ready after {} ms", began.elapsed().as_millis()),
        )
    }

    pub(super) fn sign_in(&mut self) -> Done {
        let waiting = spinner("signing in with a device code");
        let mut client = self.stage.client()?;
        let start = LoginStart {
            vendor: None,
            account: None,
            method: LoginMethod::Device,
            consent: true,
            replace: false,
        };
        let login: LoginStarted = client.call("login.start", &start)?;
        let code = login.user_code.clone().unwrap_or_default();
        self.check("a device login shows a code", !code.is_empty(), || "none".to_owned())?;
        self.stage.sandbox_post("approve", &json!({"user_code": code}))?;
        let wait = LoginWait { login_id: login.login_id, timeout: Some(15) };
        let outcome: LoginPoll = client.call("login.wait", &wait)?;
        let good = outcome.login == LoginProgress::Complete && outcome.status.connected;
        self.check("the approved login completes", good, || {
            format!("{:?}, {:?}", outcome.login, outcome.error)
        })?;
        // From now on tokens live an hour, as everyday ones would.
        self.stage.sandbox_post("settings", &json!({"access_ttl_secs": 3600}))?;
        waiting.finish_and_clear();
        let who = plain(outcome.status.account_email.as_deref().unwrap_or("somebody"));
        told(
            &format!("Signed in as {who}"),
            &format!("the code {code} was typed and approved on the vendor's page"),
        )
    }

    pub(super) fn two_agents(&mut self) -> Done {
        let lent = self.ask_at_once(2, &TokenParams::default)?;
        self.all_equal(&lent)?;
        for one in &lent {
            let status = self.stage.use_token(one)?;
            self.check("a borrowed token opens the API", status == 200, || {
                format!("HTTP {status}")
            })?;
        }
        told(
            "Two agents borrowed at once",
            &format!("both got token {}, and the API accepts it", lent[0].generation),
        )
    }

    pub(super) fn many_callers(&mut self) -> Done {
        let waiting = spinner("waiting until the token is near its end");
        let held: TokenResult = self
            .stage
            .client()?
            .call("token", &TokenParams { min_ttl: Some(0), ..Default::default() })?;
        let left = held.expires_at.since(Clock::System.now());
        std::thread::sleep(left.saturating_sub(NEAR_ITS_END));
        let before = self.stage.stats()?;
        self.stage
            .sandbox_post("faults", &json!({"on": "refresh", "latency_ms": SLOW_REFRESH_MS}))?;
        let began = Instant::now();
        let lent = self.ask_at_once(CALLERS, &TokenParams::default)?;
        let took = began.elapsed();
        let after = self.stage.stats()?;
        self.all_equal(&lent)?;
        let (first, asked) = (&lent[0], after.refresh_requests - before.refresh_requests);
        self.check("the token is a new one", first.generation > held.generation, || {
            first.generation.to_string()
        })?;
        self.check("the issuer is asked once", asked == 1, || format!("{asked} requests"))?;
        let status = self.stage.use_token(first)?;
        self.check("the new token opens the API", status == 200, || format!("HTTP {status}"))?;
        waiting.finish_and_clear();
        told(
            &format!(
                "{CALLERS} callers found a token near its end: one refresh, {CALLERS} answers"
            ),
            &format!(
                "the vendor counted 1 request and took {SLOW_REFRESH_MS} ms; all were served in {} ms",
                took.as_millis()
            ),
        )
    }

    pub(super) fn crash(&mut self) -> Done {
        let waiting = spinner("killing the daemon in mid-refresh");
        let held: TokenResult = self.stage.client()?.call("token", &TokenParams::default())?;
        let before = self.stage.stats()?;
        self.stage.sandbox_post(
            "faults",
            &json!({"on": "refresh", "answer_latency_ms": LOST_ANSWER_MS}),
        )?;
        let mut client = self.stage.client()?;
        let rejected = TokenParams {
            rejected: Some(Rejected::Generation(held.generation)),
            ..Default::default()
        };
        let caller = std::thread::spawn(move || client.call::<_, TokenResult>("token", &rejected));
        self.stage.wait_until_refreshed(before.refreshes)?;
        self.stage.kill_daemon()?;
        let lost = caller
            .join()
            .map_err(|_| Failure::new(Exit::Failed, "a caller's thread ended badly"))?;
        let noticed = matches!(lost, Err(CallError::Lost(_) | CallError::Garbled(_)));
        self.check("the waiting caller notices the crash", noticed, || outcome(lost))?;
        let began = Instant::now();
        self.stage.start_daemon()?;
        let lent = self.ask_at_once(2, &TokenParams::default)?;
        let ready = began.elapsed();
        self.all_equal(&lent)?;
        let status = self.stage.use_token(&lent[0])?;
        self.check("the restarted daemon lends a token that works", status == 200, || {
            format!("HTTP {status}")
        })?;
        let after = self.stage.stats()?;
        let used = after.refreshes - before.refreshes;
        self.check("the refresh token was used up by the lost answer", used == 1, || {
            format!("{used} refreshes")
        })?;
        let reused = after.reuse_detected;
        self.check("no used refresh token is ever shown again", reused == 0, || {
            format!("{reused} times")
        })?;
        waiting.finish_and_clear();
        told(
            "kill -9 in mid-refresh, and the restarted daemon lends on",
            &format!("after {} ms; the vendor never saw a used refresh token", ready.as_millis()),
        )
    }

    pub(super) fn sign_out(&mut self) -> Done {
        let waiting = spinner("signing out");
        let mut client = self.stage.client()?;
        let held: TokenResult = client.call("token", &TokenParams::default())?;
        let answer: LoggedOut = client.call("logout", &LogoutParams::default())?;
        self.check("the login is gone", !answer.status.connected, || {
            format!("{:?}", answer.status.state)
        })?;
        self.check("the issuer confirms the revocation", answer.revoked, || {
            "it did not".to_owned()
        })?;
        let refused = client.call::<_, TokenResult>("token", &TokenParams::default());
        let told_so = matches!(&refused, Err(CallError::Refused(error)) if error.kind() == Kind::LoginRequired);
        self.check("nothing is lent any more", told_so, || outcome(refused))?;
        let status = self.stage.use_token(&held)?;
        self.check("the API refuses what was lent", status == 401, || format!("HTTP {status}"))?;
        let left = self.stage.files_holding(held.access_token.expose())?;
        self.check("no file holds the token", left.is_empty(), || format!("{left:?}"))?;
        waiting.finish_and_clear();
        told(
            "Signed out",
            "the vendor revoked it, the API refuses the old token, and no file holds it",
        )
    }

    pub(super) fn stop(&mut self) -> Done {
        let code = self.stage.stop_daemon()?;
        self.check("the daemon ends in good order", code == Some(0), || format!("{code:?}"))?;
        told("The daemon ended in good order", "and the private folder is gone with it")
    }
}

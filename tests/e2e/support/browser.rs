//! The person's part of a sign-in.

use serde_json::{Value, json};

use super::daemon::Daemon;
use super::http::{Response, get};
use super::{Sandbox, parameter};

/// A login that was begun.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) login_id: String,
    /// The whole answer of `login.start`.
    pub(crate) answer: Value,
}

impl Started {
    #[track_caller]
    pub(crate) fn authorize_url(&self) -> String {
        self.answer["authorize_url"].as_str().expect("a browser login").to_owned()
    }

    #[track_caller]
    pub(crate) fn user_code(&self) -> String {
        self.answer["user_code"].as_str().expect("a device login").to_owned()
    }

    pub(crate) fn state(&self) -> String {
        parameter(&self.authorize_url(), "state").unwrap()
    }

    /// Where the daemon waits for the browser.
    pub(crate) fn callback(&self) -> String {
        parameter(&self.authorize_url(), "redirect_uri").unwrap()
    }
}

/// `login.start` with consent; `more` is added to the parameters.
#[track_caller]
pub(crate) fn start_login(daemon: &Daemon, method: &str, more: Value) -> Started {
    let mut params = json!({"method": method, "consent": true});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    let answer = daemon.ok("login.start", params);
    Started { login_id: answer["login_id"].as_str().unwrap().to_owned(), answer }
}

/// The person approves in the browser, which then goes back to the daemon; gives the last page.
#[track_caller]
pub(crate) fn complete(sandbox: &Sandbox, started: &Started) -> Response {
    get(&sandbox.decide_in_browser(&started.authorize_url(), true))
}

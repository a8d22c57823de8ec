//! Waiting for a browser to come back, on this machine or as a pasted address from another.
//!
//! Only who knows the `state` can move a login; a hit without it changes nothing, whatever else it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::Pending;
use super::entry::Entry;
use crate::login::LoginError;
use crate::login::state::LoginProgress;
use crate::secret::{Secret, random_base64url};
use crate::vendor::OpenAi;
use crate::vendor::callback::{self, Hit, Page, Returned};
use crate::vendor::pkce::Pkce;
use crate::vendor::redact::redact;

/// Random bytes in a `state` (RFC 6749 section 10.10 asks for at least 128 bits).
const STATE_BYTES: usize = 32;

/// What a browser must come back with.
#[derive(Debug)]
pub(super) struct Expected {
    state: Secret,
    verifier: Secret,
    redirect_uri: String,
    ports: Vec<u16>,
    /// A code was taken: it works once, so no second is looked at.
    taken: AtomicBool,
}

/// Makes sure that somebody listens, and makes the address to open.
pub(super) async fn expect(
    pending: &Pending,
    vendor: &Arc<OpenAi>,
) -> Result<(Expected, String), LoginError> {
    let ports = vendor.config().callback_ports.clone();
    let mut listeners = pending.inner.listeners.lock().await;
    if !listeners.contains_key(&ports) {
        let (listening, hits) = callback::listen(&ports)
            .await
            .ok_or_else(|| LoginError::PortInUse { ports: ports.clone() })?;
        let receiver = pending.clone();
        tokio::spawn(receive(receiver, hits));
        listeners.insert(ports.clone(), listening);
    }
    let redirect_uri = listeners[&ports].redirect_uri();
    let (pkce, state) = (Pkce::new(), random_base64url(STATE_BYTES));
    let authorize_url = vendor.authorize_url(&redirect_uri, &pkce, &state);
    let expected = Expected {
        state: Secret::new(state),
        verifier: pkce.verifier,
        redirect_uri,
        ports,
        taken: AtomicBool::new(false),
    };
    Ok((expected, authorize_url))
}

impl Pending {
    /// Stops listening where nobody waits for a browser any more.
    pub(super) async fn close_listeners(&self) {
        let mut listeners = self.inner.listeners.lock().await;
        let entries = self.entries();
        listeners.retain(|ports, _| {
            entries.values().any(|entry| {
                let pending = entry.progress.borrow().login == LoginProgress::Pending;
                pending && entry.browser.as_ref().is_some_and(|expected| expected.ports == *ports)
            })
        });
    }

    fn by_state(&self, state: &str) -> Option<Arc<Entry>> {
        // Every state is compared, in constant time: how long it takes tells nothing.
        let matches = |entry: &&Arc<Entry>| {
            entry.browser.as_ref().is_some_and(|expected| expected.state.matches(state))
        };
        let entries = self.entries();
        let found: Vec<_> = entries.values().filter(matches).cloned().collect();
        found.into_iter().next()
    }
}

async fn receive(pending: Pending, mut hits: mpsc::Receiver<Hit>) {
    while let Some(Hit { returned, answer }) = hits.recv().await {
        let handler = pending.clone();
        // Each in its own task: a slow exchange must not keep a second browser waiting.
        pending.inner.tracker.spawn(async move {
            let page = handler.answer(returned).await;
            let _ = answer.send(page);
            handler.close_listeners().await;
        });
    }
}

impl Pending {
    async fn answer(&self, returned: Returned) -> Page {
        let entry = returned.state.as_deref().and_then(|state| self.by_state(state));
        let Some(entry) = entry else {
            return refusal(
                "This sign-in is not known",
                "It was not started here, or it has ended. Nothing was changed.",
            );
        };
        match take(self, &entry, returned).await {
            Ok(()) => Page {
                done: true,
                title: "You are signed in".into(),
                text: "valetkey keeps the login from here on. You can close this page.".into(),
            },
            Err(LoginError::Cancelled) => refusal(
                "This sign-in was cancelled",
                "Nothing was kept. Start again with: valetkey login",
            ),
            Err(error) => refusal("You are not signed in", &error.to_string()),
        }
    }
}

fn refusal(title: &str, text: &str) -> Page {
    Page { done: false, title: title.to_owned(), text: text.to_owned() }
}

/// Takes the address of the browser's last page as if the browser had come back itself.
pub(super) async fn complete(
    pending: &Pending,
    entry: &Arc<Entry>,
    redirect_url: &str,
) -> Result<(), LoginError> {
    let invalid = |why: &str| LoginError::Invalid(why.to_owned());
    let Some(expected) = &entry.browser else {
        return Err(invalid("this sign-in uses a device code: there is no address to paste"));
    };
    let url = reqwest::Url::parse(redirect_url.trim()).map_err(|_| {
        invalid("this is not an address; paste the whole address of the browser's last page")
    })?;
    let returned = Returned::from_pairs(url.query_pairs().into_owned());
    if !returned.state.as_deref().is_some_and(|state| expected.state.matches(state)) {
        return Err(invalid("this address belongs to another sign-in (its state differs)"));
    }
    if returned.code.is_none() && returned.error.is_none() {
        return Err(invalid(
            "this address holds no code; paste the whole address of the browser's last page",
        ));
    }
    // How it went is the login's own progress; the caller reads it from there.
    let _ = take(pending, entry, returned).await;
    Ok(())
}

/// Acts on what came back with the right state.
async fn take(pending: &Pending, entry: &Arc<Entry>, returned: Returned) -> Result<(), LoginError> {
    let Some(expected) = &entry.browser else { return Err(LoginError::NotFound) };
    let progress = entry.progress.borrow().login;
    match progress {
        LoginProgress::Pending => {}
        LoginProgress::Cancelled => return Err(LoginError::Cancelled),
        _ => return Err(LoginError::Invalid("this sign-in has ended already".into())),
    }
    let issuer = entry.aim.vendor.origin().issuer;
    if returned.iss.as_deref().is_some_and(|iss| iss.trim_end_matches('/') != issuer) {
        return Err(LoginError::Invalid(
            "the answer comes from another issuer; nothing was changed".into(),
        ));
    }
    if let Some(reason) = returned.error {
        let error = denied(&reason, returned.error_description.as_deref());
        entry.end(LoginProgress::Failed, Some(error.clone()));
        return Err(error);
    }
    let Some(code) = returned.code.filter(|code| !code.is_empty()) else {
        return Err(LoginError::Invalid("the address holds no code".into()));
    };
    if expected.taken.swap(true, Ordering::Relaxed) {
        return Err(LoginError::Invalid("this sign-in is being finished already".into()));
    }
    pending.finish(entry, &Secret::new(code), &expected.verifier, &expected.redirect_uri).await
}

fn denied(reason: &str, description: Option<&str>) -> LoginError {
    let reason = redact(reason.as_bytes());
    let words = redact(description.unwrap_or_default().as_bytes());
    let message = match reason.as_str() {
        "access_denied" if words.contains("missing_codex_entitlement") => {
            "this workspace does not include Codex; ask its administrator, or sign in with another account".to_owned()
        }
        "access_denied" => "the sign-in was refused in the browser".to_owned(),
        _ if words.is_empty() => format!("the issuer refused the sign-in ({reason})"),
        _ => format!("the issuer refused the sign-in ({reason}): {words}"),
    };
    LoginError::Refused { message, status: None, reason, body: words }
}

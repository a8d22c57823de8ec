//! What the facts mean: each check is a function from them to findings, and does nothing else.
//!
//! The order is that in which a person would look: whether anybody answers, whether what it stands on is
//! sound, whether the world can be reached, whether the logins live, and what surrounds all that.

mod around;
mod daemon;
mod files;
mod logins;
mod network;
mod ports;

use serde::Serialize;

use super::super::words::plain;
use super::facts::Facts;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, and should be looked at.
    Warn,
    /// Does not work, or is not safe.
    Fail,
    /// Could not be told.
    Skip,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which check: one word that scripts can rely on.
    pub(super) name: &'static str,
    pub(super) verdict: Verdict,
    /// One sentence, without its full stop.
    pub(super) message: String,
    /// The command that repairs it.
    pub(super) fix: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Ok, message: message.into(), fix: None }
    }

    fn skip(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, verdict: Verdict::Skip, message: why.into(), fix: None }
    }

    fn warn(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let (message, fix) = (message.into(), Some(fix.into()));
        Self { name, verdict: Verdict::Warn, message, fix }
    }

    fn fail(name: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(name, message, fix) }
    }
}

/// A check.
type Check = fn(&Facts) -> Vec<Finding>;

/// All checks, in groups that stand together.
const CHECKS: [&[Check]; 5] = [
    &[daemon::answers, daemon::version, daemon::socket, daemon::lock],
    &[files::modes, files::config, files::hooks],
    &[network::clock, network::issuer, network::api],
    &[logins::tokens, logins::refreshes],
    &[
        around::service,
        around::linger,
        ports::callbacks,
        ports::door,
        around::owners,
        around::disks,
    ],
];

/// Makes every check.
pub(super) fn judge(facts: &Facts) -> Vec<Vec<Finding>> {
    let group = |checks: &&[Check]| checks.iter().flat_map(|check| check(facts)).collect();
    let mut groups: Vec<Vec<Finding>> = CHECKS.iter().map(group).collect();
    for finding in groups.iter_mut().flatten() {
        // Errors of the system bring paths with them.
        finding.message = plain(&facts.home.shorten(&finding.message));
        finding.fix = finding.fix.as_deref().map(plain);
    }
    groups
}

/// What a check says that needs to know where things are.
fn nowhere(facts: &Facts) -> &'static str {
    match facts.places {
        Ok(_) => "it could not be looked at in time",
        Err(_) => "nobody knows where it is",
    }
}

/// The command that starts a daemon, or starts it anew.
fn restart(facts: &Facts) -> &'static str {
    let installed = facts.service.as_ref().is_some_and(|service| service.state.is_some());
    if installed { "valetkey service restart" } else { "valetkey rpc shutdown" }
}

#[cfg(test)]
mod tests;

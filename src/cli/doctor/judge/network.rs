//! Whether the vendors can be reached, and whether their time is ours.

use std::time::Duration;

use super::super::super::words::span;
use super::super::facts::{Facts, Half, Reach};
use super::Finding;

/// A clock that is off by this much is noticed: codes and proofs that live for some minutes are next.
const SKEW_TO_WARN: Duration = Duration::from_secs(60);
/// Beyond this, tokens are taken for ended that live, or for living that have ended.
const SKEW_TO_FAIL: Duration = Duration::from_secs(300);

pub(super) fn clock(facts: &Facts) -> Vec<Finding> {
    let name = "clock";
    let told = facts.reaches.iter().find_map(|reach| {
        let skew = reach.outcome.as_ref().ok()?.skew_millis?;
        Some((skew, &reach.host))
    });
    let Some((skew, host)) = told else {
        return vec![Finding::skip(name, "nobody could be asked for the time")];
    };
    let off = Duration::from_millis(skew.unsigned_abs());
    if off < SKEW_TO_WARN {
        return vec![Finding::ok(name, format!("it agrees with that of {host}"))];
    }
    let direction = if skew > 0 { "behind" } else { "ahead of" };
    let what = format!("this machine's clock is {} {direction} that of {host}", span(off));
    let fix = match facts.system {
        "macos" => "sudo sntp -sS time.apple.com",
        "windows" => "w32tm /resync",
        _ => "sudo timedatectl set-ntp true",
    };
    vec![if off < SKEW_TO_FAIL {
        Finding::warn(name, what, fix)
    } else {
        Finding::fail(name, format!("{what}: ends of tokens are misjudged"), fix)
    }]
}

pub(super) fn issuer(facts: &Facts) -> Vec<Finding> {
    reached(facts, Half::Issuer, "issuer", "tokens cannot be renewed")
}

pub(super) fn api(facts: &Facts) -> Vec<Finding> {
    reached(facts, Half::Api, "api", "completions cannot be carried")
}

fn reached(facts: &Facts, half: Half, name: &'static str, consequence: &str) -> Vec<Finding> {
    if facts.config.is_err() {
        return vec![Finding::skip(name, "the configuration, which names it, cannot be read")];
    }
    let of_half = facts.reaches.iter().filter(|reach| reach.half == half);
    let findings: Vec<Finding> =
        of_half.map(|reach| one(facts, reach, name, consequence)).collect();
    if findings.is_empty() {
        return vec![Finding::skip(name, "it could not be asked in time")];
    }
    findings
}

fn one(facts: &Facts, reach: &Reach, name: &'static str, consequence: &str) -> Finding {
    let host = &reach.host;
    match &reach.outcome {
        Ok(answer) if answer.status >= 500 => Finding::warn(
            name,
            format!("{host} answers with HTTP {}: it is in trouble itself", answer.status),
            facts.shell.ask(&address(host)),
        ),
        Ok(_) => Finding::ok(name, format!("{host} answers")),
        Err(why) => {
            let what = format!("{host} cannot be reached, and {consequence}: {}", cause(why));
            Finding::fail(name, what, facts.shell.ask(&address(host)))
        }
    }
}

/// Where to look with other eyes.
fn address(host: &str) -> String {
    let local = ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local));
    format!("{}://{host}", if local { "http" } else { "https" })
}

/// The end of a chain of causes: what is above only says that a request was made.
fn cause(why: &str) -> &str {
    let from = why.rmatch_indices(": ").nth(1).map_or(0, |(at, _)| at + 2);
    &why[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_without_what_led_there() {
        let long = "error sending request: client error (Connect): tcp connect error: Connection refused (os error 111)";
        assert_eq!(cause(long), "tcp connect error: Connection refused (os error 111)");
        assert_eq!(cause("no answer within 5 s"), "no answer within 5 s");
        assert_eq!(cause("a: b"), "a: b");
    }
}

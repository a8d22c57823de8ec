//! `valetkey service status`: whether it is installed, whether it runs, and whether it will.

use std::io::{self, Write as _};

use serde_json::json;

use crate::platform::manager::{self, Kind, ServiceState};

use super::super::Done;
use super::super::connect::Context;
use super::super::failure::{Exit, Failure};
use super::super::output::{FAINT, GOOD, HINT, STRONG, WARN, beyond_ascii, say};
use super::super::words::plain;
use super::own;

pub(super) fn run(context: &Context, as_json: bool) -> Done {
    let kind = manager::native();
    let service = manager::service();
    let running = service.as_ref().is_some_and(|service| service.active);
    let lingers = manager::lingers();
    if as_json {
        print_json(kind, service.as_ref(), lingers)?;
    } else {
        let own = if running { None } else { own_daemon(context, kind) };
        for line in lines(service.as_ref(), lingers, own) {
            say(line)?;
        }
    }
    if running { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// The process of a daemon that runs without the service. Asking at the service's own socket would start it.
fn own_daemon(context: &Context, kind: Option<Kind>) -> Option<u32> {
    if own::is_service(kind?) {
        return None;
    }
    own::info(&context.paths().ok()?).ok()?.map(|(_client, info)| info.pid)
}

fn print_json(
    kind: Option<Kind>,
    service: Option<&ServiceState>,
    lingers: Option<bool>,
) -> io::Result<()> {
    let manager = kind.map(|kind| match kind {
        Kind::Systemd => "systemd",
        Kind::Launchd => "launchd",
        Kind::TaskScheduler => "task scheduler",
    });
    let told = json!({
        "installed": service.is_some(),
        "active": service.is_some_and(|service| service.active),
        "enabled": service.is_some_and(|service| service.enabled),
        "state": service.map(|service| &service.state),
        "file": service.map(|service| service.file.to_string_lossy()),
        "sandboxed": service.and_then(|service| service.sandboxed),
        "lingers": lingers,
        "manager": manager,
        "manager_answers": manager::answers(),
    });
    writeln!(io::stdout(), "{told:#}")
}

/// The person's view.
fn lines(service: Option<&ServiceState>, lingers: Option<bool>, own: Option<u32>) -> Vec<String> {
    let dot = if beyond_ascii() { "●" } else { "*" };
    let mut lines = Vec::new();
    let mut fact =
        |name: &str, value: String| lines.push(format!("  {FAINT}{name:9}{FAINT:#}{value}"));
    let (head, advice) = match service {
        None => (format!("{WARN}{dot} not installed{WARN:#}"), Some("valetkey service install")),
        Some(service) => {
            fact("state", plain(&service.state));
            fact("file", service.file.display().to_string());
            let starts = if service.enabled { "with your session" } else { "when you start it" };
            fact("starts", starts.to_owned());
            match service.sandboxed {
                Some(true) => fact("sandbox", "whole".to_owned()),
                Some(false) => fact("sandbox", format!("{WARN}without namespaces{WARN:#}")),
                None => {}
            }
            match lingers {
                Some(true) => fact("ends", "never by itself: this user lingers".to_owned()),
                Some(false) => {
                    fact(
                        "ends",
                        "with your last session, unless you loginctl enable-linger".to_owned(),
                    );
                }
                None => {}
            }
            if service.active {
                (format!("{GOOD}{dot} running{GOOD:#}"), None)
            } else {
                (format!("{WARN}{dot} not running{WARN:#}"), Some("valetkey service start"))
            }
        }
    };
    if let Some(pid) = own {
        fact("daemon", format!("runs without the service (process {pid})"));
    }
    if let Some(advice) = advice {
        lines.push(format!("  {HINT}{:9}{HINT:#}{STRONG}{advice}{STRONG:#}", "hint"));
    }
    lines.insert(0, head);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(service: Option<&ServiceState>, lingers: Option<bool>, own: Option<u32>) -> String {
        anstream::adapter::strip_str(&lines(service, lingers, own).join("\n")).to_string()
    }

    #[test]
    fn a_person_sees_how_it_stands_and_what_to_do() {
        let mut service = ServiceState {
            file: "/u/valetkey.service".into(),
            enabled: true,
            active: true,
            state: "active (running)".to_owned(),
            sandboxed: Some(true),
        };
        let text = shown(Some(&service), Some(true), None);
        assert!(text.contains(" running\n") && text.contains("sandbox  whole"), "{text}");
        assert!(!text.contains("hint"), "all is well: {text}");
        service.active = false;
        service.sandboxed = Some(false);
        let text = shown(Some(&service), Some(false), Some(7));
        assert!(text.contains("not running") && text.contains("without namespaces"), "{text}");
        assert!(text.contains("process 7") && text.ends_with("valetkey service start"), "{text}");
        assert!(text.contains("enable-linger"), "{text}");
        assert!(shown(None, None, None).ends_with("valetkey service install"));
    }
}

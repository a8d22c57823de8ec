//! `valetkey sandbox`: the stand-in vendor in the foreground, with what is needed to use it.

use std::io::{self, Write as _};

use crate::clock::Clock;
use crate::vendor::sandbox::{Options, Sandbox};

use super::Done;
use super::args;
use super::failure::{Exit, Failure};
use super::output::{FAINT, GOOD, STRONG, say};

pub(super) fn run(verb: &args::Sandbox) -> Done {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
            Failure::new(Exit::Failed, format!("no runtime could be made: {error}"))
        })?;
    runtime.block_on(async {
        let options = Options {
            port: verb.port,
            clock: Clock::System,
            approve: verb.approve,
            access_ttl: verb.access_ttl,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options).await.map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the sandbox cannot listen on port {}: {error}", verb.port),
            )
            .hint("`--port 0` takes a free one")
        })?;
        announce(sandbox.url(), verb)?;
        // Ctrl-C ends the process: everything is in memory, so there is nothing to put away.
        std::future::pending::<Done>().await
    })
}

fn announce(url: &str, verb: &args::Sandbox) -> io::Result<()> {
    if verb.json {
        let line = serde_json::json!({"url": url, "issuer": url, "api_base": format!("{url}/backend-api")});
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        return stdout.flush();
    }
    say(format_args!(
        "{GOOD}●{GOOD:#} The sandbox is at {STRONG}{url}{STRONG:#}; Ctrl-C ends it and forgets everything."
    ))?;
    say("\nFor the configuration file (`valetkey paths` shows where it is):\n")?;
    say(format_args!(
        "  default_vendor = \"sandbox\"\n\n  [vendors.sandbox]\n  kind = \"sandbox\"\n  issuer = \"{url}\"\n  api_base = \"{url}/backend-api\""
    ))?;
    say("\nTo see and to disturb what it does:\n")?;
    for (command, about) in [
        (format!("curl {url}/_sandbox/stats"), "what was asked of it"),
        (
            format!("curl {url}/_sandbox/faults --json '{{\"on\": \"refresh\", \"status\": 503}}'"),
            "the next refresh fails",
        ),
        (format!("curl -X POST {url}/_sandbox/revoke_access"), "every living token is refused"),
    ] {
        say(format_args!("  {FAINT}# {about}{FAINT:#}\n  {command}"))?;
    }
    if verb.approve {
        say("\nSign-ins approve themselves.")?;
    }
    io::stdout().flush()
}

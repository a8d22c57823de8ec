//! `valetkey demo`: the whole path at work, on this machine, in a few seconds.
//!
//! Real processes of this very program, real HTTP, a real socket, a real `kill -9`; only the vendor
//! is the built-in one. Every line is printed after what it tells was checked, and the first check
//! that fails ends the demo with what was seen instead.

mod acts;
mod relay;
mod stage;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish};

use crate::rpc::client::{CallError, Client};
use crate::rpc::{TokenParams, TokenResult};

use super::Done;
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{FAINT, GOOD, STRONG, is_seen, say};
use stage::Stage;

pub(super) fn run() -> Done {
    let interrupt = Interrupt::watch()?;
    let outcome = story(interrupt.clone());
    // Ctrl-C reaches the processes of the demo as well; what fails because of it is no finding.
    if interrupt.is_asked() { Err(Failure::silent(Exit::Interrupted)) } else { outcome }
}

fn story(interrupt: Interrupt) -> Done {
    let began = Instant::now();
    say(format_args!(
        "\n{STRONG}valetkey demo{STRONG:#}  {FAINT}real processes in a private folder; each line was checked{FAINT:#}\n"
    ))?;
    let mut demo = Demo { stage: Stage::set()?, checks: 0, interrupt };
    demo.start()?;
    demo.sign_in()?;
    demo.two_agents()?;
    demo.many_callers()?;
    demo.ask_on_the_socket()?;
    let leased = demo.ask_over_http()?;
    demo.heal(&leased)?;
    demo.crash()?;
    demo.sign_out()?;
    demo.stop()?;
    let took = began.elapsed().as_secs_f64();
    say(format_args!(
        "\n{GOOD}{STRONG}All {} checks passed{STRONG:#}{GOOD:#} in {took:.1} s. {FAINT}Next: valetkey login{FAINT:#}",
        demo.checks
    ))?;
    Ok(())
}

struct Demo {
    stage: Stage,
    checks: usize,
    interrupt: Interrupt,
}

impl Demo {
    /// Goes on where `holds`; else ends the demo with what was `seen`.
    fn check(&mut self, what: &str, holds: bool, seen: impl FnOnce() -> String) -> Done {
        self.checks += 1;
        if self.interrupt.is_asked() {
            return Err(Failure::silent(Exit::Interrupted));
        }
        if holds {
            return Ok(());
        }
        let log = self.stage.keep();
        Err(Failure::new(
            Exit::Failed,
            format!("the demo found that this does not hold: {what}; seen: {}", seen()),
        )
        .hint(format!("the folder is kept for a look: {}", log.display())))
    }

    /// Lets `callers` ask for a token at one moment, each on a connection of its own.
    fn ask_at_once(
        &self,
        callers: usize,
        params: &(dyn Fn() -> TokenParams + Sync),
    ) -> Result<Vec<TokenResult>, Failure> {
        let mut clients: Vec<Client> =
            (0..callers).map(|_| self.stage.client()).collect::<Result<_, _>>()?;
        let together = Barrier::new(callers);
        let answers: Vec<Result<TokenResult, CallError>> = std::thread::scope(|scope| {
            let ask = |client| {
                let together = &together;
                move || {
                    together.wait();
                    Client::call(client, "token", &params())
                }
            };
            let threads: Vec<_> =
                clients.iter_mut().map(|client| scope.spawn(ask(client))).collect();
            let lost = || Err(CallError::Garbled("a caller's thread ended badly".to_owned()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
        });
        Ok(answers.into_iter().collect::<Result<_, _>>()?)
    }

    fn all_equal(&mut self, lent: &[TokenResult]) -> Done {
        let first = &lent[0];
        let same = lent.iter().all(|one| {
            one.generation == first.generation
                && one.access_token.matches(first.access_token.expose())
        });
        let generations =
            || lent.iter().map(|one| one.generation.to_string()).collect::<Vec<_>>().join(", ");
        self.check("all callers get the same token", same, || {
            format!("generations {}", generations())
        })
    }
}

/// What came of a call, without what it lent.
fn outcome(answer: Result<TokenResult, CallError>) -> String {
    answer.map_or_else(|error| error.to_string(), |lent| format!("token {}", lent.generation))
}

fn told(what: &str, detail: &str) -> Done {
    say(format_args!("  {GOOD}✓{GOOD:#} {STRONG}{what}{STRONG:#}\n    {FAINT}{detail}{FAINT:#}"))?;
    Ok(())
}

/// Something that moves while a step takes its time; nothing where nobody sees it.
fn spinner(what: &'static str) -> ProgressBar {
    let bar = if is_seen() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.enable_steady_tick(Duration::from_millis(100));
    // A step that fails takes it off the screen as well.
    bar.with_finish(ProgressFinish::AndClear).with_message(what)
}

//! The command line: the only room that prints.
//!
//! Each verb is a file that asks the daemon and shows the answer, to a person or (`--json`) to a
//! program. A verb fails with one sentence, one hint and one exit code, which are printed here and
//! nowhere else. Nothing is done before the arguments are known: `valetkey token` is run before every
//! request of some agents, so it must cost no more than the process it is.

mod accounts;
mod args;
mod ask;
mod browser;
mod connect;
mod demo;
mod doctor;
mod failure;
mod generate;
mod help;
mod import;
mod interrupt;
mod key;
mod lease;
mod login;
mod logout;
mod models;
mod open;
mod others;
mod output;
mod paths;
mod rpc;
mod sandbox;
mod serve;
mod service;
mod setup;
mod status;
mod token;
mod usage;
mod watch;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Args, Verb};
use connect::Context;
use failure::Failure;

/// What a verb comes to.
type Done = Result<(), Failure>;

/// Runs the command line `words` (the program's name first) and gives the process's exit code.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = Args::command()
        .try_get_matches_from(words)
        .and_then(|matches| Args::from_arg_matches(&matches));
    match parsed {
        Ok(args) => match dispatch(args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.report(),
        },
        Err(error) => {
            // A reader of `--help` that went away is no failure.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn dispatch(args: Args) -> Done {
    let context = Context::new(args.global);
    match args.verb {
        Verb::Serve(verb) => serve::run(&context, &verb),
        Verb::Login(verb) => login::run(&context, &verb),
        Verb::Logout(verb) => logout::run(&context, &verb),
        Verb::Status(verb) => status::run(&context, &verb),
        Verb::Token(verb) => token::run(&context, &verb),
        Verb::Ask(verb) => ask::run(&context, &verb),
        Verb::Usage(verb) => usage::run(&context, &verb),
        Verb::Lease(verb) => lease::run(&context, &verb),
        Verb::Key(verb) => key::run(&context, &verb),
        Verb::Models(verb) => models::run(&context, &verb),
        Verb::Accounts(verb) => accounts::run(&context, &verb),
        Verb::Setup(verb) => setup::run(&context, &verb),
        Verb::Import(verb) => import::run(&context, &verb),
        Verb::Service(verb) => service::run(&context, &verb),
        Verb::Doctor(verb) => doctor::run(&context, &verb),
        Verb::Watch(verb) => watch::run(&context, &verb),
        Verb::Open(verb) => open::run(&context, &verb),
        Verb::Help(verb) => help::run(&context, &verb),
        Verb::Rpc(verb) => rpc::run(&context, &verb),
        Verb::Paths(verb) => paths::run(&context, &verb),
        Verb::Sandbox(verb) => sandbox::run(&verb),
        Verb::Demo(_) => demo::run(),
        Verb::Completions(verb) => generate::completions(&verb),
        Verb::Man(verb) => generate::man(&verb),
    }
}

//! The tree of verbs and flags, whose `--help` teaches by example.

mod doctor;
mod help;
mod import;
mod open;
mod service;
mod setup;
mod verbs;
mod watch;

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use doctor::*;
pub(crate) use help::*;
pub(crate) use import::*;
pub(crate) use open::*;
pub(crate) use service::*;
pub(crate) use setup::*;
pub(crate) use verbs::*;
pub(crate) use watch::*;

/// One ChatGPT login for every coding agent on your machine.
///
/// A daemon keeps the login, refreshes it, lends short-lived access tokens to your programs and carries
/// their completions through it. Sign in once with `valetkey login`.
#[derive(Debug, Parser)]
#[command(
    name = "valetkey",
    // Whatever the file is called: with an ending on Windows.
    bin_name = "valetkey",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100
)]
#[command(after_help = "Examples:
  valetkey demo                               see it work, offline, in a few seconds
  valetkey login                              sign in with your browser
  valetkey login --device                     the same with a code, typed on any device
  valetkey ask 'Why is the sky blue?'         an answer, streamed to the terminal
  curl -H \"$(valetkey token --header)\" …     use the borrowed token

Exit codes: 0 done, 1 failed, 2 usage, 3 login required, 4 daemon unreachable, 5 usage limit, 130 interrupted.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Where `--help` shows the flags that every verb takes.
const GLOBAL: &str = "Which daemon";

#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Global {
    /// The daemon's socket (on Windows the name of its pipe)
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "PATH", env = "VALETKEY_SOCKET", hide_env_values = true)]
    pub(crate) socket: Option<String>,
    /// The configuration file
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "VALETKEY_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Fail instead of starting a daemon where none runs
    #[arg(long, global = true, help_heading = GLOBAL, env = "VALETKEY_NO_SPAWN", hide_env_values = true, value_parser = FalseyValueParser::new())]
    pub(crate) no_spawn: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Sign in
    Login(Login),
    /// Sign out, and ask the issuer to revoke the login
    Logout(Logout),
    /// Show who is signed in and how long the token lives
    Status(Status),
    /// Borrow an access token
    Token(Token),
    /// Ask a model something, and read the answer as it is written
    Ask(Ask),
    /// List the models of the subscription
    Models(Models),
    /// Show how much of the subscription is used, and by whom
    Usage(Usage),
    /// Borrow a short-lived key for the loopback door
    Lease(Lease),
    /// Make, list or revoke keys for the loopback door
    Key(Key),
    /// List the accounts, or choose the current one
    Accounts(Accounts),
    /// Plug an agent in: the Codex CLI, OpenHands, opencode and others
    Setup(Setup),
    /// Adopt a login that another program holds
    Import(Import),
    /// Run the daemon as a service: install, start, stop, status, logs
    Service(Service),
    /// Look for what is wrong, and say what repairs it
    Doctor(Doctor),
    /// See logins, borrowers and limits as they change
    Watch(Watch),
    /// The same as a page in a browser, and to sign in and out from there
    Open(Open),
    /// Call any method of the daemon
    Rpc(Rpc),
    /// Show where files and the socket are
    Paths(Paths),
    /// Run the daemon in the foreground (for systemd, launchd and the curious)
    Serve(Serve),
    /// Run the stand-in vendor, for offline work and tests
    Sandbox(Sandbox),
    /// Show the whole path at work: sign in, lend, ask, refresh, crash, recover, sign out
    Demo(Demo),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
    /// Read about a verb or a topic
    Help(Help),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_tree_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_visible_verb_teaches_by_example() {
        for verb in Args::command().get_subcommands() {
            assert!(verb.get_after_help().is_some(), "{} has no example", verb.get_name());
        }
    }

    #[test]
    fn accounts_alone_lists() {
        let args = Args::try_parse_from(["valetkey", "accounts", "--json"]).expect("it parses");
        let Verb::Accounts(accounts) = args.verb else { panic!("another verb") };
        assert!(accounts.action.is_none() && accounts.list.json);
    }

    #[test]
    fn a_key_lives_for_seconds_or_for_a_duration() {
        let ttl =
            |text: &str| match Args::try_parse_from(["valetkey", "key", "add", "n", "--ttl", text])
            {
                Ok(Args {
                    verb: Verb::Key(Key { action: Some(KeyAction::Add(add)), .. }), ..
                }) => add.ttl,
                _ => None,
            };
        assert_eq!(ttl("3600"), Some(3600));
        assert_eq!(ttl("30d"), Some(30 * 86_400));
        assert_eq!(ttl("1h30m"), Some(5400));
        for wrong in ["0", "0s", "soon", "-1", "99999999999999999999"] {
            assert_eq!(ttl(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn flags_of_ask_may_follow_the_prompt_and_a_dash_is_a_prompt() {
        let args =
            Args::try_parse_from(["valetkey", "ask", "two", "words", "--json"]).expect("it parses");
        let Verb::Ask(ask) = args.verb else { panic!("another verb") };
        assert!(ask.json && ask.prompt == ["two", "words"]);
        let args = Args::try_parse_from(["valetkey", "ask", "-m", "x", "-"]).expect("it parses");
        let Verb::Ask(ask) = args.verb else { panic!("another verb") };
        assert_eq!(ask.prompt, ["-"]);
    }

    #[test]
    fn account_names_that_no_file_could_bear_are_usage_errors() {
        for wrong in ["../up", "A", "con"] {
            let error =
                Args::try_parse_from(["valetkey", "status", "--account", wrong]).expect_err(wrong);
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn global_flags_stand_before_or_after_the_verb() {
        for words in
            [["valetkey", "--socket", "/s", "status"], ["valetkey", "status", "--socket", "/s"]]
        {
            let args = Args::try_parse_from(words).expect("it parses");
            assert_eq!(args.global.socket.as_deref(), Some("/s"));
        }
    }
}

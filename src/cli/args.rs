//! The tree of verbs and flags, whose `--help` teaches by example.

mod verbs;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use verbs::*;

/// One ChatGPT login for every coding agent on your machine.
///
/// A daemon keeps the login, refreshes it and lends short-lived access tokens to your programs. Sign in
/// once with `valetkey login`; whatever needs a token asks `valetkey token`.
#[derive(Debug, Parser)]
#[command(name = "valetkey", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = "Examples:
  valetkey demo                               see it work, offline, in a few seconds
  valetkey login                              sign in with your browser
  valetkey login --device                     the same with a code, typed on any device
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

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Global {
    /// The daemon's socket (on Windows the name of its pipe)
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "PATH", env = "VALETKEY_SOCKET", hide_env_values = true)]
    pub(crate) socket: Option<String>,
    /// The configuration file
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "VALETKEY_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,
    /// Fail instead of starting a daemon where none runs
    #[arg(long, global = true, help_heading = GLOBAL)]
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
    /// List the models of the subscription
    Models(Models),
    /// List the accounts, or choose the current one
    Accounts(Accounts),
    /// Call any method of the daemon
    Rpc(Rpc),
    /// Show where files and the socket are
    Paths(Paths),
    /// Run the daemon in the foreground (for systemd, launchd and the curious)
    Serve(Serve),
    /// Run the stand-in vendor, for offline work and tests
    Sandbox(Sandbox),
    /// Show the whole path at work: sign in, lend, refresh, crash, recover, sign out
    Demo(Demo),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page
    Man(Man),
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
        for verb in Args::command().get_subcommands().filter(|verb| verb.get_name() != "help") {
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

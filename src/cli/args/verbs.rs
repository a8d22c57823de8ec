//! What each verb takes, and its examples.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

use crate::config;
use crate::rpc::{Scope, Which};

/// Which login is meant.
#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct Target {
    /// The vendor, as the configuration names it
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) vendor: Option<String>,
    /// The account at that vendor
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) account: Option<String>,
}

impl Target {
    pub(crate) fn which(&self) -> Which {
        Which { vendor: self.vendor.clone(), account: self.account.clone() }
    }
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey login                       with the browser on this machine
  valetkey login --device              with a code, typed on any other device
  valetkey login --account work        a second account beside the first
  valetkey login --force               again, even if signed in already")]
pub(crate) struct Login {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Sign in with a code on another device, instead of a browser on this one
    #[arg(long)]
    pub(crate) device: bool,
    /// Only print the address, open nothing
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// Sign in again where somebody is signed in, and let another account take its place
    #[arg(long)]
    pub(crate) force: bool,
    /// Accept the notice without being asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey logout
  valetkey logout --account work
  valetkey logout --no-revoke          forget the login here, leave it alive at the issuer")]
pub(crate) struct Logout {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not ask the issuer to revoke the login
    #[arg(long)]
    pub(crate) no_revoke: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey status
  valetkey status --json | jq .expires_at
  valetkey status >/dev/null || valetkey login")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey token                                the token alone
  curl -H \"$(valetkey token --header)\" https://…
  valetkey token --json | jq -r .headers
  valetkey token --rejected 17                  the API answered 401 to token 17: get another")]
pub(crate) struct Token {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the whole answer as JSON: token, end, generation and the headers that the API wants
    #[arg(long, conflicts_with = "header")]
    pub(crate) json: bool,
    /// Print it as a header: `Authorization: Bearer …`
    #[arg(long)]
    pub(crate) header: bool,
    /// Seconds that the token must still live [default: 60]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) min_ttl: Option<u64>,
    /// The generation of a token that the API refused
    #[arg(long, value_name = "GENERATION")]
    pub(crate) rejected: Option<u64>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey models
  valetkey models --refresh            ask the vendor even if the list is known")]
pub(crate) struct Models {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Ask the vendor even where an answer is remembered
    #[arg(long)]
    pub(crate) refresh: bool,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey ask 'Why is the sky blue?'
  git diff | valetkey ask -m gpt-5.5 'Review this change.'
  valetkey ask --system 'Answer in one word.' --effort low 'Is 91 a prime?'
  valetkey ask - < question.txt
  valetkey ask --json hello | jq .usage")]
pub(crate) struct Ask {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The model [default: the first that `valetkey models` lists]
    #[arg(long, short, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// What the model is told before the prompt
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How hard it thinks, as low, medium or high; `valetkey models --json` lists what a model takes
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub(crate) effort: Option<String>,
    /// Print the final response as JSON, in one piece
    #[arg(long)]
    pub(crate) json: bool,
    /// The prompt; what is piped in follows it, and `-` is what is piped in alone
    pub(crate) prompt: Vec<String>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey usage
  valetkey usage --json | jq '.windows[].used_percent'")]
pub(crate) struct Usage {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey lease --client codex        the key alone, as the Codex CLI's auth.command wants it
  OPENAI_API_KEY=$(valetkey lease) OPENAI_BASE_URL=http://127.0.0.1:8459/v1 my-agent
  valetkey lease --ttl 8h --json       with its end and the base URL")]
pub(crate) struct Lease {
    /// Who it is for: a name for the audit trail and `valetkey usage`
    #[arg(long, value_name = "NAME", value_parser = name, default_value = "lease")]
    pub(crate) client: String,
    /// How long it lives, in seconds or as 90s, 30m or 8h [default: an hour]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttl: Option<u64>,
    /// Print the daemon's answer as JSON: key, end and base URL
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  valetkey key add editor                     prints the key, this once
  valetkey key add ci --ttl 30d
  valetkey key add prometheus --scope metrics
  valetkey key                                the keys there are
  valetkey key revoke editor")]
pub(crate) struct Key {
    #[command(subcommand)]
    pub(crate) action: Option<KeyAction>,
    #[command(flatten)]
    pub(crate) list: KeyList,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make a key and print it, alone on standard output
    Add(KeyAdd),
    /// List the keys, without what opens anything
    List(KeyList),
    /// End a key, at once and for connections that are open as well
    Revoke(KeyRevoke),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeyAdd {
    /// Its name, for the list and the audit trail
    #[arg(value_parser = name)]
    pub(crate) name: String,
    /// How long it lives, in seconds or as 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(crate) ttl: Option<u64>,
    /// What it opens beside completions and models: subscription (the endpoints that sign in and out) or metrics
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    pub(crate) scopes: Vec<Scope>,
}

#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct KeyList {
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KeyRevoke {
    /// Which
    #[arg(value_parser = name)]
    pub(crate) name: String,
}

#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  valetkey accounts                    the accounts, the current one first
  valetkey accounts use work           from now on callers who name none get `work`")]
pub(crate) struct Accounts {
    #[command(subcommand)]
    pub(crate) action: Option<AccountsAction>,
    #[command(flatten)]
    pub(crate) list: AccountsList,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountsAction {
    /// List the accounts, the current one first
    List(AccountsList),
    /// Choose the account for callers who name none
    Use(AccountsUse),
}

#[derive(Debug, Clone, Default, ClapArgs)]
pub(crate) struct AccountsList {
    /// The vendor, as the configuration names it
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) vendor: Option<String>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct AccountsUse {
    /// The account's name
    #[arg(value_parser = name)]
    pub(crate) account: String,
    /// The vendor, as the configuration names it
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) vendor: Option<String>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey rpc ping
  valetkey rpc status '{\"account\": \"work\"}'
  valetkey rpc audit.tail '{\"limit\": 5}'
  echo '{}' | valetkey rpc info -")]
pub(crate) struct Rpc {
    /// The method, as `status` or `audit.tail`
    pub(crate) method: String,
    /// Its parameters as a JSON object; `-` reads them from standard input
    #[arg(value_name = "JSON", default_value = "{}")]
    pub(crate) params: String,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey paths
  socat - UNIX-CONNECT:\"$(valetkey paths --json | jq -r .socket)\"")]
pub(crate) struct Paths {
    /// Print them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey serve
  RUST_LOG=valetkey=debug valetkey serve
  valetkey serve --config ./config.toml")]
pub(crate) struct Serve {
    /// Leave the terminal's session, and log to files (how client verbs and the Task Scheduler start it)
    #[arg(long, hide = true)]
    pub(crate) detach: bool,
    /// What else VALETKEY_DATA_DIR says: a scheduled task has no environment of its own
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// What else VALETKEY_STATE_DIR says
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey sandbox                     on http://127.0.0.1:8455, with a page to click
  valetkey sandbox --approve           sign-ins approve themselves
  valetkey sandbox --access-ttl 30s    tokens that end soon, to watch refreshes")]
pub(crate) struct Sandbox {
    /// The loopback port; 0 takes a free one
    #[arg(long, default_value_t = 8455)]
    pub(crate) port: u16,
    /// Approve every sign-in without a click
    #[arg(long)]
    pub(crate) approve: bool,
    /// How long its access tokens live
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration)]
    pub(crate) access_ttl: Duration,
    /// Print one line of JSON with the addresses, for scripts
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The demo needs no account and no network: it runs the stand-in vendor and a daemon of its
own in a private folder, checks each step as it happens, and removes everything again."
)]
pub(crate) struct Demo {}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey completions bash > ~/.local/share/bash-completion/completions/valetkey
  valetkey completions zsh > \"${fpath[1]}/_valetkey\"
  valetkey completions fish > ~/.config/fish/completions/valetkey.fish")]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  valetkey man | man -l -
  valetkey man --dir ~/.local/share/man/man1")]
pub(crate) struct Man {
    /// Write one page for each verb into this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

fn name(text: &str) -> Result<String, String> {
    if config::valid_name(text) {
        return Ok(text.to_owned());
    }
    Err("a name is made of lower-case letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let long_enough = config::duration(text).filter(|d| d.as_secs() > 0);
    long_enough.ok_or_else(|| "expected a duration such as 90s, 1m30s or 24h".to_owned())
}

/// Whole seconds, or a duration in words; zero is refused.
fn seconds(text: &str) -> Result<u64, String> {
    let secs = text.parse().ok().or_else(|| Some(config::duration(text)?.as_secs()));
    secs.filter(|secs| *secs > 0).ok_or_else(|| {
        "expected seconds such as 3600, or a duration such as 90s, 8h or 30d".to_owned()
    })
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "subscription" => Ok(Scope::Subscription),
        "metrics" => Ok(Scope::Metrics),
        _ => Err("expected subscription or metrics".to_owned()),
    }
}

/// Which levels there are is the model's business; a word it has to be.
fn level(text: &str) -> Result<String, String> {
    let is_word = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
    is_word.then(|| text.to_owned()).ok_or_else(|| "expected a word such as low or high".to_owned())
}

//! The other program's file: where it is, what stands in it, and why there may be nothing in it.

use std::io;
use std::path::{Path, PathBuf};

use crate::rpc::ImportSource;

use super::super::failure::{Exit, Failure};
use super::super::others;

/// The setting of the Codex CLI that says where its login is kept (openai/codex, `codex-rs/core/src/config`).
const CODEX_STORE: &str = "cli_auth_credentials_store";

/// A file as it was read.
pub(super) struct Found {
    pub(super) source: ImportSource,
    pub(super) path: PathBuf,
    /// All of it, tokens included: for the daemon, and to see whether it was changed since.
    pub(super) text: String,
    other: Option<others::Other>,
}

impl Found {
    /// Reads the file that was named, or the usual one.
    pub(super) fn open(source: ImportSource, named: Option<&Path>) -> Result<Self, Failure> {
        let path = match named {
            Some(path) => std::path::absolute(path).map_err(|error| {
                Failure::new(Exit::Usage, format!("this is no usable path: {error}"))
            })?,
            None => others::usual_file(source).ok_or_else(|| {
                Failure::new(Exit::Failed, "this user has no home directory")
                    .hint("name the file: `valetkey import PROGRAM FILE`")
            })?,
        };
        match others::read(&path) {
            Ok(text) => {
                let other = others::whose(source, path.clone(), &text);
                Ok(Self { source, path, text, other })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(source, &path)),
            Err(error) => Err(Failure::new(
                Exit::Failed,
                format!("{} cannot be read: {error}", path.display()),
            )
            .hint("is it yours, and the right file?")),
        }
    }

    /// The account that the file names, unverified.
    pub(super) fn account_id(&self) -> Option<&str> {
        self.other.as_ref()?.account_id.as_deref()
    }

    /// Whom the file names, unverified.
    pub(super) fn who(&self) -> Option<String> {
        let other = self.other.as_ref()?;
        other.email.clone().or_else(|| other.account_id.clone())
    }
}

fn missing(source: ImportSource, path: &Path) -> Failure {
    let (program, shown) = (others::name(source), path.display());
    if source == ImportSource::Codex
        && let Some(config) = path.parent().map(|home| home.join("config.toml"))
        && keeps_in_keyring(&config)
    {
        return Failure::new(
            Exit::Failed,
            format!("{program} keeps its login in the system's keyring, where nobody else can read it"),
        )
        .hint(format!(
            "set {CODEX_STORE} = \"file\" in {}, run `codex login`, and import then; or sign in here with `valetkey login`",
            config.display()
        ));
    }
    let hint = match others::find().first() {
        Some(other) => format!(
            "{} holds one: `valetkey import {}`",
            others::name(other.source),
            super::word(other.source)
        ),
        None => "sign in with `valetkey login`, or name the file: `valetkey import PROGRAM FILE`"
            .to_owned(),
    };
    Failure::new(Exit::Failed, format!("{program} holds no login: there is no {shown}")).hint(hint)
}

/// Whether the Codex CLI is told to use the keyring, where it can or always.
fn keeps_in_keyring(config: &Path) -> bool {
    let table: Option<toml::Table> = others::read(config).ok().and_then(|text| text.parse().ok());
    let store = table.as_ref().and_then(|table| table.get(CODEX_STORE)?.as_str());
    matches!(store, Some("keyring" | "auto"))
}

//! Signing the other program out of its copy, without its logout: that would end the login just adopted.
//!
//! Only what belongs to this login is taken out, a copy of the whole file is written first, and a file that
//! was changed since it was read is left alone.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::CstRootNode;
use serde_json::Value;

use crate::platform::{files, paths};
use crate::rpc::ImportSource;

use super::super::failure::{Exit, Failure};
use super::super::others;
use super::file::Found;

/// What the backup is called, after the file's own name.
const BACKUP: &str = "before-valetkey";
/// Backups of one file at most: who signs out that often cleans up first.
const BACKUPS_MAX: u32 = 99;
/// How often, and in all how long, a program that is writing its file is waited for.
const LOCK_LOOKS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What belongs to the login in the file of the Codex CLI. Without `auth_mode` an API key that stands beside it
/// is used (openai/codex, `resolved_mode`).
const CODEX_LOGIN: [&str; 3] = ["tokens", "last_refresh", "auth_mode"];

/// How the other program was signed out.
pub(super) struct SignedOut {
    /// The copy of its file.
    pub(super) backup: PathBuf,
    /// Whether the file stands, with what else was in it.
    pub(super) file_stands: bool,
}

/// Takes the login out of the file, if that is still what was adopted.
pub(super) fn sign_out(found: &Found) -> Result<SignedOut, Failure> {
    let shown = found.path.display();
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("the login is adopted, but {shown} {what}: {error}"))
            .hint("move the file away by hand; do not use that program's own logout")
    };
    // A link stays a link: what it leads to is changed.
    let target = paths::behind_links(&found.path).map_err(|error| failed("is gone", &error))?;
    let _lock = lock(&target).map_err(|error| failed("is in use", &error))?;
    let text = others::read(&target).map_err(|error| failed("cannot be read again", &error))?;
    if text != found.text {
        return Err(failed("was left as it is", &"it was changed meanwhile"));
    }
    let rest = without_login(found.source, &text)
        .ok_or_else(|| failed("was left as it is", &"it is not what it was taken for"))?;
    let backup = back_up(&target, &text).map_err(|error| failed("cannot be copied", &error))?;
    let changed = match &rest {
        Some(rest) => files::replace(&target, rest.as_bytes()),
        // A copy of it stands beside it.
        None => files::remove(&target),
    };
    changed.map_err(|error| failed("cannot be changed", &error))?;
    Ok(SignedOut { backup, file_stands: rest.is_some() })
}

/// The file without the login, and nothing where nothing else is in it.
#[expect(clippy::option_option, reason = "no JSON at all is a third thing")]
fn without_login(source: ImportSource, text: &str) -> Option<Option<String>> {
    let file: Value = serde_json::from_str(text).ok()?;
    let members: &[&str] = match source {
        ImportSource::Codex => &CODEX_LOGIN,
        // The whole file is the login.
        ImportSource::Openhands => return Some(None),
        ImportSource::Opencode => &["openai"],
    };
    let mut others = file.as_object()?.iter().filter(|(name, _)| !members.contains(&name.as_str()));
    // Any file, however empty, makes the Codex CLI believe that it is signed in.
    if source == ImportSource::Codex && others.all(|(_, value)| value.is_null()) {
        return Some(None);
    }
    let root = CstRootNode::parse(text, &ParseOptions::default()).ok()?;
    let object = root.object_value()?;
    for member in members {
        while let Some(property) = object.get(member) {
            property.remove();
        }
    }
    Some(Some(root.to_string()))
}

/// Writes a copy beside the file, for its owner alone, and over nothing.
fn back_up(target: &Path, text: &str) -> io::Result<PathBuf> {
    let dir = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let mut copy = files::new_in(dir)?;
    copy.write_all(text.as_bytes())?;
    copy.as_file().sync_all()?;
    for number in 1..=BACKUPS_MAX {
        let ending = if number == 1 { String::new() } else { format!("-{number}") };
        let backup = dir.join(format!("{name}.{BACKUP}{ending}"));
        match copy.persist_noclobber(&backup) {
            Ok(_) => return files::sync_dir(dir).map(|()| backup),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => copy = error.file,
            Err(error) => return Err(error.error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "there are too many backups beside it"))
}

/// The lock beside the file that its program takes when it writes (`auth.json.lock` of the Codex CLI), where
/// there is one.
fn lock(target: &Path) -> io::Result<Option<File>> {
    let mut name = target.as_os_str().to_owned();
    name.push(".lock");
    let file = match File::options().read(true).write(true).open(PathBuf::from(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for _ in 0..LOCK_LOOKS {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            // Where locks do not work there is nobody to wait for.
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "its program is writing it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(source: ImportSource, text: &str) -> Option<Option<String>> {
        without_login(source, text)
    }

    #[test]
    fn only_the_login_is_taken_out_and_all_else_stays_to_the_letter() {
        let opencode =
            "{\n  \"a\": { \"type\":\"api\" },\n  \"openai\": {\"x\": 1},\n  \"b\" : 2\n}\n";
        let left = "{\n  \"a\": { \"type\":\"api\" },\n  \"b\" : 2\n}\n";
        assert_eq!(rest(ImportSource::Opencode, opencode), Some(Some(left.into())));
        let twice = r#"{"openai":1,"openai":2}"#;
        let twice = rest(ImportSource::Opencode, twice).flatten().expect("a rest");
        assert_eq!(serde_json::from_str::<Value>(&twice).expect("JSON"), serde_json::json!({}));
        let key = r#"{"auth_mode":"chatgpt","OPENAI_API_KEY":"k","tokens":{},"last_refresh":"x"}"#;
        let key = rest(ImportSource::Codex, key).flatten().expect("a rest");
        assert_eq!(
            serde_json::from_str::<Value>(&key).expect("JSON"),
            serde_json::json!({"OPENAI_API_KEY": "k"})
        );
    }

    #[test]
    fn a_file_of_nothing_else_goes_whole() {
        let codex =
            r#"{"auth_mode":"chatgpt","OPENAI_API_KEY":null,"tokens":{},"last_refresh":"x"}"#;
        assert_eq!(rest(ImportSource::Codex, codex), Some(None));
        assert_eq!(rest(ImportSource::Openhands, r#"{"type":"oauth"}"#), Some(None));
        assert_eq!(rest(ImportSource::Codex, "[]"), None);
        assert_eq!(rest(ImportSource::Opencode, "{"), None);
    }

    #[test]
    fn backups_are_written_over_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("auth.json");
        for (text, name) in
            [("1", "auth.json.before-valetkey"), ("2", "auth.json.before-valetkey-2")]
        {
            let backup = back_up(&file, text).expect("copied");
            assert_eq!(backup, dir.path().join(name));
        }
        let first = std::fs::read(dir.path().join("auth.json.before-valetkey"));
        assert_eq!(first.expect("it stands"), b"1");
    }

    #[test]
    fn a_program_that_writes_is_waited_for_and_no_lock_is_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("auth.json");
        assert!(lock(&file).expect("nobody").is_none());
        let theirs = File::create(dir.path().join("auth.json.lock")).expect("made");
        assert!(lock(&file).expect("free").is_some());
        theirs.lock().expect("locked");
        assert_eq!(lock(&file).expect_err("taken").kind(), io::ErrorKind::WouldBlock);
    }
}

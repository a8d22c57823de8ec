//! Other programs of this person that hold a login of their own: where they keep it, and whose it is.
//!
//! Read to be adopted, and to warn: a login that two programs own is sooner or later lost to both. What a
//! file says of its owner is shown as what it says; the daemon alone verifies it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::rpc::ImportSource;

/// The most that is read of such a file; the daemon takes no more either.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Where OpenAI's own claims stand in its tokens (openai/codex, `codex-rs/login/src/token_data.rs`).
const AUTH_CLAIM: &str = "https://api.openai.com/auth";
const PROFILE_CLAIM: &str = "https://api.openai.com/profile";

/// All programs that are known to keep one.
const PROGRAMS: [ImportSource; 3] =
    [ImportSource::Codex, ImportSource::Openhands, ImportSource::Opencode];

/// A login that another program holds. Never the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    /// Whose.
    pub(crate) source: ImportSource,
    /// The file.
    pub(crate) path: PathBuf,
    /// The vendor's id of the account, as far as the file says.
    pub(crate) account_id: Option<String>,
    /// The e-mail address, as far as the file says. Unverified.
    pub(crate) email: Option<String>,
}

/// Every login that another program of this person holds. Files that are missing, or hold no login, are
/// none; one that cannot be read or understood is none either.
pub(crate) fn find() -> Vec<Other> {
    let look = |source| {
        let path = usual_file(source)?;
        let text = read(&path).ok()?;
        whose(source, path, &text)
    };
    PROGRAMS.into_iter().filter_map(look).collect()
}

/// What a program is called.
pub(crate) fn name(source: ImportSource) -> &'static str {
    match source {
        ImportSource::Codex => "the Codex CLI",
        ImportSource::Openhands => "OpenHands",
        ImportSource::Opencode => "opencode",
    }
}

/// The file in which a program keeps its login; nothing where this user has no home.
pub(crate) fn usual_file(source: ImportSource) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned());
    let path = match source {
        ImportSource::Codex => {
            set("CODEX_HOME").or_else(|| Some(home()?.join(".codex")))?.join("auth.json")
        }
        ImportSource::Openhands => home()?.join(".openhands/auth/openai_oauth.json"),
        // It follows the XDG rules on every system.
        ImportSource::Opencode => set("XDG_DATA_HOME")
            .or_else(|| Some(home()?.join(".local/share")))?
            .join("opencode/auth.json"),
    };
    std::path::absolute(path).ok()
}

/// The text of such a file.
///
/// # Errors
/// As the system's; one that is no plain file, is too long or is no text is `InvalidData`.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    // A pipe would be waited for.
    if !std::fs::metadata(path)?.is_file() {
        return Err(invalid("it is not a plain file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(invalid("it is far too long to be a login"));
    }
    String::from_utf8(bytes).map_err(|_| invalid("it is not text"))
}

/// Whose login stands in this text; nothing where none does.
pub(crate) fn whose(source: ImportSource, path: PathBuf, text: &str) -> Option<Other> {
    let file: Value = serde_json::from_str(text).ok()?;
    let (tokens, refresh, account) = match source {
        ImportSource::Codex => (&file["tokens"], "refresh_token", "account_id"),
        ImportSource::Openhands => (&file, "refresh_token", "account_id"),
        ImportSource::Opencode => (&file["openai"], "refresh", "accountId"),
    };
    tokens[refresh].as_str().filter(|token| !token.is_empty())?;
    let claims: Vec<Value> = ["id_token", "access_token", "access"]
        .into_iter()
        .filter_map(|member| claims(tokens[member].as_str()?))
        .collect();
    let claimed = |look: fn(&Value) -> &Value| {
        claims.iter().find_map(|claims| look(claims).as_str()).map(str::to_owned)
    };
    Some(Other {
        source,
        path,
        account_id: tokens[account]
            .as_str()
            .map(str::to_owned)
            .or_else(|| claimed(|claims| &claims[AUTH_CLAIM]["chatgpt_account_id"])),
        email: claimed(|claims| &claims["email"])
            .or_else(|| claimed(|claims| &claims[PROFILE_CLAIM]["email"])),
    })
}

/// What a token says of itself. Its signature is not looked at.
fn claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(claims: &Value) -> String {
        format!("e30.{}.canary", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn seen(source: ImportSource, file: &Value) -> Option<(Option<String>, Option<String>)> {
        let other = whose(source, "f".into(), &file.to_string())?;
        assert!(!format!("{other:?}").contains("canary"), "{other:?}");
        Some((other.account_id, other.email))
    }

    #[test]
    fn whose_login_it_is_comes_from_the_file_or_from_its_tokens() {
        let id = token(&json!({"email": "a@example.org", AUTH_CLAIM: {"chatgpt_account_id": "x"}}));
        let access = token(&json!({
            AUTH_CLAIM: {"chatgpt_account_id": "acc"}, PROFILE_CLAIM: {"email": "b@example.org"},
        }));
        let who = |account: &str, email: &str| Some((Some(account.into()), Some(email.into())));
        let mut codex = json!({"tokens": {
            "refresh_token": "canary", "account_id": "told", "id_token": id, "access_token": access,
        }});
        assert_eq!(seen(ImportSource::Codex, &codex), who("told", "a@example.org"));
        codex["tokens"]["id_token"] = Value::Null;
        codex["tokens"]["account_id"] = Value::Null;
        assert_eq!(seen(ImportSource::Codex, &codex), who("acc", "b@example.org"));
        let openhands = json!({"refresh_token": "canary", "access_token": access});
        assert_eq!(seen(ImportSource::Openhands, &openhands), who("acc", "b@example.org"));
        let opencode = json!({"openai": {"refresh": "canary", "access": "opaque"}});
        assert_eq!(seen(ImportSource::Opencode, &opencode), Some((None, None)));
        for none in [json!({"OPENAI_API_KEY": "k"}), json!({"tokens": {"refresh_token": ""}})] {
            assert_eq!(seen(ImportSource::Codex, &none), None, "{none}");
        }
    }

    #[test]
    fn what_is_no_plain_text_file_is_not_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("f");
        assert_eq!(read(dir.path()).expect_err("a folder").kind(), io::ErrorKind::InvalidData);
        assert_eq!(read(&path).expect_err("missing").kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, [0xff]).expect("written");
        assert_eq!(read(&path).expect_err("no text").kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, vec![b' '; 256 * 1024 + 1]).expect("written");
        assert_eq!(read(&path).expect_err("too long").kind(), io::ErrorKind::InvalidData);
    }
}

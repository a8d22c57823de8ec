//! What another program's file says of the login it holds. Pure.
//!
//! Three programs keep the same kind of grant in three shapes. Here they become one, or one sentence that
//! says why there is nothing to adopt. Nothing here is believed yet, and no sentence quotes the file:
//! whatever stands in it may be a token.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::Timestamp;
use crate::secret::{AccessToken, IdToken, RefreshToken, Secret};

/// The most that is read: a file with a dozen providers is a tenth of it.
const CONTENTS_BYTES_MAX: usize = 256 * 1024;
/// The longest token taken: twice what the largest business account's has been seen to be.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// The programs whose logins can be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportSource {
    /// The Codex CLI: `auth.json` (openai/codex, `codex-rs/login/src/auth/storage.rs`).
    Codex,
    /// The OpenHands SDK: `openai_oauth.json` (OpenHands/software-agent-sdk, `llm/auth`).
    Openhands,
    /// opencode: `auth.json` (sst/opencode, `auth/index.ts`).
    Opencode,
}

/// A grant as another program keeps it.
#[derive(Debug)]
pub struct Imported {
    /// The token that buys the next.
    pub refresh_token: RefreshToken,
    /// The token that it lends itself; it may have ended.
    pub access_token: AccessToken,
    /// Says who signed in, where it is kept.
    pub id_token: Option<IdToken>,
    /// When the access token ends, where the file says so beside it.
    pub expires_at: Option<Timestamp>,
    /// The issuer and the client that it was granted by and to, where the file says so.
    pub provenance: Option<(String, String)>,
}

/// Why there is nothing to adopt: one sentence.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

impl Unusable {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Reads what stands in the file of this program.
///
/// # Errors
/// [`Unusable`], where it holds no such login.
pub fn parse(source: ImportSource, contents: &Secret) -> Result<Imported, Unusable> {
    let text = contents.expose();
    if text.len() > CONTENTS_BYTES_MAX {
        return Err(Unusable::new("the file is far too long to be a login"));
    }
    // Not serde's own words: they may quote what stands there.
    let file: Value = serde_json::from_str(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Unusable::new(format!("the file is not JSON (line {line}, column {column})"))
    })?;
    if !file.is_object() {
        return Err(Unusable::new("the file holds no JSON object"));
    }
    match source {
        ImportSource::Codex => codex(&file),
        ImportSource::Openhands => openhands(&file),
        ImportSource::Opencode => opencode(&file),
    }
}

fn codex(file: &Value) -> Result<Imported, Unusable> {
    let tokens = &file["tokens"];
    if !tokens.is_object() {
        let has = |name: &str| file[name].as_str().is_some_and(|value| !value.is_empty());
        return Err(Unusable::new(if has("OPENAI_API_KEY") {
            "the Codex CLI uses an API key there, not a login: there is nothing to adopt"
        } else if has("personal_access_token") {
            "the Codex CLI uses a personal access token there, not a login: there is nothing to adopt"
        } else if file.get("agent_identity").is_some_and(|value| !value.is_null()) {
            "the Codex CLI uses an agent identity there, not a login: there is nothing to adopt"
        } else {
            "nobody is signed in there: the file of the Codex CLI holds no tokens"
        }));
    }
    if file["auth_mode"] == "chatgptAuthTokens" || tokens["refresh_token"] == "" {
        return Err(Unusable::new(
            "the Codex CLI is lent its tokens there by another program, which holds the login itself",
        ));
    }
    let came_from = &tokens["oauth_provenance"];
    let id_token = match tokens["id_token"].as_str() {
        Some(_) => Some(IdToken::new(token(tokens, "id_token")?)),
        None => None,
    };
    Ok(Imported {
        refresh_token: RefreshToken::new(token(tokens, "refresh_token")?),
        access_token: AccessToken::new(token(tokens, "access_token")?),
        id_token,
        expires_at: None,
        provenance: text(came_from, "issuer").zip(text(came_from, "client_id")),
    })
}

fn openhands(file: &Value) -> Result<Imported, Unusable> {
    if file["vendor"].as_str().is_some_and(|vendor| vendor != "openai") {
        return Err(Unusable::new("the login there is for another vendor than openai"));
    }
    Ok(Imported {
        refresh_token: RefreshToken::new(token(file, "refresh_token")?),
        access_token: AccessToken::new(token(file, "access_token")?),
        id_token: None,
        expires_at: file["expires_at"].as_u64().map(Timestamp),
        provenance: None,
    })
}

fn opencode(file: &Value) -> Result<Imported, Unusable> {
    let login = &file["openai"];
    match login["type"].as_str() {
        Some("oauth") => Ok(Imported {
            refresh_token: RefreshToken::new(token(login, "refresh")?),
            access_token: AccessToken::new(token(login, "access")?),
            id_token: None,
            expires_at: login["expires"].as_u64().map(Timestamp),
            provenance: None,
        }),
        Some("api") => Err(Unusable::new(
            "opencode uses an API key for openai there, not a login: there is nothing to adopt",
        )),
        _ => Err(Unusable::new(
            "nobody is signed in there: the file of opencode holds no login for openai",
        )),
    }
}

fn text(of: &Value, name: &str) -> Option<String> {
    of[name].as_str().map(str::to_owned)
}

/// A member that is a token: visible characters, and not without bound.
fn token(of: &Value, name: &str) -> Result<String, Unusable> {
    match of[name].as_str() {
        None | Some("") => Err(Unusable::new(format!("the file holds no {name}"))),
        Some(value)
            if value.len() > TOKEN_BYTES_MAX
                || !value.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Err(Unusable::new(format!("what the file holds as {name} cannot be a token")))
        }
        Some(value) => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests;

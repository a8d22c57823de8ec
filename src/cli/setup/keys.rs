//! Keys of their own for agents that can neither run a command nor read the socket.
//!
//! Each agent gets a key that opens the door and nothing else, under its own name, so that the trail and the
//! counts tell who asked, and so that it can be ended alone. It is kept in a file for its owner alone, where
//! an agent's configuration can point to it instead of holding it.

use std::io;
use std::path::PathBuf;

use serde_json::Value;

use crate::platform::files;
use crate::platform::paths::Paths;
use crate::rpc::client::{CallError, Client};
use crate::rpc::{Empty, KeyAdded, Keys, KeysAdd, KeysRevoke};
use crate::secret::Secret;

use super::super::failure::{Exit, Failure};
use super::shelf::Shelf;

/// How many names are tried where the person has keys of the agent's name.
const NAMES_TRIED: usize = 20;

/// The longest key that is read from a file of ours.
const KEY_BYTES_MAX: u64 = 256;

/// Where the key of an agent is kept.
pub(super) fn file_of(paths: &Paths, agent: &str) -> PathBuf {
    paths.data_dir.join("keys").join(format!("{agent}.key"))
}

/// The key that was made for an agent, if it still opens the door.
pub(super) fn kept(
    client: &mut Client,
    paths: &Paths,
    shelf: &Shelf,
    agent: &str,
) -> Result<Option<Secret>, Failure> {
    let Some(name) = shelf.key_name(agent) else { return Ok(None) };
    if !names(client)?.contains(&name) {
        return Ok(None);
    }
    let bytes = files::read(&file_of(paths, agent), KEY_BYTES_MAX).ok().flatten();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(key.filter(|key| !key.is_empty()).map(Secret::new))
}

/// Makes a key for an agent and keeps it; an older one that was made for it ends.
pub(super) fn make(
    client: &mut Client,
    paths: &Paths,
    shelf: &Shelf,
    agent: &str,
) -> Result<Secret, Failure> {
    end(client, paths, shelf, agent)?;
    let taken = names(client)?;
    let name = free_name(agent, &taken).ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            format!("there are {NAMES_TRIED} keys named after {agent} already"),
        )
        .hint("`valetkey key` lists them; revoke those that nobody needs")
    })?;
    let params = KeysAdd { name: name.clone(), ttl: None, scopes: None };
    let added: KeyAdded = client.call("keys.add", &params)?;
    let path = file_of(paths, agent);
    let keep = || {
        shelf.set_key_name(agent, Some(&name))?;
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        files::private_dir(folder).map_err(io::Error::other)?;
        files::replace(&path, added.key.expose().as_bytes())
    };
    if let Err(error) = keep() {
        let failure =
            Failure::new(Exit::Failed, format!("{} could not be written: {error}", path.display()));
        // A key that nobody holds opens nothing, but it should not stand in the list either.
        let _ = end(client, paths, shelf, agent);
        return Err(failure);
    }
    Ok(added.key)
}

/// Ends the key that was made for an agent, and forgets it. Without one nothing happens.
pub(super) fn end(
    client: &mut Client,
    paths: &Paths,
    shelf: &Shelf,
    agent: &str,
) -> Result<Option<String>, Failure> {
    let Some(name) = shelf.key_name(agent) else { return Ok(None) };
    if names(client)?.contains(&name) {
        let revoked: Result<Value, CallError> =
            client.call("keys.revoke", &KeysRevoke { name: name.clone() });
        revoked?;
    }
    forget(paths, shelf, agent)?;
    Ok(Some(name))
}

/// Forgets the key that was made for an agent without ending it. Gives its name.
pub(super) fn forget(paths: &Paths, shelf: &Shelf, agent: &str) -> Result<Option<String>, Failure> {
    let name = shelf.key_name(agent);
    let path = file_of(paths, agent);
    let removed = files::remove(&path).and_then(|()| shelf.set_key_name(agent, None));
    removed.map_err(|error| {
        Failure::new(Exit::Failed, format!("{} could not be removed: {error}", path.display()))
    })?;
    if let Some(folder) = path.parent() {
        // Keys of others may stand there.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(name)
}

fn names(client: &mut Client) -> Result<Vec<String>, Failure> {
    let list: Keys = client.call("keys.list", &Empty {})?;
    Ok(list.keys.into_iter().map(|key| key.name).collect())
}

/// `codex`, or `codex-2` and so on where the person has keys of that name.
fn free_name(agent: &str, taken: &[String]) -> Option<String> {
    let numbered =
        |number: usize| if number == 1 { agent.to_owned() } else { format!("{agent}-{number}") };
    (1..=NAMES_TRIED).map(numbered).find(|name| !taken.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_persons_keeps_its_name() {
        let taken =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(free_name("aider", &taken(&["codex"])).as_deref(), Some("aider"));
        assert_eq!(free_name("aider", &taken(&["aider", "aider-2"])).as_deref(), Some("aider-3"));
        let all: Vec<String> = (1..=NAMES_TRIED)
            .filter_map(|count| free_name("x", &vec!["x".to_owned(); count]))
            .collect();
        assert!(all.iter().all(|name| name == "x-2"));
    }
}

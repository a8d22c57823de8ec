//! The list on the disk: what an offline start serves until the vendor can be asked again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::super::keeping;
use super::ModelsSource;
use super::known::Known;
use super::shelf::{Memory, Whose};
use crate::clock::Timestamp;
use crate::login::directory::{DEFAULT_ACCOUNT, Named};
use crate::vendor::openai::CLIENT_VERSION;

/// The version of the file's form.
const VERSION: u32 = 1;
/// The longest file read, in bytes: an answer of the vendor is at most four mebibytes.
const MOST_BYTES: u64 = 5 << 20;

/// What stands in the file.
#[derive(Serialize, Deserialize)]
struct Form<M> {
    version: u32,
    /// The vendor and account by name, and what stood behind the names: a list belongs to that only.
    vendor: String,
    account: String,
    api_base: String,
    account_id: Option<String>,
    /// What the list was asked with; another version of this program may be told of other models.
    client_version: String,
    fetched_at: Timestamp,
    etag: Option<String>,
    models: M,
}

/// The file of an account in the folder of lists, named as its credential file is.
pub(super) fn path(dir: &Path, named: &Named) -> PathBuf {
    let Named { vendor, account } = named;
    if account == DEFAULT_ACCOUNT {
        dir.join(format!("{vendor}.json"))
    } else {
        dir.join(format!("{vendor}@{account}.json"))
    }
}

/// Reads what an earlier run was told. A file that is missing, broken or about somebody else is none.
pub(super) fn read(path: &Path, named: &Named, whose: &Whose) -> Option<Memory> {
    let bytes = keeping::read(path, MOST_BYTES)?;
    let memory = decode(&bytes, named, whose);
    if memory.is_none() {
        tracing::info!(file = %path.display(), "the remembered list of models is of no use");
    }
    memory
}

fn decode(bytes: &[u8], named: &Named, whose: &Whose) -> Option<Memory> {
    let form: Form<Box<RawValue>> = serde_json::from_slice(bytes).ok()?;
    let theirs = Whose { api_base: form.api_base, account_id: form.account_id };
    let ours =
        form.version == VERSION && form.vendor == named.vendor && form.account == named.account;
    if !ours || theirs != *whose {
        return None;
    }
    // A list that was asked for in another version's name is good enough to begin with, no more.
    let same = form.client_version == CLIENT_VERSION;
    let body = format!("{{\"models\":{}}}", form.models.get());
    let etag = form.etag.filter(|_| same);
    let known = Known::read(body.as_bytes(), etag, ModelsSource::Cache)?;
    let at = if same { form.fetched_at } else { Timestamp(0) };
    Some(Memory { at, whose: theirs, known: Arc::new(known) })
}

/// Keeps a list; the bytes to write.
pub(super) fn encode(named: &Named, memory: &Memory) -> Option<Vec<u8>> {
    let models: &RawValue = serde_json::from_slice(memory.known.list()).ok()?;
    let form = Form {
        version: VERSION,
        vendor: named.vendor.clone(),
        account: named.account.clone(),
        api_base: memory.whose.api_base.clone(),
        account_id: memory.whose.account_id.clone(),
        client_version: CLIENT_VERSION.to_owned(),
        fetched_at: memory.at,
        etag: memory.known.etag.clone(),
        models,
    };
    serde_json::to_vec(&form).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named() -> Named {
        Named { vendor: "openai".into(), account: "work".into() }
    }

    fn whose() -> Whose {
        Whose { api_base: "https://api.example/".into(), account_id: Some("a1".into()) }
    }

    fn memory() -> Memory {
        let body = br#"{"models": [{"slug": "a", "base_instructions": "x"}, {"slug": "b", "visibility": "hide"}]}"#;
        let known = Known::read(body, Some("W/\"7\"".into()), ModelsSource::Upstream).unwrap();
        Memory { at: Timestamp(5), whose: whose(), known: Arc::new(known) }
    }

    #[test]
    fn a_list_comes_back_as_it_was_and_says_that_it_is_old() {
        let bytes = encode(&named(), &memory()).unwrap();
        let back = decode(&bytes, &named(), &whose()).unwrap();
        assert_eq!((back.at, back.known.source), (Timestamp(5), ModelsSource::Cache));
        assert_eq!(back.known.body, memory().known.body);
        assert_eq!(back.known.etag.as_deref(), Some("W/\"7\""));
    }

    #[test]
    fn what_is_about_somebody_else_is_no_memory() {
        let bytes = encode(&named(), &memory()).unwrap();
        let other = Named { account: "home".into(), ..named() };
        assert!(decode(&bytes, &other, &whose()).is_none());
        for (api_base, account_id) in [
            ("https://api.example/", Some("a2")),
            ("https://api.example/", None),
            ("https://other/", Some("a1")),
        ] {
            let whose = Whose { api_base: api_base.into(), account_id: account_id.map(Into::into) };
            assert!(decode(&bytes, &named(), &whose).is_none());
        }
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end], &named(), &whose()).is_none(), "cut at {end}");
        }
    }

    #[test]
    fn a_list_asked_for_in_another_versions_name_is_old_and_has_no_validator() {
        let bytes = encode(&named(), &memory()).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace(CLIENT_VERSION, "0.1.0");
        let back = decode(text.as_bytes(), &named(), &whose()).unwrap();
        assert_eq!((back.at, back.known.etag.as_deref()), (Timestamp(0), None));
    }

    #[test]
    fn files_are_named_as_credentials_are() {
        let dir = Path::new("models");
        assert_eq!(path(dir, &named()), dir.join("openai@work.json"));
        let default = Named { account: DEFAULT_ACCOUNT.into(), ..named() };
        assert_eq!(path(dir, &default), dir.join("openai.json"));
    }
}

//! Which models there are: asked of the vendor, remembered for a while and across restarts, known by heart
//! in the last resort.
//!
//! The list moves by the month, and everything that is carried needs it. So no completion waits for a list
//! that is merely old: that one is served, and renewed behind its back with the validator that it came
//! with. A vendor out of reach costs nobody more than the first question.

mod kept;
mod known;
mod shelf;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::keeping;
use crate::clock::Clock;
use crate::login::directory::Named;
use crate::login::{Login, LoginError, Logins};
use crate::platform::files;
use crate::vendor::openai::api::Listed;
use crate::vendor::{OpenAi, VendorError};
pub use known::{Known, Meant};
use shelf::{Memory, Shelf, Whose};

/// How long the token used for asking must still live.
const MIN_TTL: Duration = Duration::from_secs(60);
/// One model, as the vendor describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name to ask for it by.
    pub id: String,
    /// Whatever else the vendor says of it.
    #[serde(flatten)]
    pub more: serde_json::Map<String, Value>,
}

/// Where a list of models comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelsSource {
    /// Asked just now.
    Upstream,
    /// Asked earlier.
    Cache,
    /// Known to this program.
    Builtin,
}

/// The lists remembered: one for each account, as each may be on another plan. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Catalogue {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    shelves: Mutex<HashMap<Named, Arc<Shelf>>>,
    /// Files are read, written and removed one after the other, so that none comes back from the dead.
    disk: Mutex<()>,
}

/// Everything that one question is about.
#[derive(Clone)]
struct Place {
    named: Named,
    login: Login,
    vendor: Arc<OpenAi>,
    shelf: Arc<Shelf>,
    whose: Whose,
}

impl Catalogue {
    /// A catalogue that is remembered in this folder, which is made when there is something to remember.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        let (shelves, disk) = (Mutex::default(), Mutex::default());
        Self { inner: Arc::new(Inner { dir, shelves, disk }) }
    }

    /// The account was signed out: what it could use is nobody's any more, on the disk either.
    pub async fn forget(&self, named: &Named) {
        let (catalogue, named) = (self.clone(), named.clone());
        let forgotten = tokio::task::spawn_blocking(move || {
            let inner = &catalogue.inner;
            let _alone = inner.disk();
            let path = kept::path(&inner.dir, &named);
            if let Err(error) = files::remove(&path) {
                tracing::warn!(file = %path.display(), %error, "the list of models could not be removed");
            }
            inner.shelves().remove(&named);
        });
        let _ = forgotten.await;
    }

    /// What a login may use, asked of the vendor where nothing fresh is remembered or `refresh` is set.
    ///
    /// # Errors
    /// Where there is no such login or its files cannot be read. A vendor out of reach is no error: an
    /// older list serves.
    pub async fn models(
        &self,
        logins: &Logins,
        clock: &Clock,
        named: &Named,
        refresh: bool,
    ) -> Result<(Vec<Model>, ModelsSource), LoginError> {
        let place = self.place(logins, named).await?;
        let due = {
            let mut state = place.shelf.state();
            let now = clock.now();
            refresh || (state.is_due(now, &place.whose) && !state.failed_lately(now))
        };
        let asked = due && self.renew(&place, clock).await;
        let held = place.shelf.state().held(&place.whose);
        Ok(match held {
            Some(known) if asked => (known.models(), ModelsSource::Upstream),
            Some(known) => (known.models(), ModelsSource::Cache),
            None => (Known::builtin().models(), ModelsSource::Builtin),
        })
    }

    /// The list as the relay needs it. The vendor is waited for only where nothing is remembered and no
    /// question has failed yet; a list that is old, or of which an answer said that there is a newer one,
    /// is served and renewed behind.
    ///
    /// # Errors
    /// As [`Self::models`].
    pub async fn known(
        &self,
        logins: &Logins,
        clock: &Clock,
        named: &Named,
    ) -> Result<Arc<Known>, LoginError> {
        let place = self.place(logins, named).await?;
        let (held, behind) = {
            let (now, mut state) = (clock.now(), place.shelf.state());
            let held = state.held(&place.whose);
            let waits = held.is_none() && state.failed_at.is_none();
            let due = !waits && state.is_due(now, &place.whose) && state.may_ask_unasked(now);
            ((!waits).then_some(held), due)
        };
        let held = match held {
            Some(held) => held,
            None => {
                self.renew(&place, clock).await;
                place.shelf.state().held(&place.whose)
            }
        };
        if behind {
            let (catalogue, clock) = (self.clone(), clock.clone());
            tokio::spawn(async move { catalogue.renew(&place, &clock).await });
        }
        Ok(held.unwrap_or_else(|| Arc::new(Known::builtin())))
    }

    /// An answer carried this `x-models-etag`. One that differs from the list's own makes the list due;
    /// one that agrees makes it as good as asked for just now.
    pub fn note_etag(&self, named: &Named, etag: &str) {
        let shelf = self.inner.shelves().get(named).cloned();
        if let Some(shelf) = shelf {
            shelf.state().note(etag);
        }
    }

    /// Whom a name means just now, with what is remembered of it.
    async fn place(&self, logins: &Logins, named: &Named) -> Result<Place, LoginError> {
        // First of all, so that names that nobody ever signed in under make no shelves.
        let login = logins.login(named).await?;
        let vendor = logins.vendor(&named.vendor).ok_or(LoginError::NotFound)?;
        let shelf = Arc::clone(self.inner.shelves().entry(named.clone()).or_default());
        let whose = whose(&vendor, login.status().account_id);
        let place = Place { named: named.clone(), login, vendor, shelf, whose };
        // What an earlier run kept is told apart by the account's id; who has none has nothing there.
        if place.whose.account_id.is_some() && !place.shelf.state().recalled {
            self.recall(&place).await;
        }
        Ok(place)
    }

    /// Reads what an earlier run kept.
    async fn recall(&self, place: &Place) {
        let (catalogue, ours) = (self.clone(), place.clone());
        let read = tokio::task::spawn_blocking(move || {
            let inner = &catalogue.inner;
            let _alone = inner.disk();
            kept::read(&kept::path(&inner.dir, &ours.named), &ours.named, &ours.whose)
        });
        let memory = read.await.ok().flatten();
        let mut state = place.shelf.state();
        if !state.recalled {
            state.recalled = true;
            state.memory = state.memory.take().or(memory);
        }
    }

    /// Asks the vendor, one question at a time for each account; whether that worked.
    async fn renew(&self, place: &Place, clock: &Clock) -> bool {
        place.shelf.flight.ask(self.ask(place, clock)).await
    }

    async fn ask(&self, place: &Place, clock: &Clock) -> bool {
        place.shelf.state().asked_at = Some(clock.now());
        let memory = place.shelf.state().memory.clone().filter(|kept| kept.whose == place.whose);
        let etag = memory.as_ref().and_then(|kept| kept.known.etag.as_deref());
        let (listed, account_id) = match question(&place.vendor, &place.login, etag).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(%error, "the vendor could not be asked for its models");
                // Who is not signed in may be a moment later: that is no trouble of the vendor's.
                if !matches!(error, LoginError::LoginRequired { .. }) {
                    place.shelf.state().failed_at = Some(clock.now());
                }
                return false;
            }
        };
        let at = clock.now();
        let memory = match listed {
            Listed::Same => memory.map(|kept| (Memory { at, ..kept }, false)),
            Listed::Anew { etag, body } => {
                let known = Known::read(&body, etag, ModelsSource::Upstream).map(Arc::new);
                let whose = whose(&place.vendor, account_id);
                known.map(|known| (Memory { at, whose, known }, true))
            }
        };
        let Some((memory, anew)) = memory else {
            tracing::warn!("the vendor's answer is no list of models");
            place.shelf.state().failed_at = Some(at);
            return false;
        };
        place.shelf.state().learn(memory.clone());
        if anew {
            self.keep(place, memory).await;
        }
        true
    }

    /// Keeps a list for the next start, unless the account was signed out meanwhile.
    async fn keep(&self, place: &Place, memory: Memory) {
        let (catalogue, place) = (self.clone(), place.clone());
        let kept = tokio::task::spawn_blocking(move || {
            let inner = &catalogue.inner;
            let _alone = inner.disk();
            let current = inner.shelves().get(&place.named).cloned();
            if !current.is_some_and(|shelf| Arc::ptr_eq(&shelf, &place.shelf)) {
                return;
            }
            let path = kept::path(&inner.dir, &place.named);
            let written =
                kept::encode(&place.named, &memory).map(|bytes| keeping::write(&path, &bytes));
            if let Some(Err(error)) = written {
                tracing::warn!(file = %path.display(), %error, "the list of models could not be kept");
            }
        });
        let _ = kept.await;
    }
}

impl Inner {
    fn shelves(&self) -> MutexGuard<'_, HashMap<Named, Arc<Shelf>>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, ()> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whose(vendor: &OpenAi, account_id: Option<String>) -> Whose {
    Whose { api_base: vendor.config().api_base.to_string(), account_id }
}

/// Asks the vendor; a token that it no longer accepts is renewed once. With the answer comes the vendor's
/// id of the account in whose name it was asked.
async fn question(
    vendor: &OpenAi,
    login: &Login,
    etag: Option<&str>,
) -> Result<(Listed, Option<String>), LoginError> {
    let lent = login.lend(MIN_TTL).await?;
    match vendor.models(&lent.headers, etag).await {
        Err(VendorError::Refused { status: 401, .. }) => {
            let lent = login.reject(lent.generation, MIN_TTL).await?;
            Ok((vendor.models(&lent.headers, etag).await?, lent.account_id.clone()))
        }
        listed => Ok((listed?, lent.account_id.clone())),
    }
}

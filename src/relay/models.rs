//! Which models there are: asked of the vendor, remembered for a while, known by heart in the last resort.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::clock::{Clock, Timestamp};
use crate::login::directory::Named;
use crate::login::{Login, LoginError, Logins};
use crate::vendor::openai::BUILTIN_MODELS;
use crate::vendor::{OpenAi, VendorError};

/// How long an answer is used without asking again: the list moves by the month.
const FRESH: Duration = Duration::from_secs(300);
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

/// The lists remembered: one for each account, as each may be on another plan.
#[derive(Debug, Default)]
pub struct Catalogue {
    remembered: Mutex<HashMap<Named, Remembered>>,
}

#[derive(Clone, Debug)]
struct Remembered {
    at: Timestamp,
    models: Vec<Model>,
}

impl Catalogue {
    /// The account was signed out: what it could use is nobody's any more.
    pub fn forget(&self, named: &Named) {
        self.remembered().remove(named);
    }

    /// What a login may use, asked of the vendor where nothing fresh is remembered or `refresh` is set.
    ///
    /// # Errors
    /// Where the login's files cannot be read. A vendor out of reach is no error: an older list serves.
    pub async fn models(
        &self,
        logins: &Logins,
        clock: &Clock,
        named: &Named,
        refresh: bool,
    ) -> Result<(Vec<Model>, ModelsSource), LoginError> {
        let remembered = self.remembered().get(named).cloned();
        let fresh = |kept: &&Remembered| !refresh && clock.now().since(kept.at) < FRESH;
        if let Some(kept) = remembered.as_ref().filter(fresh) {
            return Ok((kept.models.clone(), ModelsSource::Cache));
        }
        let login = logins.login(named).await?;
        let vendor = logins.vendor(&named.vendor).ok_or(LoginError::NotFound)?;
        match ask(&vendor, &login).await {
            Ok(models) => {
                let kept = Remembered { at: clock.now(), models: models.clone() };
                self.remembered().insert(named.clone(), kept);
                Ok((models, ModelsSource::Upstream))
            }
            Err(error) => {
                tracing::warn!(%error, "the vendor could not be asked for its models");
                Ok(match remembered {
                    Some(kept) => (kept.models, ModelsSource::Cache),
                    None => (builtin(), ModelsSource::Builtin),
                })
            }
        }
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Named, Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the vendor; a token that it no longer accepts is renewed once.
async fn ask(vendor: &Arc<OpenAi>, login: &Login) -> Result<Vec<Model>, LoginError> {
    let lent = login.lend(MIN_TTL).await?;
    let listed = vendor.models(&lent.access_token, lent.account_id.as_deref()).await;
    let listed = match listed {
        Err(VendorError::Refused { status: 401, .. }) => {
            let lent = login.reject(lent.generation, MIN_TTL).await?;
            vendor.models(&lent.access_token, lent.account_id.as_deref()).await?
        }
        other => other?,
    };
    Ok(listed.into_iter().filter_map(model).collect())
}

/// A catalogue entry as a client sees it: by id, without what is hidden or of use to the Codex CLI alone.
fn model(entry: Value) -> Option<Model> {
    let Value::Object(mut more) = entry else { return None };
    if more.get("visibility").and_then(Value::as_str) == Some("hide") {
        return None;
    }
    more.remove("base_instructions");
    let id = more.remove("slug").or_else(|| more.remove("id"))?.as_str()?.to_owned();
    Some(Model { id, more })
}

fn builtin() -> Vec<Model> {
    let model = |id: &&str| Model { id: (*id).to_owned(), more: serde_json::Map::new() };
    BUILTIN_MODELS.iter().map(model).collect()
}

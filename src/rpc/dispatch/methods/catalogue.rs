//! Which models there are: asked of the vendor, remembered for a while, known by heart in the last resort.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::clock::{Clock, Timestamp};
use crate::login::directory::Named;
use crate::login::{Login, LoginError, Logins};
use crate::rpc::{Model, Models, ModelsParams, ModelsSource};
use crate::vendor::openai::BUILTIN_MODELS;
use crate::vendor::{OpenAi, VendorError};

/// How long an answer is used without asking again: the list moves by the month.
const FRESH: Duration = Duration::from_secs(300);
/// How long the token used for asking must still live.
const MIN_TTL: Duration = Duration::from_secs(60);

/// By vendor and account: when the vendor was asked, and what it said.
type Remembered = HashMap<(String, String), (Timestamp, Vec<Model>)>;

#[derive(Debug, Default)]
pub(in crate::rpc::dispatch) struct Catalogue {
    remembered: Mutex<Remembered>,
}

impl Catalogue {
    pub(in crate::rpc::dispatch) fn forget(&self, named: &Named) {
        self.remembered().remove(&key(named));
    }

    pub(in crate::rpc::dispatch) async fn models(
        &self,
        logins: &Logins,
        clock: &Clock,
        params: ModelsParams,
    ) -> Result<Models, LoginError> {
        let named = logins.name(params.vendor.as_deref(), params.account.as_deref())?;
        let remembered = self.remembered().get(&key(&named)).cloned();
        let fresh = remembered.as_ref().is_some_and(|(at, _)| clock.now().since(*at) < FRESH);
        let answer = |models, source| Models { vendor: named.vendor.clone(), models, source };
        if let Some((_, models)) = remembered.as_ref().filter(|_| fresh && !params.refresh) {
            return Ok(answer(models.clone(), ModelsSource::Cache));
        }
        let login = logins.login(&named).await?;
        let vendor = logins.vendor(&named.vendor).ok_or(LoginError::NotFound)?;
        match ask(&vendor, &login).await {
            Ok(models) => {
                self.remembered().insert(key(&named), (clock.now(), models.clone()));
                Ok(answer(models, ModelsSource::Upstream))
            }
            Err(error) => {
                tracing::warn!(%error, "the vendor could not be asked for its models");
                Ok(match remembered {
                    Some((_, models)) => answer(models, ModelsSource::Cache),
                    None => answer(builtin(), ModelsSource::Builtin),
                })
            }
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(named: &Named) -> (String, String) {
    (named.vendor.clone(), named.account.clone())
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

/// A catalogue entry as a client sees it: by id, without what is hidden or of no use outside the Codex CLI.
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
    BUILTIN_MODELS
        .iter()
        .map(|id| Model { id: (*id).to_owned(), more: serde_json::Map::new() })
        .collect()
}

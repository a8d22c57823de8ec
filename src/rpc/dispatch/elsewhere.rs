//! What other dialects than lines need of the dispatcher: a call by itself, a presence, a refusal noted.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::trail::{Line, Trail};
use super::{Dispatcher, Surface, methods, run};
use crate::access::peer::Peer;
use crate::login::directory::Named;
use crate::rpc::error::RpcError;

/// A client that is connected, for as long as this lives.
#[derive(Debug)]
pub struct Present(Arc<Surface>);

impl Present {
    pub(super) fn note(surface: &Arc<Surface>) -> Self {
        surface.clients.send_modify(|count| *count += 1);
        Self(Arc::clone(surface))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.clients.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Dispatcher {
    /// Counts a client that speaks another dialect.
    pub(crate) fn present(&self) -> Present {
        Present::note(&self.0)
    }

    /// One call that came in another dialect, with what it leaves in the trail. `name` is the key that
    /// was shown.
    ///
    /// # Errors
    /// As the method's.
    pub(crate) async fn ask(
        &self,
        peer: &Peer,
        name: Option<&str>,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Box<RawValue>, RpcError> {
        let params = methods::done(params)?;
        let trail = Trail::new(Arc::clone(&self.0), peer.clone()).named(name.map(str::to_owned));
        run(&self.0, trail, method, Some(&params)).await
    }

    /// The line in the trail of a completion that is asked for at another door.
    pub(crate) fn line(
        &self,
        peer: &Peer,
        name: Option<&str>,
        method: &'static str,
        named: Named,
    ) -> Line {
        let trail = Trail::new(Arc::clone(&self.0), peer.clone());
        Line::begin(trail.named(name.map(str::to_owned)), method, named)
    }

    /// Notes who was turned away at another door.
    pub(crate) fn note_refusal(&self, peer: &Peer, method: &str, count: u64) {
        let mut trail = Trail::new(Arc::clone(&self.0), peer.clone());
        trail.note_many(method, None, "denied", None, (count > 1).then_some(count));
    }
}

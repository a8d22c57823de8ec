//! The page that shows it all in a browser, served by the daemon itself.
//!
//! It has a listener of its own on loopback, on a port that the system picks: another origin than the
//! HTTP door's, there only while somebody looks at it, and whether or not that door is open. Who gets in
//! was told a one-time link on the socket (`sessions`), comes from a page of ours (`gate`), and can do
//! no more than look, sign in and sign out ([`ForPage`]).

mod gate;
mod routes;
mod sessions;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Bounds;
use super::door::{accept, converse};
use super::guard::Refusals;
use super::stream::{Io, Replayed};
use super::turned_away::{self, Why};
use crate::access::peer::Peer;
use crate::clock::Clock;
use crate::platform::tcp_owner::{TcpOwner, tcp_owner};
use crate::rpc::connection::Budget;
use crate::rpc::dispatch::{Dispatcher, ForPage, PageRequest};
use crate::rpc::{Kind, PageOpened, RpcError};
use sessions::Table;

/// Connections at once: a browser makes six to a host, and few people have more than one of them.
const MOST_CONNECTIONS: usize = 32;

/// Connections being turned away at once; those beyond are closed without a word.
const MOST_REFUSALS: usize = 16;

/// The largest body of a call, in bytes: a pasted address is the longest thing that a page has to say.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What the page is served with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The methods.
    pub(crate) dispatcher: Dispatcher,
    /// The time.
    pub(crate) clock: Clock,
    /// The count of bytes in flight, shared with the other doors.
    pub(crate) budget: Budget,
    /// Ends everything in good order.
    pub(crate) stop: CancellationToken,
}

/// The page's server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Pages(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    calls: ForPage,
    clock: Clock,
    bounds: Bounds,
    table: Mutex<Table>,
    /// A session has ended before its time.
    left: Notify,
    refusals: Refusals,
    places: Arc<Semaphore>,
    turning_away: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes in the trail that somebody was turned away, not oftener than once a second.
    fn refused(&self, peer: &Peer) {
        if let Some(count) = self.refusals.to_note(self.clock.now().0) {
            self.calls.0.note_refusal(peer, "page", count);
        }
    }
}

/// The listener while it is open.
#[derive(Debug)]
struct Listening {
    port: u16,
    stop: CancellationToken,
}

impl Pages {
    /// A server that does not listen yet.
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { dispatcher, clock, budget, stop } = parts;
        Self(Arc::new(Shared {
            calls: ForPage(dispatcher),
            clock,
            bounds: Bounds::new(MAX_BODY_BYTES, budget),
            table: Mutex::default(),
            left: Notify::new(),
            refusals: Refusals::default(),
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            turning_away: Arc::new(Semaphore::new(MOST_REFUSALS)),
            tasks: TaskTracker::new(),
            stop,
        }))
    }

    /// Gives out links and listens for as long as one of them, or a session, lives; ends with `stop`, when
    /// every connection has.
    pub(crate) async fn run(self, mut requests: mpsc::Receiver<PageRequest>) {
        let shared = &self.0;
        let mut open: Option<Listening> = None;
        loop {
            let next_end = shared.table().next_end(shared.clock.now());
            if next_end.is_none()
                && let Some(listening) = open.take()
            {
                listening.stop.cancel();
                tracing::info!(port = listening.port, "the page is closed");
            }
            let ends = async {
                match next_end {
                    Some(end) => shared.clock.sleep_until_or_set_back(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => break,
                () = shared.left.notified() => {}
                request = requests.recv() => match request {
                    // An error means that whoever asked is gone.
                    Some(reply) => drop(reply.send(self.open(&mut open).await)),
                    None => break,
                },
                () = ends => {}
            }
        }
        shared.tasks.close();
        shared.tasks.wait().await;
    }

    /// A link; opens the port where it is not open.
    async fn open(&self, open: &mut Option<Listening>) -> Result<PageOpened, RpcError> {
        let port = match open {
            Some(listening) => listening.port,
            None => {
                let listening = self.listen().await.map_err(|error| {
                    let why = format!("no port on loopback could be opened for the page: {error}");
                    RpcError::new(Kind::InternalError, why)
                        .hint("`valetkey status` and `valetkey usage` show the same in a terminal")
                })?;
                open.insert(listening).port
            }
        };
        let (link, expires_at) = self.0.table().link(self.0.clock.now());
        Ok(PageOpened { url: format!("http://127.0.0.1:{port}/enter/{link}"), expires_at })
    }

    async fn listen(&self) -> std::io::Result<Listening> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let stop = self.0.stop.child_token();
        let routes = routes::routes(Arc::clone(&self.0), port);
        let (pages, ended) = (self.clone(), stop.clone());
        self.0.tasks.spawn(async move {
            accept(&listener, &ended, |stream| pages.admit(stream, &routes, &ended)).await;
        });
        tracing::info!(port, "the page is open");
        Ok(Listening { port, stop })
    }

    fn admit(&self, stream: TcpStream, routes: &Router, stop: &CancellationToken) {
        // Small answers must not wait for Nagle's algorithm; a failure only makes them slower.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&self.0);
        if let Ok(place) = shared.places.clone().try_acquire_owned() {
            let (routes, stop) = (routes.clone(), stop.clone());
            self.0.tasks.spawn(async move {
                let stranger = greet(&shared, stream, routes, &stop).await;
                // Our own user's places are not for others to fill.
                drop(place);
                if let Some(stream) = stranger {
                    turn_away(&shared, stream, Why::Stranger, &stop).await;
                }
            });
        } else if shared.turning_away.available_permits() > 0 {
            let stop = stop.clone();
            self.0.tasks.spawn(async move { turn_away(&shared, stream, Why::Crowd, &stop).await });
        }
    }
}

/// Serves our own user. Others of this machine are given back, to be turned away as by the socket, where
/// the system tells who they are.
async fn greet(
    shared: &Shared,
    stream: TcpStream,
    routes: Router,
    stop: &CancellationToken,
) -> Option<TcpStream> {
    let (Ok(theirs), Ok(ours)) = (stream.peer_addr(), stream.local_addr()) else { return None };
    let peer = match owner(theirs, ours).await {
        TcpOwner::Uid(uid) => Peer { pid: None, uid: Some(uid) },
        TcpOwner::Unknown => Peer::default(),
        TcpOwner::Gone => return None,
    };
    if peer.uid.is_some() && !peer.is_me() {
        shared.refused(&peer);
        return Some(stream);
    }
    let _present = shared.calls.0.present();
    converse(Replayed::new(Vec::new(), Io::Tcp(stream)), routes, peer, stop).await;
    None
}

/// Says why, where not too many are being told that already.
async fn turn_away(shared: &Shared, stream: TcpStream, why: Why, stop: &CancellationToken) {
    let Ok(_place) = shared.turning_away.try_acquire() else { return };
    tokio::select! {
        () = turned_away::answer(Io::Tcp(stream), Vec::new(), why) => {}
        () = stop.cancelled() => {}
    }
}

async fn owner(theirs: SocketAddr, ours: SocketAddr) -> TcpOwner {
    // An error means that the daemon is stopping.
    tokio::task::spawn_blocking(move || tcp_owner(theirs, ours)).await.unwrap_or(TcpOwner::Gone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::audit::Audit;
    use crate::access::keys::Keys;
    use crate::clock::Timestamp;
    use crate::config::Config;
    use crate::login::Logins;
    use crate::relay::{Kept, Relay};
    use crate::rpc::Empty;
    use crate::rpc::dispatch::{self, About, Surface};
    use crate::rpc::server::Limits;
    use crate::store::Store;
    use std::path::Path;
    use std::time::Duration;

    /// What the daemon wires together, on this clock.
    async fn dispatcher(home: &Path, clock: &Clock, stop: &CancellationToken) -> Dispatcher {
        let (config, clock) = (Config::default(), clock.clone());
        let store = Store::open(&home.join("data"), &home.join("state")).unwrap();
        let logins = Logins::open(store, &config, clock.clone(), stop.clone()).await.unwrap();
        let kept = Kept { models: home.join("models"), usage: home.join("usage.json") };
        let parts = dispatch::Parts {
            keys: Keys::open(&home.join("data"), clock.clone()),
            audit: Audit::start(&home.join("audit"), clock.clone()),
            relay: Relay::new(logins.clone(), clock.clone(), config.relay, kept),
            about: About { started_at: clock.now(), socket: String::new() },
            logins,
            clock,
        };
        let (reload, _) = mpsc::channel(1);
        Dispatcher(Arc::new(Surface::new(parts, reload, stop.clone())))
    }

    async fn open(dispatcher: &Dispatcher) -> Result<PageOpened, RpcError> {
        let answer = dispatcher.ask(&Peer::default(), None, "page.open", &Empty {}).await?;
        Ok(serde_json::from_str(answer.get()).unwrap())
    }

    fn address(opened: &PageOpened) -> SocketAddr {
        opened.url.split('/').nth(2).unwrap().parse().unwrap()
    }

    async fn is_open(address: SocketAddr) -> bool {
        TcpStream::connect(address).await.is_ok()
    }

    #[tokio::test]
    async fn the_port_is_open_as_long_as_a_link_or_a_session_lives() {
        let folder = tempfile::tempdir().unwrap();
        let start = Timestamp(1_800_000_000_000);
        let clock = Clock::virtual_at(start, Duration::from_millis(2));
        let stop = CancellationToken::new();
        let dispatcher = dispatcher(folder.path(), &clock, &stop).await;
        let refused = open(&dispatcher).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Overloaded, "nobody serves pages yet: {refused}");

        let budget = Limits::default().budget();
        let (calls, at) = (dispatcher.clone(), clock.clone());
        let pages = Pages::new(Parts { dispatcher: calls, clock: at, budget, stop: stop.clone() });
        let running = tokio::spawn(pages.clone().run(dispatcher.0.page_requests()));
        let opened = open(&dispatcher).await.unwrap();
        let link = opened.url.rsplit('/').next().unwrap();
        clock.jump(100_000);
        assert!(pages.0.table().enter(link, clock.now()).is_some());
        clock.jump(29 * 60_000);
        // The loop has looked at the clock many times by the end of this.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(is_open(address(&opened)).await, "a session lives");
        clock.jump(60_000);
        let closed = async {
            while is_open(address(&opened)).await {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("it closes");

        let again = open(&dispatcher).await.unwrap();
        assert!(is_open(address(&again)).await, "and opens again when it is asked for");
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(20), running).await.expect("it ends").unwrap();
        assert!(!is_open(address(&again)).await);
        assert!(open(&dispatcher).await.is_err());
    }
}

//! The composition root: takes the lock, loads, listens, says that it is ready, and ends in order.
//!
//! It owns nothing but the order in which things begin and end: the lock before any file, the logins
//! before the socket, the socket before the word READY; and backwards, no answer owed and no token
//! unsaved when the lock is let go.

mod hooks;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::access::audit::Audit;
use crate::access::keys::Keys;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::page::{self, Pages};
use crate::http::{self, Http};
use crate::login::Logins;
use crate::platform::harden::{self, Unfit};
use crate::platform::ipc::Listener;
use crate::platform::paths::Paths;
use crate::platform::process;
use crate::platform::service;
use crate::platform::signals::{Signal, Signals};
use crate::relay::{self, Relay};
use crate::rpc::dispatch::{self, About, Dispatcher, ReloadRequest, Surface};
use crate::rpc::server::{self, Limits};
use crate::store::{OpenError, Store, StoreError};
use crate::telemetry;
use hooks::Hooks;

/// Threads for file work at once: there is never more of it than there are logins being saved.
const FILE_THREADS: usize = 8;
/// How long such a thread waits for more to do; an idle daemon keeps none.
const FILE_THREAD_KEEP: Duration = Duration::from_secs(2);
/// Reload requests waiting their turn.
const RELOADS: usize = 4;

/// What to serve, and with what.
#[derive(Debug)]
pub struct ServeOptions {
    /// Where everything is; the socket as flag, environment and file settled it.
    pub paths: Paths,
    /// The file that is read again on a reload.
    pub config_path: PathBuf,
    /// What stood in it.
    pub config: Config,
    /// Whether nobody reads what it says on standard error.
    pub detached: bool,
}

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// This process must not keep a login.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Another daemon owns the data directory, or the folders cannot be had.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Something that everything rests on cannot be had: the runtime, the log, the signals.
    #[error("could not begin {what}: {source}")]
    Begin {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The socket cannot be listened on.
    #[error("could not listen on {socket}: {source}")]
    Listen {
        /// Where.
        socket: String,
        /// Why.
        source: io::Error,
    },
    /// A defect: the one task that must not end did.
    #[error(
        "the owner of a login ended unexpectedly; a restart takes up from the last saved state"
    )]
    OwnerLost,
    /// A login is in memory only.
    #[error("a login could not be saved before the end: {0}")]
    Unsaved(StoreError),
}

impl ServeError {
    /// Whether somebody else does the work already, so that starting again would be of no use.
    #[must_use]
    pub fn is_already_running(&self) -> bool {
        match self {
            Self::Store(OpenError::Held { .. }) => true,
            Self::Listen { source, .. } => source.kind() == io::ErrorKind::AddrInUse,
            _ => false,
        }
    }
}

/// Serves until it is told to stop.
///
/// # Errors
/// [`ServeError`].
pub fn serve(options: ServeOptions) -> Result<(), ServeError> {
    harden::protect()?;
    process::allow_many_files();
    let begin = |what| move |source| ServeError::Begin { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(FILE_THREADS)
        .thread_keep_alive(FILE_THREAD_KEEP)
        .build()
        .map_err(begin("the runtime"))?;
    // Before the log: a daemon that is not to run must not write into the other one's files.
    let store = Store::open(&options.paths.data_dir, &options.paths.state_dir)?;
    let logs = telemetry::start(&options.config.log, &options.paths.log_dir(), options.detached)
        .map_err(begin("logging"))?;
    for dir in store.tightened() {
        tracing::warn!(dir = %dir.display(), "the folder was open to others; it is its owner's alone now");
    }
    let served = runtime.block_on(run(options, store, &logs));
    // A revocation that hangs must not hold up the end; its own bound is longer than anybody's patience.
    runtime.shutdown_timeout(Duration::from_secs(1));
    if let Err(error) = &served {
        tracing::error!(%error, "ending");
    }
    drop(logs);
    served
}

async fn run(
    options: ServeOptions,
    store: Store,
    logs: &telemetry::Guard,
) -> Result<(), ServeError> {
    let ServeOptions { paths, config_path, config, .. } = options;
    let clock = Clock::System;
    let begin = |what| move |source| ServeError::Begin { what, source };
    let mut signals = Signals::new().map_err(begin("listening for signals"))?;
    let audit = Audit::start(&paths.audit_dir(), clock.clone());
    // What serves stops first, so that owners are still there for the answers it owes.
    let (stop, owners_stop) = (CancellationToken::new(), CancellationToken::new());
    let logins = Logins::open(store, &config, clock.clone(), owners_stop.clone())
        .await
        .map_err(OpenError::from)?;
    let socket = paths.socket.clone();
    let listener =
        listen(&socket).map_err(|source| ServeError::Listen { socket: socket.clone(), source })?;
    let (reload, mut reloads) = mpsc::channel(RELOADS);
    let about = About { started_at: clock.now(), socket: socket.clone() };
    let kept = relay::Kept { models: paths.models_dir(), usage: paths.usage_file() };
    let relay = Relay::new(logins.clone(), clock.clone(), config.relay.clone(), kept);
    let hooks = Hooks::start(&logins, &relay, &clock, &config, &socket, &stop);
    let keys = Keys::open(&paths.data_dir, clock.clone());
    let keys_kept = tokio::spawn({
        let (keys, stop) = (keys.clone(), owners_stop.clone());
        async move { keys.keep_up(stop).await }
    });
    let parts = dispatch::Parts {
        logins: logins.clone(),
        keys: keys.clone(),
        audit: audit.clone(),
        clock: clock.clone(),
        relay: relay.clone(),
        about,
    };
    let surface = Arc::new(Surface::new(parts, reload, stop.clone()));
    let limits = Limits {
        max_clients: config.daemon.max_clients,
        max_message_bytes: config.daemon.max_message_bytes,
        max_inflight_bytes: config.daemon.max_inflight_bytes,
    };
    let budget = limits.budget();
    let http = Http::new(http::Parts {
        logins: logins.clone(),
        keys,
        clock: clock.clone(),
        meter: logins.meter().clone(),
        dispatcher: Dispatcher(Arc::clone(&surface)),
        relay: relay.clone(),
        limits,
        budget: budget.clone(),
        stop: stop.clone(),
    });
    http.configure(&config.http).await;
    let pages = Pages::new(page::Parts {
        dispatcher: Dispatcher(Arc::clone(&surface)),
        clock,
        budget: budget.clone(),
        stop: stop.clone(),
    });
    let pages = tokio::spawn(pages.run(surface.page_requests()));
    let service = Arc::new(http.clone());
    let server = tokio::spawn(server::serve(listener, service, limits, budget, stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), %socket, "ready");
    service::ready("lending");

    let configuration = Configuration {
        path: config_path,
        logins: logins.clone(),
        relay: relay.clone(),
        http: http.clone(),
        hooks: &hooks,
        logs,
        began: &config,
    };
    if let Some(interval) = service::watchdog_interval() {
        tokio::spawn(feed_watchdog(logins.clone(), interval));
    }
    let idle = idle(&surface, config.daemon.idle_exit);
    tokio::pin!(idle);
    let mut lost = false;
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Stop => break,
                Signal::Reload => drop(configuration.read_again().await),
            },
            Some(request) = reloads.recv() => configuration.answer(request).await,
            () = stop.cancelled() => break,
            () = logins.owner_lost() => { lost = true; break }
            () = &mut idle => { tracing::info!("nobody has called for a while"); break }
        }
    }
    tracing::info!("stopping");
    service::stopping();
    stop.cancel();
    let served = async { tokio::join!(server, http.ended(), pages, hooks.ended()) };
    if tokio::time::timeout(config.daemon.shutdown_grace, served).await.is_err() {
        tracing::warn!("some clients were not answered in time");
    }
    owners_stop.cancel();
    let ended = logins.ended().await.map_err(ServeError::Unsaved);
    relay.uses().save().await;
    // An error means that it panicked, which costs times of use.
    let _ = keys_kept.await;
    audit.flush().await;
    if lost { Err(ServeError::OwnerLost) } else { ended }
}

/// The socket that the service manager hands over, or else one of our own.
fn listen(socket: &str) -> io::Result<Listener> {
    if let Some(inherited) = service::inherited_listener()? {
        return Ok(inherited);
    }
    Listener::bind(socket)
}

/// Settings that differ from those that the daemon was started with, and are looked at only then.
fn not_before_a_restart(began: &Config, now: &Config) -> Vec<&'static str> {
    let (was, is) = (&began.daemon, &now.daemon);
    [
        (was.socket != is.socket, "daemon.socket"),
        (was.max_clients != is.max_clients, "daemon.max_clients"),
        (was.max_message_bytes != is.max_message_bytes, "daemon.max_message_bytes"),
        (was.max_inflight_bytes != is.max_inflight_bytes, "daemon.max_inflight_bytes"),
        (was.idle_exit != is.idle_exit, "daemon.idle_exit"),
        (was.shutdown_grace != is.shutdown_grace, "daemon.shutdown_grace"),
        (began.relay.max_streams != now.relay.max_streams, "relay.max_streams"),
        (began.log.keep_days != now.log.keep_days, "log.keep_days"),
    ]
    .into_iter()
    .filter_map(|(differs, name)| differs.then_some(name))
    .collect()
}

/// What a reload puts in force.
struct Configuration<'a> {
    path: PathBuf,
    logins: Logins,
    relay: Relay,
    http: Http,
    hooks: &'a Hooks,
    logs: &'a telemetry::Guard,
    /// What the daemon was started with.
    began: &'a Config,
}

impl Configuration<'_> {
    async fn answer(&self, request: ReloadRequest) {
        let _ = request.send(self.read_again().await.map_err(|error| error.to_string()));
    }

    /// Reads the configuration again; a bad one changes nothing.
    async fn read_again(&self) -> Result<(), Box<dyn std::error::Error>> {
        let read = match Config::load(&self.path) {
            Ok(config) => match self.logs.set_level(&config.log.level) {
                Ok(()) => Ok(config),
                Err(error) => Err(Box::from(format!("log.level: {error}"))),
            },
            Err(error) => Err(Box::from(error)),
        };
        match read {
            Ok(config) => {
                self.logins.configure(&config).await;
                self.http.configure(&config.http).await;
                self.hooks.configure(&config);
                for setting in not_before_a_restart(self.began, &config) {
                    tracing::warn!(
                        "{setting} has changed: that comes into force when the daemon is started again"
                    );
                }
                self.relay.configure(config.relay);
                tracing::info!(file = %self.path.display(), "the configuration was read again");
                Ok(())
            }
            Err(error) => {
                let error: Box<dyn std::error::Error> = error;
                tracing::error!(%error, "the configuration is wrong; the old one stays in force");
                Err(error)
            }
        }
    }
}

/// Fed only when every owner answers: a daemon whose owners hang is of no use to anybody. A task of its
/// own, as waiting for one that hangs must keep nobody else waiting.
async fn feed_watchdog(logins: Logins, interval: Duration) {
    let mut due = tokio::time::interval(interval);
    loop {
        due.tick().await;
        let mut alive = true;
        for login in logins.all() {
            alive &= login.is_alive().await;
        }
        if alive {
            service::feed_watchdog();
        }
    }
}

/// Resolves when no client has been connected for `patience`; never without one.
async fn idle(surface: &Surface, patience: Option<Duration>) {
    let Some(patience) = patience else { return std::future::pending().await };
    let mut clients = surface.clients();
    loop {
        if clients.wait_for(|count| *count == 0).await.is_err() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(patience) => return,
            _ = clients.wait_for(|count| *count > 0) => {}
        }
    }
}

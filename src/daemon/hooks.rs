//! Notices: the person's own commands, run when something happened that a person may want to hear of.
//!
//! A login that has ended is noticed by whoever uses it next, in the middle of their work; a notice lets
//! the person know before. What is run, and how it shows, is theirs. Nothing waits for it: what is to be
//! told passes through a short queue, one command of each kind runs at a time, and each is killed where
//! it takes too long.

mod news;
mod runner;

use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::login::Logins;
use crate::relay::{Reached, Relay};
use news::{Event, Memory, Notice};

/// Notices of one kind that wait for the one before them. More than these nobody reads.
const WAITING_MAX: usize = 8;

/// What the configuration says of notices.
#[derive(Clone, Debug, PartialEq)]
struct Settings {
    hooks: config::Hooks,
    /// What a person need not name when they sign in again.
    default_vendor: String,
}

impl Settings {
    fn of(config: &Config) -> Self {
        Self { hooks: config.hooks.clone(), default_vendor: config.default_vendor.clone() }
    }

    /// The command for an event; empty for none.
    fn command(&self, event: Event) -> &[String] {
        match event {
            Event::LoginRequired => &self.hooks.on_login_required,
            Event::Limit => &self.hooks.on_limit,
            Event::Refresh => &self.hooks.on_refresh,
        }
    }
}

/// The running notices.
#[derive(Debug)]
pub(super) struct Hooks {
    settings: watch::Sender<Settings>,
    tasks: JoinSet<()>,
}

impl Hooks {
    /// Watches these logins and limits until `stop`. `socket` is where we listen.
    pub(super) fn start(
        logins: &Logins,
        relay: &Relay,
        clock: &Clock,
        config: &Config,
        socket: &str,
        stop: &CancellationToken,
    ) -> Self {
        // A command has its own folder. Where it cannot be told from the root on, as it is.
        let socket = std::path::absolute(socket)
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or_else(|| socket.to_owned());
        let (settings, current) = watch::channel(Settings::of(config));
        let mut tasks = JoinSet::new();
        let queues = Event::ALL.map(|event| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            let (current, socket, stop) = (current.clone(), socket.clone(), stop.clone());
            tasks.spawn(runner::run_each(event, waiting, current, socket, stop));
            Queue { queue, full: false }
        });
        let watcher = Watcher {
            logins: logins.clone(),
            clock: clock.clone(),
            settings: current,
            memory: Memory::default(),
            queues,
        };
        let (limits, stop) = (relay.limits_reached(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = watcher.watch(limits) => {}
                () = stop.cancelled() => {}
            }
        });
        Self { settings, tasks }
    }

    /// Puts other commands in force, for whatever is told from now on.
    pub(super) fn configure(&self, config: &Config) {
        let settings = Settings::of(config);
        self.settings.send_if_modified(|current| {
            let differs = *current != settings;
            *current = settings;
            differs
        });
    }

    /// Waits until nothing of it runs any more, after `stop` was cancelled: a moment, as whatever still
    /// runs is killed.
    pub(super) async fn ended(self) {
        self.tasks.join_all().await;
    }
}

/// The notices of one kind on their way to the command.
struct Queue {
    queue: mpsc::Sender<Notice>,
    /// Whether the last one found no room, which is said once and not for each.
    full: bool,
}

struct Watcher {
    logins: Logins,
    clock: Clock,
    settings: watch::Receiver<Settings>,
    memory: Memory,
    queues: [Queue; Event::ALL.len()],
}

impl Watcher {
    async fn watch(mut self, mut limits: broadcast::Receiver<Reached>) {
        let mut changes = self.logins.changes();
        loop {
            changes.mark_unchanged();
            self.look_at_logins();
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = self.settings.changed() => if changed.is_err() { return },
                reached = limits.recv() => match reached {
                    Ok(reached) => self.limit_reached(&reached),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
            }
        }
    }

    fn look_at_logins(&mut self) {
        let settings = self.settings.borrow_and_update().clone();
        for login in self.logins.all() {
            let (epoch, status) = (login.epoch(), login.status());
            let notices = self.memory.look(epoch, &status, &settings.default_vendor, |event| {
                !settings.command(event).is_empty()
            });
            notices.into_iter().for_each(|notice| self.queue(notice));
        }
    }

    fn limit_reached(&mut self, reached: &Reached) {
        if self.settings.borrow().command(Event::Limit).is_empty() {
            return;
        }
        let status = self.logins.find(&reached.named).map(|login| login.status());
        if let Some(notice) = self.memory.limit(reached, status.as_ref(), self.clock.now()) {
            self.queue(notice);
        }
    }

    /// Hands a notice on if there is room. Nobody waits for a notice, so nobody waits to send one either.
    fn queue(&mut self, notice: Notice) {
        let event = notice.event;
        let queue = &mut self.queues[event as usize];
        let full = queue.queue.try_send(notice).is_err();
        if full && !queue.full {
            let hook = event.setting();
            tracing::warn!(hook, "more happens than this command can tell of; some is left out");
        }
        queue.full = full;
    }
}

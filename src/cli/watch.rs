//! `valetkey watch`: who borrows, how long tokens live and what is left of the limits, as it changes.
//!
//! A feed on a thread of its own hears the daemon, another thread the keys; both tell this one, which
//! alone holds the model and the terminal. Between two events nothing runs but the second hand.

mod feed;
mod keys;
mod look;
mod model;
mod recent;
mod series;
mod term;
mod trail;
mod view;

use std::io::{self, IsTerminal as _};
use std::thread::JoinHandle;
use std::time::Duration;

use anstream::ColorChoice;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::Done;
use super::args::Watch;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::beyond_ascii;
use crate::clock::Clock;
use crate::platform::signals::Signals;
use crate::rpc::client::Client;
use feed::Wishes;
use look::Then;
use model::{Heard, Model};
use term::{Frames, Taken};
use view::Theme;

/// News that wait to be shown, before whoever tells them waits too.
const NEWS: usize = 64;
/// The least time between two frames: more cannot be seen.
const FRAME: Duration = Duration::from_millis(50);
/// How often the times are shown anew.
const SECOND: Duration = Duration::from_secs(1);

/// What reaches the thread that shows.
enum News {
    /// From the daemon.
    Heard(Heard),
    /// From the terminal.
    Event(Event),
    /// The terminal says nothing more.
    Deaf(io::Error),
}

pub(super) fn run(context: &Context, _verb: &Watch) -> Done {
    if !io::stdout().is_terminal() || std::env::var("TERM").as_deref() == Ok("dumb") {
        let sentence = "`valetkey watch` needs a terminal that it can draw on";
        return Err(Failure::new(Exit::Usage, sentence)
            .hint("`valetkey status --json` and `valetkey usage --json` are for programs"));
    }
    // Started where none runs, this once: what is watched later is whatever the person leaves running.
    let client = context.client()?;
    let socket = context.paths()?.socket;
    let theme = Theme {
        colour: anstream::AutoStream::choice(&io::stdout()) != ColorChoice::Never,
        ascii: !beyond_ascii(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let shown = runtime.map_err(|error| lost(&error))?.block_on(show(client, socket, theme));
    match shown? {
        Exit::Done => Ok(()),
        exit => Err(Failure::silent(exit)),
    }
}

/// Shows it until the person has seen enough, or a signal ends it.
async fn show(client: Client, socket: String, theme: Theme) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| lost(&error))?;
    let taken = Taken::stdout().map_err(|error| lost(&error))?;
    let terminal = Terminal::new(CrosstermBackend::new(taken.frames()));
    let (tell, news) = mpsc::channel(NEWS);
    let wishes = Wishes::default();
    let feed = hear(client, socket, wishes.clone(), tell.clone());
    let mut stage = Stage {
        terminal: terminal.map_err(|error| lost(&error))?,
        model: Model::new(Clock::System.now()),
        theme,
        wishes,
        news,
    };
    read_keys(tell);
    let shown = tokio::select! {
        shown = stage.play(&feed) => shown,
        _ = signals.next() => Ok(Exit::Interrupted),
    };
    // The terminal is given back before anything is said of how it ended, and before the view goes: that
    // would complain, by a panic even, where the window is gone.
    drop(taken);
    shown
}

struct Stage {
    terminal: Terminal<CrosstermBackend<Frames>>,
    model: Model,
    theme: Theme,
    wishes: Wishes,
    news: mpsc::Receiver<News>,
}

impl Stage {
    async fn play(&mut self, feed: &JoinHandle<()>) -> Result<Exit, Failure> {
        loop {
            self.draw()?;
            let drawn = Instant::now();
            let mut next = drawn + SECOND;
            loop {
                tokio::select! {
                    () = sleep_until(next) => break,
                    news = self.news.recv() => {
                        // The thread of the keys never ends before this one.
                        let Some(news) = news else { return Err(broken()) };
                        if let Some(exit) = self.take(news)? {
                            return Ok(exit);
                        }
                        next = drawn + FRAME;
                    }
                }
            }
            if feed.is_finished() {
                return Err(broken());
            }
        }
    }

    fn draw(&mut self) -> Result<(), Failure> {
        self.model.tick(Clock::System.now());
        let (model, theme) = (&self.model, self.theme);
        self.terminal
            .draw(|frame| view::draw(frame, model, theme))
            .map_err(|error| lost(&error))?;
        Ok(())
    }

    /// Takes in one piece of news; gives the exit code where it is the last.
    fn take(&mut self, news: News) -> Result<Option<Exit>, Failure> {
        match news {
            News::Heard(heard) => self.model.hear(heard, Clock::System.now()),
            News::Event(Event::Key(key)) => {
                let then = keys::act(key, self.model.look.typing).map(|act| self.model.act(act));
                match then {
                    Some(Then::Ask) => self.wishes.ask(),
                    Some(Then::Quit) => return Ok(Some(Exit::Done)),
                    Some(Then::Interrupt) => return Ok(Some(Exit::Interrupted)),
                    Some(Then::Stay) | None => {}
                }
            }
            // The next frame is as large as the window then is.
            News::Event(_) => {}
            News::Deaf(error) => return Err(lost(&error)),
        }
        Ok(None)
    }
}

/// Lets the daemon be heard, until nobody listens.
fn hear(
    client: Client,
    socket: String,
    wishes: Wishes,
    news: mpsc::Sender<News>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut tell = |heard| news.blocking_send(News::Heard(heard)).is_ok();
        feed::run(client, &socket, &wishes, &mut tell);
    })
}

/// Lets the terminal be heard. The thread ends with the process: nothing can take it out of its read.
fn read_keys(news: mpsc::Sender<News>) {
    std::thread::spawn(move || {
        loop {
            let (piece, last) = match event::read() {
                Ok(event) => (News::Event(event), false),
                Err(error) => (News::Deaf(error), true),
            };
            if news.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
}

fn lost(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, format!("the terminal cannot be used: {error}"))
        .hint("`valetkey status` and `valetkey usage` show the same without taking over the window")
}

/// A defect of ours, of which the panic has told already.
fn broken() -> Failure {
    Failure::new(Exit::Failed, "the view broke off").hint("the daemon is not touched by it")
}

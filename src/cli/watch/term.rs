//! The terminal: taken over once, and given back whatever happens.
//!
//! A program that ends with the terminal in raw mode, on the other screen or without a cursor leaves the
//! person with a shell that echoes nothing. So there is one way in and one way out, and the way out is
//! taken at the end of the verb, at an error, at a signal and by a panic before its message is printed.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::queue;
use ratatui::crossterm::style::{Attribute, SetAttribute};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// Turns the raw mode on and off: the terminal's own, or a test's.
type Raw = Box<dyn Fn(bool) -> io::Result<()> + Send + Sync>;

/// What a panic's message is handed on to.
type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The terminal while it is ours; given back when this is dropped.
pub(super) struct Taken {
    kept: Arc<Kept>,
}

struct Kept {
    taken: AtomicBool,
    out: Mutex<Box<dyn Write + Send>>,
    raw: Raw,
}

impl Taken {
    /// Takes over the terminal that standard output is, also for the case of a panic.
    ///
    /// # Errors
    /// Where it cannot be had; then it is as it was.
    pub(super) fn stdout() -> io::Result<Self> {
        let raw = |on: bool| if on { enable_raw_mode() } else { disable_raw_mode() };
        let taken = Self::take(Box::new(io::stdout()), Box::new(raw))?;
        panic::set_hook(taken.restoring(panic::take_hook()));
        Ok(taken)
    }

    fn take(out: Box<dyn Write + Send>, raw: Raw) -> io::Result<Self> {
        raw(true)?;
        let kept = Kept { taken: AtomicBool::new(true), out: Mutex::new(out), raw };
        // From here on the guard gives back what was taken, however far that went.
        let taken = Self { kept: Arc::new(kept) };
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, Hide)?;
        taken.kept.write(&bytes)?;
        Ok(taken)
    }

    /// A hook that gives the terminal back first, and only then lets `next` tell of the panic.
    fn restoring(&self, next: Hook) -> Hook {
        let kept = Arc::clone(&self.kept);
        Box::new(move |panic| {
            kept.give_back();
            next(panic);
        })
    }

    /// Where frames are written to.
    pub(super) fn frames(&self) -> Frames {
        Frames { kept: Arc::clone(&self.kept), bytes: Vec::new() }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.kept.give_back();
    }
}

impl Kept {
    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out();
        out.write_all(bytes)?;
        out.flush()
    }

    /// Once: whoever comes second finds nothing left to do.
    fn give_back(&self) {
        if !self.taken.swap(false, Ordering::SeqCst) {
            return;
        }
        let mut bytes = Vec::new();
        // Into memory, which takes all; and a terminal that is gone has nothing to be restored.
        let _ = queue!(bytes, SetAttribute(Attribute::Reset), Show, LeaveAlternateScreen);
        let _ = self.write(&bytes);
        let _ = (self.raw)(false);
    }

    fn out(&self) -> MutexGuard<'_, Box<dyn Write + Send>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gathers a frame and writes it in one piece: the terminal never shows half of one, and what was not
/// flushed when a panic struck is not poured over the screen that was given back.
pub(super) struct Frames {
    kept: Arc<Kept>,
    bytes: Vec<u8>,
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() || !self.kept.taken.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.kept.write(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTERED: &str = "<raw>\x1b[?1049h\x1b[?25l";
    const LEFT: &str = "\x1b[0m\x1b[?25h\x1b[?1049l<cooked>";

    /// All that reaches the terminal, in its order, with the changes of mode among it.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        fn taken(&self) -> io::Result<Taken> {
            let mut log = self.clone();
            let mode = Mutex::new(log.clone());
            let raw = move |on: bool| {
                mode.lock().unwrap().write_all(if on { b"<raw>" } else { b"<cooked>" })
            };
            log.flush()?;
            Taken::take(Box::new(log), Box::new(raw))
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_was_taken_is_given_back_in_reverse_and_once() {
        let log = Log::default();
        let taken = log.taken().unwrap();
        let mut frames = taken.frames();
        frames.write_all(b"frame").unwrap();
        assert_eq!(log.text(), ENTERED, "a frame is not shown before it is whole");
        frames.flush().unwrap();
        frames.write_all(b"half a frame").unwrap();
        taken.kept.give_back();
        drop(taken);
        frames.flush().unwrap();
        drop(frames);
        assert_eq!(log.text(), format!("{ENTERED}frame{LEFT}"));
    }

    #[test]
    fn a_panic_first_restores_the_terminal_and_then_tells() {
        let log = Log::default();
        let taken = log.taken().unwrap();
        let mut told = log.clone();
        let told = Mutex::new(move |text: &str| told.write_all(text.as_bytes()).unwrap());
        let before = panic::take_hook();
        let hook = taken.restoring(Box::new(move |_| told.lock().unwrap()("<told>")));
        panic::set_hook(hook);
        let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
            let mut frames = taken.frames();
            frames.write_all(b"half a frame").unwrap();
            panic!("as a test");
        }));
        panic::set_hook(before);
        assert!(panicked.is_err());
        drop(taken);
        // Another test that panics meanwhile is told as well; the terminal is restored once.
        let text = log.text();
        let rest =
            text.strip_prefix(&format!("{ENTERED}{LEFT}")).unwrap_or_else(|| panic!("{text:?}"));
        assert!(rest.starts_with("<told>") && rest.replace("<told>", "").is_empty(), "{text:?}");
    }

    #[test]
    fn a_terminal_that_refuses_is_left_as_it_was() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Log::default();
        let mode = Mutex::new(log.clone());
        let raw = move |on: bool| mode.lock().unwrap().write_all(if on { b"+" } else { b"-" });
        assert!(Taken::take(Box::new(Closed), Box::new(raw)).is_err());
        assert_eq!(log.text(), "+-");
        let no_raw = |_: bool| Err(io::Error::from(io::ErrorKind::NotFound));
        assert!(Taken::take(Box::new(log.clone()), Box::new(no_raw)).is_err());
        assert_eq!(log.text(), "+-", "nothing was written");
    }
}

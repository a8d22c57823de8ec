//! How a program is asked to end from outside: by a signal, or by an event of its console.

use std::process::Child;

pub(crate) use system::{ENDS_DAEMONS, ENDS_VERBS, Way, ask_to_end, can_ask_to_end};

#[cfg(unix)]
mod system {
    use super::Child;

    /// One way of asking.
    pub(crate) use rustix::process::Signal as Way;

    /// What ends a daemon in good order.
    pub(crate) const ENDS_DAEMONS: &[Way] = &[Way::TERM, Way::INT];

    /// What ends a verb that waits, in good order: Ctrl-C first.
    pub(crate) const ENDS_VERBS: &[Way] = &[Way::INT, Way::TERM];

    /// Whether a test can ask at all.
    pub(crate) fn can_ask_to_end(_test: &str) -> bool {
        true
    }

    /// Asks a process of ours to end.
    pub(crate) fn ask_to_end(child: &Child, way: Way) {
        super::super::signal(child, way);
    }
}

#[cfg(windows)]
mod system {
    use std::process::Command;

    use super::super::skipped;
    use super::Child;

    /// The helper that tells a process of an event: a test has no safe way of its own.
    const HELPER: &str = "VALETKEY_TEST_CONSOLE_EVENT";

    /// One way of asking, as the helper calls it.
    pub(crate) type Way = &'static str;

    /// What ends a daemon in good order.
    pub(crate) const ENDS_DAEMONS: &[Way] =
        &["ctrl-c", "ctrl-break", "close", "logoff", "shutdown"];

    /// What ends a verb that waits, in good order: Ctrl-C first.
    pub(crate) const ENDS_VERBS: &[Way] = &["ctrl-c"];

    /// Whether a test can ask at all; says so where not.
    pub(crate) fn can_ask_to_end(test: &str) -> bool {
        let can = std::env::var_os(HELPER).is_some();
        if !can {
            skipped(&format!("{test}: {HELPER} does not say where the helper is"));
        }
        can
    }

    /// Asks a process of ours to end.
    #[track_caller]
    pub(crate) fn ask_to_end(child: &Child, way: Way) {
        let helper = std::env::var_os(HELPER).expect("the test was skipped without it");
        let pid = child.id().to_string();
        let told = Command::new(helper).args([way, &pid]).status().unwrap();
        // One that is ending already is told nothing.
        assert!(matches!(told.code(), Some(0 | 1)), "{way}: {told}");
    }
}

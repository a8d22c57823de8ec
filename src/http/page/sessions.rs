//! One-time links, and the sessions that they are exchanged for. Pure: times come in as parameters.
//!
//! A link is seen by more than its reader: it stands in the list of processes while a browser starts,
//! and in its history. So it lives two minutes and works once. What it buys has two halves. The browser
//! keeps the cookie to itself, but cookies know no ports (RFC 6265 section 8.5): any program that serves
//! another port of this machine is sent it, too, when the browser goes there. The other half lies in the
//! storage of the page's own origin, which knows ports, and every call has to show both.
//!
//! Nothing here is kept in the clear, or on disk.

use std::time::Duration;

use crate::clock::{Timestamp, is_set_back};
use crate::secret::{random_base64url, same};

/// How long a link waits for its browser.
const LINK_LIFE: Duration = Duration::from_secs(120);
/// How long a session lives on that nobody uses.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lives at most, however busy: a page that is left open is not a way in for ever.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Links waiting at once. One more ends the oldest.
const MOST_LINKS: usize = 4;
/// Sessions at once: some browsers and profiles of one person. One more ends the longest unused.
const MOST_SESSIONS: usize = 8;
/// Random bytes in a link and in each half of a session: 43 characters.
const BYTES: usize = 32;

type Digest = [u8; 32];

fn digest(text: &str) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// What a request shows: every cookie of the session's name, as another port may have set one, too, and
/// the other half where there is one.
#[derive(Debug, Default)]
pub(super) struct Shown {
    cookies: Vec<Digest>,
    half: Option<Digest>,
}

impl Shown {
    /// Cookies looked at in one request.
    pub(super) const MOST_COOKIES: usize = 8;

    pub(super) fn new<'a>(cookies: impl Iterator<Item = &'a str>, half: Option<&str>) -> Self {
        let cookies = cookies.take(Self::MOST_COOKIES).map(digest).collect();
        Self { cookies, half: half.map(digest) }
    }
}

/// What a link was exchanged for, in the clear for the one answer that tells it.
pub(super) struct Entered {
    pub(super) cookie: String,
    pub(super) half: String,
}

struct Link {
    digest: Digest,
    ends: Timestamp,
}

struct Session {
    cookie: Digest,
    half: Digest,
    began: Timestamp,
    used: Timestamp,
}

impl Link {
    fn lives(&self, now: Timestamp) -> bool {
        // The second half is for a clock that was set back: no link may gain by that.
        now < self.ends && self.ends <= now.plus(LINK_LIFE)
    }
}

impl Session {
    fn ends(&self) -> Timestamp {
        self.used.plus(IDLE).min(self.began.plus(LONGEST))
    }

    fn lives(&self, now: Timestamp) -> bool {
        now < self.ends() && !is_set_back(self.used, now)
    }

    fn has_cookie(&self, shown: &Shown) -> bool {
        shown.cookies.iter().any(|cookie| same(cookie, &self.cookie))
    }

    fn has_both(&self, shown: &Shown) -> bool {
        self.has_cookie(shown) && shown.half.is_some_and(|half| same(&half, &self.half))
    }
}

/// Every link and session.
#[derive(Default)]
pub(super) struct Table {
    links: Vec<Link>,
    sessions: Vec<Session>,
}

/// Not even digests.
impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("links", &self.links.len())
            .field("sessions", &self.sessions.len())
            .finish()
    }
}

impl Table {
    /// A new link, and when it ends.
    pub(super) fn link(&mut self, now: Timestamp) -> (String, Timestamp) {
        self.sweep(now);
        if self.links.len() >= MOST_LINKS {
            self.links.remove(0);
        }
        let (link, ends) = (random_base64url(BYTES), now.plus(LINK_LIFE));
        self.links.push(Link { digest: digest(&link), ends });
        (link, ends)
    }

    /// Exchanges a link; nothing where there is none such, any more.
    pub(super) fn enter(&mut self, link: &str, now: Timestamp) -> Option<Entered> {
        self.sweep(now);
        let shown = digest(link);
        let at = self.links.iter().position(|link| same(&link.digest, &shown))?;
        self.links.remove(at);
        if self.sessions.len() >= MOST_SESSIONS {
            let unused = (0..self.sessions.len()).min_by_key(|at| self.sessions[*at].used)?;
            self.sessions.remove(unused);
        }
        let entered = Entered { cookie: random_base64url(BYTES), half: random_base64url(BYTES) };
        self.sessions.push(Session {
            cookie: digest(&entered.cookie),
            half: digest(&entered.half),
            began: now,
            used: now,
        });
        Some(entered)
    }

    /// Whether the page itself may be shown, which holds nothing: a cookie is enough.
    pub(super) fn may_see(&mut self, shown: &Shown, now: Timestamp) -> bool {
        self.sweep(now);
        self.sessions.iter().any(|session| session.has_cookie(shown))
    }

    /// Whether calls may be made; that is a use of the session.
    pub(super) fn may_call(&mut self, shown: &Shown, now: Timestamp) -> bool {
        self.sweep(now);
        let session = self.sessions.iter_mut().find(|session| session.has_both(shown));
        session.map(|session| session.used = now).is_some()
    }

    /// Ends the session. Says whether there was one.
    pub(super) fn leave(&mut self, shown: &Shown, now: Timestamp) -> bool {
        self.sweep(now);
        let before = self.sessions.len();
        self.sessions.retain(|session| !session.has_both(shown));
        self.sessions.len() < before
    }

    /// When the next of them ends by itself; nothing where there is none.
    pub(super) fn next_end(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.sweep(now);
        let links = self.links.iter().map(|link| link.ends);
        links.chain(self.sessions.iter().map(Session::ends)).min()
    }

    fn sweep(&mut self, now: Timestamp) {
        self.links.retain(|link| link.lives(now));
        self.sessions.retain(|session| session.lives(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn later(secs: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(secs))
    }

    fn shown(entered: &Entered) -> Shown {
        Shown::new([entered.cookie.as_str()].into_iter(), Some(&entered.half))
    }

    #[test]
    fn a_link_works_once_and_for_two_minutes() {
        let mut table = Table::default();
        let (link, ends) = table.link(NOW);
        assert!(link.len() >= 43);
        assert_eq!(ends, later(120));
        assert!(table.enter(&link[1..], NOW).is_none());
        assert!(table.enter(&link, later(119)).is_some());
        assert!(table.enter(&link, later(119)).is_none(), "once");
        let (link, _) = table.link(NOW);
        assert!(table.enter(&link, later(120)).is_none(), "too late");
        let (link, _) = table.link(NOW);
        assert!(table.enter(&link, NOW.minus(Duration::from_secs(1))).is_none(), "set back");
    }

    #[test]
    fn the_cookie_alone_shows_the_page_and_calls_nothing() {
        let mut table = Table::default();
        let (one, two) = (table.link(NOW).0, table.link(NOW).0);
        let (one, two) = (table.enter(&one, NOW).unwrap(), table.enter(&two, NOW).unwrap());
        let with = |cookies: &[&str], half: Option<&str>| Shown::new(cookies.iter().copied(), half);
        let mut table = |shown: Shown| (table.may_see(&shown, NOW), table.may_call(&shown, NOW));
        assert_eq!(table(with(&[&one.cookie], Some(&one.half))), (true, true));
        // Another port has set a cookie of the same name.
        assert_eq!(table(with(&["tossed", &one.cookie], Some(&one.half))), (true, true));
        assert_eq!(table(with(&[&one.cookie], None)), (true, false));
        assert_eq!(table(with(&[&one.cookie], Some(&two.half))), (true, false), "mixed");
        assert_eq!(table(with(&[], Some(&one.half))), (false, false));
        assert_eq!(table(with(&[&one.half], Some(&one.cookie))), (false, false), "swapped");
    }

    #[test]
    fn a_session_ends_unused_or_old_or_when_it_is_left() {
        let mut table = Table::default();
        let link = table.link(NOW).0;
        let unused = table.enter(&link, NOW).unwrap();
        assert_eq!(table.next_end(NOW), Some(later(1800)));
        assert!(table.may_see(&shown(&unused), later(1799)));
        assert!(!table.may_see(&shown(&unused), later(1800)), "seeing is no use");
        assert_eq!(table.next_end(later(1800)), None);

        let link = table.link(NOW).0;
        let busy = table.enter(&link, NOW).unwrap();
        for minute in 1..24 * 60 {
            assert!(table.may_call(&shown(&busy), later(minute * 60)), "{minute}");
        }
        assert!(!table.may_call(&shown(&busy), later(24 * 3600)));

        let link = table.link(NOW).0;
        let left = table.enter(&link, NOW).unwrap();
        assert!(!table.may_see(&shown(&left), NOW.minus(Duration::from_secs(3600))), "set back");
        let link = table.link(NOW).0;
        let left = table.enter(&link, NOW).unwrap();
        assert!(table.leave(&shown(&left), NOW) && !table.leave(&shown(&left), NOW));
        assert!(!table.may_see(&shown(&left), NOW));
    }

    #[test]
    fn there_are_only_so_many_and_the_newest_count() {
        let mut table = Table::default();
        let links: Vec<String> = (0..=MOST_LINKS).map(|_| table.link(NOW).0).collect();
        assert!(table.enter(&links[0], NOW).is_none());
        assert!(table.enter(&links[1], NOW).is_some());
        let mut table = Table::default();
        let enter = |table: &mut Table, secs| {
            let link = table.link(later(secs)).0;
            table.enter(&link, later(secs)).unwrap()
        };
        let sessions: Vec<Entered> =
            (0..MOST_SESSIONS as u64).map(|secs| enter(&mut table, secs)).collect();
        assert!(table.may_call(&shown(&sessions[0]), later(50)));
        enter(&mut table, 60);
        assert!(table.may_call(&shown(&sessions[0]), later(60)));
        assert!(!table.may_call(&shown(&sessions[1]), later(60)), "the longest unused");
    }
}

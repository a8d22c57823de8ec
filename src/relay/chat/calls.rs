//! Which result answers which call.
//!
//! The Responses API pairs them by `call_id`, refuses results without a call, and wants each id once.
//! Conversations in the wild repeat ids in every turn, leave them out, or were cut off in front; here
//! each call gets an id of its own, and each result the oldest call that it can be meant for.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use super::names::shortened;

/// Under what a call without an id is sent.
const UNNAMED: &str = "call_unnamed";

/// A call that waits for its result.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The id that was sent.
    pub(super) id: String,
    /// Whether it was made of a custom tool, whose results have a type of their own.
    pub(super) custom: bool,
}

/// The calls of a conversation, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// By the id that the client gave.
    waiting: HashMap<String, VecDeque<Call>>,
    /// The ids that were sent, and how often each was asked for.
    sent: HashMap<String, u32>,
}

impl Calls {
    /// A call was made. Gives the id to send.
    pub(super) fn made(&mut self, id: &str, custom: bool) -> String {
        self.keep(id, if id.is_empty() { UNNAMED } else { id }, custom)
    }

    /// A call in the manner from before there were ids, known by the function's name.
    pub(super) fn made_by_name(&mut self, name: &str) -> String {
        self.keep(&by_name(name), "call_function", false)
    }

    fn keep(&mut self, known_as: &str, wanted: &str, custom: bool) -> String {
        let id = self.unused(&shortened(wanted));
        let call = Call { id: id.clone(), custom };
        self.waiting.entry(known_as.to_owned()).or_default().push_back(call);
        id
    }

    /// The id itself, or with a number behind it where it was used already.
    fn unused(&mut self, wanted: &str) -> String {
        let mut wanted = wanted.to_owned();
        // Ends: each round asks for a name that this conversation has one less of.
        while let Some(times) = self.sent.get_mut(&wanted) {
            *times = times.saturating_add(1);
            wanted = shortened(&format!("{wanted}_{times}")).into_owned();
        }
        self.sent.insert(wanted.clone(), 1);
        wanted
    }

    /// A result came. Gives its call, or nothing where there is none that waits.
    pub(super) fn answered(&mut self, id: &str) -> Option<Call> {
        self.waiting.get_mut(id)?.pop_front()
    }

    /// The same, by the function's name.
    pub(super) fn answered_by_name(&mut self, name: &str) -> Option<Call> {
        self.answered(&by_name(name))
    }
}

/// Kept apart from ids by a character that no id has.
fn by_name(name: &str) -> Cow<'static, str> {
    Cow::Owned(format!("\0{name}"))
}

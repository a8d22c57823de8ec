//! The items of a stream, and how much of each was told.

use super::super::answer::Speech;

/// Items of one answer at most that are kept apart. An answer has a handful; what comes behind this many
/// is passed over, as looking for an item takes the longer the more there are.
const MAX_ITEMS: usize = 1024;

/// Which item an event belongs to, as far as it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<&'a str>,
}

/// What was told of one item.
#[derive(Debug, Default)]
pub(super) struct Told {
    index: Option<u64>,
    id: Option<String>,
    /// The last part of each kind of speech.
    text: Option<u64>,
    refusal: Option<u64>,
    thought: Option<u64>,
    /// The place among the calls, and whether it is one of a custom tool.
    pub(super) call: Option<(usize, bool)>,
    pub(super) arguments: bool,
}

impl Told {
    /// Notes that this part is being told. Gives whether it, or one behind it, was before.
    pub(super) fn tell(&mut self, speech: Speech, part: u64) -> bool {
        let last = self.last(speech);
        let before = last.is_some_and(|last| last >= part);
        *last = (*last).max(Some(part));
        before
    }

    fn last(&mut self, speech: Speech) -> &mut Option<u64> {
        match speech {
            Speech::Text => &mut self.text,
            Speech::Refusal => &mut self.refusal,
            Speech::Thought => &mut self.thought,
        }
    }

    /// By the index where both have one: ids of one item differ between events of some servers.
    fn is(&self, which: Which<'_>) -> bool {
        match (self.index, which.index) {
            (Some(own), Some(other)) => own == other,
            _ => match (self.id.as_deref(), which.id) {
                (Some(own), Some(other)) => own == other,
                // Said by neither: there is but one such item.
                (own, other) => own.is_none() && other.is_none() && self.index == which.index,
            },
        }
    }
}

/// The items, in the order in which they were first heard of.
#[derive(Debug, Default)]
pub(super) struct Items(Vec<Told>);

impl Items {
    /// Whether this part, or one behind it, was told by an event that does not say of which item it is.
    /// Whatever item comes whole may be that one.
    pub(super) fn told_of_any(&mut self, speech: Speech, part: u64) -> bool {
        let mut nameless =
            self.0.iter_mut().filter(|told| told.index.is_none() && told.id.is_none());
        nameless.any(|told| told.last(speech).is_some_and(|last| last >= part))
    }

    /// An item and its place, new if it was not heard of before. Nothing past the bound.
    pub(super) fn of(&mut self, which: Which<'_>) -> Option<(usize, &mut Told)> {
        // Nearly always it is the last.
        let at = match self.0.iter().rposition(|told| told.is(which)) {
            Some(at) => at,
            None if self.0.len() == MAX_ITEMS => return None,
            None => {
                let id = which.id.map(str::to_owned);
                self.0.push(Told { index: which.index, id, ..Told::default() });
                self.0.len() - 1
            }
        };
        self.0.get_mut(at).map(|told| (at, told))
    }
}

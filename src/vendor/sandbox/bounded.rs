//! A map that forgets its oldest entry rather than grow: a sandbox may be left running for weeks.

use std::collections::{HashMap, VecDeque};

/// A map from tokens and handles to what is known of them.
#[derive(Debug)]
pub(super) struct Bounded<V> {
    entries: HashMap<String, V>,
    order: VecDeque<String>,
    most: usize,
}

impl<V> Bounded<V> {
    /// Holds at most `most` entries.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: VecDeque::new(), most }
    }

    /// Adds an entry under a key that was not used before, and forgets the oldest one if need be.
    pub(super) fn insert(&mut self, key: String, value: V) {
        if self.order.len() >= self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.entries.insert(key, value);
    }

    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.values_mut()
    }

    /// Entries from the newest to the oldest.
    pub(super) fn newest(&self) -> impl Iterator<Item = (&str, &V)> {
        self.order
            .iter()
            .rev()
            .filter_map(|key| self.entries.get(key).map(|value| (key.as_str(), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut map = Bounded::new(2);
        for (key, value) in [("a", 1), ("b", 2), ("c", 3)] {
            map.insert(key.into(), value);
        }
        assert_eq!(map.get("a"), None);
        assert_eq!(map.newest().collect::<Vec<_>>(), [("c", &3), ("b", &2)]);
    }
}

//! What is new in the audit trail, which can only be read from its end. Pure.
//!
//! Entries have no number. What was read before is found again in what is read now by its last lines.

use crate::rpc::AuditEntry;

/// What was read last.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<AuditEntry>);

/// What is new.
#[derive(Debug, PartialEq)]
pub(super) struct Fresh {
    /// The newest last.
    pub(super) entries: Vec<AuditEntry>,
    /// Nothing of what was known was found: there may be more between.
    pub(super) gap: bool,
}

impl Tail {
    /// Whether nothing was read yet.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether what is read now, the newest last, leaves a gap behind what was read before.
    pub(super) fn leaves_gap(&self, read: &[AuditEntry]) -> bool {
        !self.0.is_empty() && !read.is_empty() && self.overlap(read) == 0
    }

    /// Takes in what is read now and gives what of it is new.
    pub(super) fn fresh(&mut self, read: Vec<AuditEntry>) -> Fresh {
        let (gap, overlap) = (self.leaves_gap(&read), self.overlap(&read));
        let entries = read[overlap..].to_vec();
        if !read.is_empty() {
            self.0 = read;
        }
        Fresh { entries, gap }
    }

    /// How many of the first of `read` are the last of what is known: as many as fit, because the
    /// likeliest by far is that little is new.
    fn overlap(&self, read: &[AuditEntry]) -> usize {
        (1..=read.len()).rev().find(|&count| self.ends_with(&read[..count])).unwrap_or_default()
    }

    /// Whether what is known ends so, as far back as it reaches.
    fn ends_with(&self, read: &[AuditEntry]) -> bool {
        let compared = read.len().min(self.0.len());
        compared > 0 && self.0[self.0.len() - compared..] == read[read.len() - compared..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::rpc::ClientId;

    fn entries(times: &[u64]) -> Vec<AuditEntry> {
        let entry = |at: &u64| AuditEntry {
            at: Timestamp(*at),
            client: ClientId::default(),
            method: "token".into(),
            vendor: None,
            account: None,
            outcome: "ok".into(),
            generation: None,
            count: None,
        };
        times.iter().map(entry).collect()
    }

    fn fresh(tail: &mut Tail, times: &[u64]) -> (Vec<u64>, bool) {
        let Fresh { entries, gap } = tail.fresh(entries(times));
        (entries.iter().map(|entry| entry.at.0).collect(), gap)
    }

    #[test]
    fn only_what_was_not_read_before_is_new() {
        let mut tail = Tail::default();
        assert_eq!(fresh(&mut tail, &[]), (vec![], false));
        assert_eq!(fresh(&mut tail, &[1, 2, 3]), (vec![1, 2, 3], false));
        assert_eq!(fresh(&mut tail, &[1, 2, 3]), (vec![], false));
        assert_eq!(fresh(&mut tail, &[2, 3, 4]), (vec![4], false));
        assert_eq!(fresh(&mut tail, &[4, 5, 5]), (vec![5, 5], false));
        assert_eq!(fresh(&mut tail, &[5, 5, 5]), (vec![5], false), "alike, but one more");
        assert_eq!(fresh(&mut tail, &[]), (vec![], false));
        assert_eq!(fresh(&mut tail, &[7, 8]), (vec![7, 8], true));
    }

    #[test]
    fn a_longer_look_back_closes_a_gap() {
        let mut tail = Tail::default();
        fresh(&mut tail, &[3, 4]);
        assert!(tail.leaves_gap(&entries(&[8, 9])));
        assert_eq!(fresh(&mut tail, &[1, 2, 3, 4, 5, 8, 9]), (vec![5, 8, 9], false));
    }
}

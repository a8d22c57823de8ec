//! Batches: answered in one line, when the last of their calls is.

use serde_json::value::RawValue;

use super::{Calls, Session, overloaded};
use crate::rpc::connection::budget::Charge;
use crate::rpc::message;

/// A batch not yet wholly answered.
pub(super) struct Batch {
    answers: Vec<u8>,
    /// Elements still to be answered, and one more while the batch is being read.
    pub(super) waiting: usize,
    charge: Charge,
}

impl<S: Session> Calls<S> {
    /// Looks at each element, and appends the answer where it is whole already.
    pub(super) fn batch(&mut self, elements: &[&RawValue], out: &mut Vec<u8>) {
        let key = self.next_batch;
        self.next_batch += 1;
        self.batches
            .insert(key, Batch { answers: Vec::new(), waiting: 1, charge: self.budget.nothing() });
        let mut answer = Vec::new();
        for element in elements {
            answer.clear();
            match message::call(element) {
                Ok(call) => self.call(&call, element.get().len(), Some(key), &mut answer),
                Err(invalid) => {
                    message::write_error(
                        &mut answer,
                        invalid.id.map(RawValue::get),
                        &invalid.error,
                    );
                }
            }
            if let Some(batch) = self.batches.get_mut(&key) {
                batch.append(&answer);
            }
            self.answer_cancelled(out);
        }
        self.leave(key, out);
    }

    /// The batch has been read to its end: writes it, or lets it wait for its slow calls.
    fn leave(&mut self, key: u64, out: &mut Vec<u8>) {
        let Some(batch) = self.batches.get_mut(&key) else {
            return;
        };
        let held = batch.answers.len();
        if batch.waiting > 1 && !batch.charge.set(held) {
            // The answers already given have no room to wait in, so nothing is waited for.
            let unwaited =
                self.slow.extract_if(|_, slow| slow.batch == Some(key)).collect::<Vec<_>>();
            for (_, slow) in unwaited {
                slow.task.abort();
                self.finish(
                    slow,
                    Err(overloaded("Too many bytes are in flight; try again shortly.")),
                    out,
                );
            }
        }
        self.one_less(key, out);
    }

    /// One element more is answered: the batch is written with its last.
    pub(super) fn one_less(&mut self, key: u64, out: &mut Vec<u8>) {
        let Some(batch) = self.batches.get_mut(&key) else {
            return;
        };
        batch.waiting -= 1;
        if batch.waiting == 0
            && let Some(batch) = self.batches.remove(&key)
            && !batch.answers.is_empty()
        {
            out.extend_from_slice(&batch.answers);
            out.extend_from_slice(b"]\n");
        }
    }
}

impl Batch {
    /// Adds an element's answer; nothing for a notification's.
    pub(super) fn append(&mut self, answer: &[u8]) {
        if answer.is_empty() {
            return;
        }
        self.answers.push(if self.answers.is_empty() { b'[' } else { b',' });
        self.answers.extend_from_slice(answer);
    }
}

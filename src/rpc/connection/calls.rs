//! The calls of one connection: answered at once, or kept track of until they are.

mod batch;

use std::collections::HashMap;
use std::task::{Context, Poll};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinSet};

use super::budget::{Budget, Charge};
use super::session::Lines;
use super::{HIGH_WATER_BYTES, Now, OUTBOX_LINES, Session, overloaded};
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::message::{self, Call, Message};

use batch::Batch;

/// Slow calls of one connection at once.
pub(super) const MAX_IN_FLIGHT: usize = 256;

type Outcome = Result<Box<RawValue>, RpcError>;

pub(super) struct Calls<S> {
    session: S,
    running: JoinSet<Outcome>,
    /// What is known of each running call. Looked through by client id too: it is small, and empty
    /// for a client that only borrows tokens.
    slow: HashMap<Id, Slow>,
    batches: HashMap<u64, Batch>,
    next_batch: u64,
    /// Cancelled while the line at hand was looked at, to be answered after it.
    cancelled: Vec<Slow>,
    notifications: mpsc::Receiver<Lines>,
    budget: Budget,
    /// Something was answered at once since the last write.
    answered: bool,
    /// There is no place for notifications.
    one_answer: bool,
}

/// A call that is being waited for.
struct Slow {
    /// `None` for a notification, whose outcome is nobody's.
    reply: Option<Reply>,
    batch: Option<u64>,
    task: AbortHandle,
    _charge: Charge,
}

/// The id of a call to be answered.
struct Reply {
    id: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

impl<S: Session> Calls<S> {
    pub(super) fn new(session: S, notifications: mpsc::Receiver<Lines>, budget: Budget) -> Self {
        Self {
            session,
            running: JoinSet::new(),
            slow: HashMap::new(),
            batches: HashMap::new(),
            next_batch: 0,
            cancelled: Vec::new(),
            notifications,
            budget,
            answered: false,
            one_answer: false,
        }
    }

    /// From now on methods that send notifications are refused.
    pub(super) fn one_answer_only(&mut self) {
        self.one_answer = true;
    }

    /// Whether nothing is owed.
    pub(super) fn idle(&self) -> bool {
        self.slow.is_empty()
    }

    /// What was answered is written.
    pub(super) fn flushed(&mut self) {
        if std::mem::take(&mut self.answered) {
            self.session.flushed();
        }
    }

    /// Looks at one line and appends whole lines of answers.
    pub(super) fn line(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let before = out.len();
        match message::parse(line) {
            Ok(Message::Single(Ok(call))) => self.call(&call, line.len(), None, out),
            Ok(Message::Single(Err(invalid))) => {
                message::write_error(out, invalid.id.map(RawValue::get), &invalid.error);
            }
            Ok(Message::Batch(elements)) => return self.batch(&elements, out),
            Err(error) => message::write_error(out, None, &error),
        }
        if out.len() > before {
            out.push(b'\n');
        }
        self.answer_cancelled(out);
    }

    /// Answers a call, without a line's end, or starts it. `size` is its length in bytes.
    fn call(&mut self, call: &Call<'_>, size: usize, batch: Option<u64>, out: &mut Vec<u8>) {
        let id = call.id.map(RawValue::get);
        let before = out.len();
        let outcome = match self.refusal(call, batch) {
            Some(error) => Now::Error(error),
            None => {
                message::begin_result(out, id.unwrap_or("null"));
                if call.method == "cancel" {
                    self.cancel(call.params, out)
                } else {
                    self.answered = true;
                    self.session.now(&call.method, call.params, out)
                }
            }
        };
        let error = match outcome {
            Now::Done if id.is_some() => return message::end_result(out),
            Now::Done => None,
            Now::Error(error) => Some(error),
            Now::Later => self.start(call, size, batch).err(),
        };
        out.truncate(before);
        if let (Some(error), Some(_)) = (error, id) {
            message::write_error(out, id, &error);
        }
    }

    /// What is wrong with a call whatever its method does.
    fn refusal(&self, call: &Call<'_>, batch: Option<u64>) -> Option<RpcError> {
        if let Some(id) = call.id
            && !self.slow.is_empty()
            && self.find(&message::id_key(id)).is_some()
        {
            return Some(RpcError::new(
                Kind::InvalidRequest,
                "Not a request: a call with this id is in flight.",
            ));
        }
        if (batch.is_some() || self.one_answer) && self.session.streams(&call.method, call.params) {
            let place =
                if batch.is_some() { "stand in a batch" } else { "be called by one request" };
            let why = format!("Not a request: `{}` streams, so it cannot {place}.", call.method);
            return Some(RpcError::new(Kind::InvalidRequest, why));
        }
        call.positional()
    }

    fn find(&self, key: &str) -> Option<Id> {
        let named = |slow: &Slow| slow.reply.as_ref().is_some_and(|reply| reply.key == key);
        self.slow.iter().find(|(_, slow)| named(slow)).map(|(task, _)| *task)
    }

    fn start(&mut self, call: &Call<'_>, size: usize, batch: Option<u64>) -> Result<(), RpcError> {
        // Counted by what runs, so that those cancelled but not yet dropped take up places too.
        if self.running.len() >= MAX_IN_FLIGHT {
            return Err(overloaded(
                "Too many calls of this connection are in flight; try again shortly.",
            ));
        }
        let charge = self.budget.take(size);
        let charge =
            charge.ok_or_else(|| overloaded("Too many bytes are in flight; try again shortly."))?;
        let task = self.running.spawn(self.session.later(call.id, &call.method, call.params));
        let reply = call
            .id
            .map(|id| Reply { id: id.get().to_owned(), key: message::id_key(id).into_owned() });
        let batch = batch.filter(|_| reply.is_some());
        if let Some(batch) = batch.and_then(|key| self.batches.get_mut(&key)) {
            batch.waiting += 1;
        }
        self.slow.insert(task.id(), Slow { reply, batch, task, _charge: charge });
        Ok(())
    }

    fn cancel(&mut self, params: Option<&RawValue>, out: &mut Vec<u8>) -> Now {
        let wanted = match message::named::<Cancel<'_>>(params) {
            Ok(cancel) => cancel.id,
            Err(e) => return Now::Error(e),
        };
        let slow = self.find(&message::id_key(wanted)).and_then(|task| self.slow.remove(&task));
        let found = serde_json::json!({ "cancelled": slow.is_some() });
        out.extend_from_slice(found.to_string().as_bytes());
        if let Some(slow) = slow {
            slow.task.abort();
            self.cancelled.push(slow);
        }
        Now::Done
    }

    fn answer_cancelled(&mut self, out: &mut Vec<u8>) {
        while let Some(slow) = self.cancelled.pop() {
            self.finish(slow, Err(RpcError::new(Kind::Cancelled, "The call was cancelled.")), out);
        }
    }

    /// Takes what slow calls and subscriptions have come to, until the output is full enough; true
    /// where there was anything.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        let mut progress = false;
        while out.len() < HIGH_WATER_BYTES
            && let Poll::Ready(Some(lines)) = self.notifications.poll_recv(context)
        {
            out.extend_from_slice(&lines.bytes);
            progress = true;
        }
        while out.len() < HIGH_WATER_BYTES
            && let Poll::Ready(Some(joined)) = self.running.poll_join_next_with_id(context)
        {
            progress = true;
            let (task, outcome) = match joined {
                Ok(joined) => joined,
                Err(e) => (
                    e.id(),
                    Err(RpcError::new(
                        Kind::InternalError,
                        "The call failed in a way it never should.",
                    )),
                ),
            };
            // A cancelled call is answered already, and no longer known here.
            if let Some(slow) = self.slow.remove(&task) {
                self.finish(slow, outcome, out);
            }
        }
        progress
    }

    /// Writes the answer of a call that was waited for.
    fn finish(&mut self, slow: Slow, outcome: Outcome, out: &mut Vec<u8>) {
        // What a call sent before its answer goes before its answer.
        for _ in 0..OUTBOX_LINES {
            let Ok(lines) = self.notifications.try_recv() else {
                break;
            };
            out.extend_from_slice(&lines.bytes);
        }
        let Some(reply) = slow.reply else { return };
        let mut answer = Vec::new();
        match outcome {
            Ok(result) => {
                message::begin_result(&mut answer, &reply.id);
                answer.extend_from_slice(result.get().as_bytes());
                message::end_result(&mut answer);
            }
            Err(error) => message::write_error(&mut answer, Some(&reply.id), &error),
        }
        let Some(key) = slow.batch else {
            out.extend_from_slice(&answer);
            return out.push(b'\n');
        };
        if let Some(batch) = self.batches.get_mut(&key) {
            batch.append(&answer);
        }
        self.one_less(key, out);
    }
}

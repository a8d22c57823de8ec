//! One message there, one answer back: for a caller whose way here carries nothing else.
//!
//! An HTTP request has one body and gets one. So there is no place for notifications, and a method that
//! sends them before its answer is refused as it is in a batch.

use std::future::poll_fn;
use std::task::Poll;

use super::calls::Calls;
use super::{Budget, Outbox, Service};
use crate::access::peer::Peer;

/// Answers one message, or one batch, by a session of its own; nothing where nothing in it wants an
/// answer. Dropping the future drops the calls.
pub(crate) async fn exchange<S: Service>(
    service: &S,
    peer: Peer,
    body: &[u8],
    budget: &Budget,
) -> Vec<u8> {
    let (outbox, mut notifications) = Outbox::new(1);
    notifications.close();
    let session = service.open(peer, outbox);
    let mut calls = Calls::new(session, notifications, budget.clone());
    calls.one_answer_only();
    let mut answer = Vec::new();
    calls.line(body, &mut answer);
    while !calls.idle() {
        poll_fn(|context| {
            // A buffer of its own each time: a full one would keep the calls from being looked at.
            let mut more = Vec::new();
            let progress = calls.poll(context, &mut more);
            answer.append(&mut more);
            if progress { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
    calls.flushed();
    if answer.last() == Some(&b'\n') {
        answer.pop();
    }
    answer
}

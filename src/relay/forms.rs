//! An answer in the form that its client asked for: a stream or one object, of the one API or the other.
//!
//! The forms differ in how they tell that an answer broke off, and each must: a stream that merely ends
//! is taken for a whole one by OpenAI's own libraries.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::chat::{self, Asked, Chunks};
use super::failure::Failure;
use super::flow::Piece;
use super::passing::End;
use super::rebuild::Gather;
use super::sse::Decoder;
use super::{Carried, Counted, verdict};

/// The longest event that is taken apart. An image comes whole in one, encoded in base64.
pub const EVENT_BYTES: usize = 16 << 20;

/// What keeps a connection from looking dead; a comment to whoever reads events (WHATWG HTML section 9.2.6).
const COMMENT: &[u8] = b": keepalive\n\n";
/// The last word of a stream of chat chunks.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// The stream was cut after its error had been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API's answer broke off")]
pub struct Cut;

/// A stream of server-sent events, as its client's API has it.
#[derive(Debug)]
pub struct Events {
    flow: Counted,
    form: Form,
    /// What goes out next.
    out: BytesMut,
    beginning: Beginning,
    /// Where in an event the stream stands: only between two a comment or an event of ours may stand.
    tail: Tail,
    over: Option<Over>,
}

/// The beginning goes out by itself: who writes does so when there is nothing more to be had for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Due,
    Given,
    Out,
}

#[derive(Debug)]
enum Form {
    /// As it came.
    Responses,
    /// Translated.
    Chat { decoder: Decoder, chunks: Box<Chunks> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    Well,
    /// What was told last is to be sent before the connection breaks off, and who writes it does so
    /// while there is nothing more to be had.
    Sending,
    Cut,
}

impl Events {
    /// The stream of an answer that has begun.
    #[must_use]
    pub fn new(carried: Carried) -> Self {
        let form = match &carried.chat {
            None => Form::Responses,
            Some(asked) => Form::Chat {
                decoder: Decoder::new(EVENT_BYTES),
                chunks: Box::new(Chunks::new(asked)),
            },
        };
        Self {
            flow: carried.flow,
            form,
            out: BytesMut::new(),
            tail: Tail::default(),
            beginning: Beginning::Due,
            over: None,
        }
    }

    /// What goes out next: everything that has arrived, in one piece. Nothing at the end.
    ///
    /// # Errors
    /// [`Cut`], after the client was told in events what happened: the connection is then to be broken
    /// off too, for readers who know nothing of events.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        if self.beginning == Beginning::Given {
            self.beginning = Beginning::Out;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let next = self.poll_on(cx);
        if self.beginning == Beginning::Due && matches!(next, Poll::Ready(Some(Ok(_)))) {
            self.beginning = Beginning::Given;
        }
        next
    }

    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        loop {
            match self.over {
                Some(Over::Well) => return Poll::Ready(None),
                Some(Over::Sending) => {
                    self.over = Some(Over::Cut);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Over::Cut) => {
                    self.over = Some(Over::Well);
                    return Poll::Ready(Some(Err(Cut)));
                }
                None => {}
            }
            match ready!(self.flow.poll_piece(cx)) {
                Some(Ok(Piece::Bytes(bytes))) => {
                    if let Form::Responses = self.form {
                        self.tail.add(&bytes);
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    self.translate(&bytes);
                }
                Some(Ok(Piece::Silence)) if self.tail.ends_event() => {
                    return Poll::Ready(Some(Ok(Bytes::from_static(COMMENT))));
                }
                Some(Ok(Piece::Silence)) => {}
                Some(Err(failure)) => self.broken(&failure),
                None => self.ended(),
            }
            if !self.out.is_empty() {
                return Poll::Ready(Some(Ok(self.out.split().freeze())));
            }
        }
    }

    fn translate(&mut self, bytes: &[u8]) {
        let Form::Chat { decoder, chunks } = &mut self.form else { return };
        let out = &mut self.out;
        let fed = decoder.feed(bytes, &mut |event| {
            chunks.event(&event.data, &mut |chunk| put(out, chunk));
        });
        if let Err(error) = fed {
            self.broken(&Failure::Broken(error.to_string()));
        }
    }

    fn ended(&mut self) {
        self.over = Some(Over::Well);
        let Form::Chat { chunks, .. } = &self.form else { return };
        if chunks.ended() {
            self.out.extend_from_slice(DONE);
        } else {
            self.broken(&Failure::Broken("it ended without a last event".to_owned()));
        }
    }

    fn broken(&mut self, failure: &Failure) {
        tracing::warn!(error = %failure, "an answer broke off");
        let mut object = failure.error_object();
        match &self.form {
            Form::Responses => {
                self.over = Some(Over::Sending);
                if self.tail.ends_event() {
                    // OpenAI's libraries raise what they find in `error`; the API's reference has the
                    // members one level up.
                    let error = object["error"].clone();
                    for name in ["message", "code", "param"] {
                        object[name] = error[name].clone();
                    }
                    object["type"] = "error".into();
                    self.out.extend_from_slice(b"event: error\n");
                    put(&mut self.out, object.to_string().as_bytes());
                }
            }
            Form::Chat { .. } => {
                self.over = Some(Over::Well);
                put(&mut self.out, object.to_string().as_bytes());
                self.out.extend_from_slice(DONE);
            }
        }
    }
}

fn put(out: &mut BytesMut, data: &[u8]) {
    out.reserve(data.len() + 8);
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

/// The last bytes that went out. Pieces end anywhere, also within the blank line that ends an event.
#[derive(Debug)]
struct Tail([u8; 3]);

impl Default for Tail {
    /// Before the first byte, as between two events.
    fn default() -> Self {
        Self([b'\n'; 3])
    }
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(self.0.len())..];
        self.0.rotate_left(last.len());
        let kept = self.0.len() - last.len();
        self.0[kept..].copy_from_slice(last);
    }

    fn ends_event(&self) -> bool {
        matches!(self.0, [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'] | [_, b'\r', b'\r'])
    }
}

/// Waits for the whole answer: a Response or a ChatCompletion, as JSON.
///
/// # Errors
/// [`Failure`], where it failed or broke off.
pub async fn whole(carried: Carried) -> Result<Vec<u8>, Failure> {
    let Carried { mut flow, chat, .. } = carried;
    let (mut decoder, mut gather) = (Decoder::new(EVENT_BYTES), Gather::new());
    while let Some(piece) = flow.piece().await {
        if let Piece::Bytes(bytes) = piece? {
            decoder
                .feed(&bytes, &mut |event| gather.event(event.name, &event.data))
                .map_err(|error| Failure::Broken(error.to_string()))?;
        }
    }
    object(gather, chat.as_ref())
}

/// The final object of an answer whose events have all been seen.
///
/// # Errors
/// [`Failure`], where the answer tells one.
pub fn object(gather: Gather, chat: Option<&Asked>) -> Result<Vec<u8>, Failure> {
    if let Some(End::Failed(failed) | End::Error(failed)) = &gather.seen().end {
        return Err(verdict::failed(failed));
    }
    let broken = || Failure::Broken("its last event cannot be read".to_owned());
    let response = gather.response().ok_or_else(broken)?;
    match chat {
        None => Ok(response.into_bytes()),
        Some(asked) => chat::completion(&response, asked).map_err(|_| broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::Tail;

    #[test]
    fn an_event_ends_where_its_blank_line_does_however_it_was_cut() {
        let streams = [
            (&b"data: 1\n\ndata: 2\n\n"[..], 2),
            (b"data: 1\r\n\r\n: c\r\n\r\n", 2),
            (b"data: 1\r\r", 1),
        ];
        for (stream, events) in streams {
            for length in 1..=stream.len() {
                let mut tail = Tail::default();
                assert!(tail.ends_event(), "before the first byte");
                stream.chunks(length).for_each(|piece| tail.add(piece));
                assert!(tail.ends_event(), "{stream:?} in pieces of {length}");
            }
            let mut tail = Tail::default();
            let ends = stream.iter().filter(|byte| {
                tail.add(&[**byte]);
                tail.ends_event()
            });
            assert_eq!(ends.count(), events, "{stream:?}");
        }
    }
}

//! An answer that ends with the key it was asked for with.
//!
//! A completion may be read for an hour. A key that is revoked meanwhile must not go on paying for it.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A body that breaks off when `ended` fires.
pub(super) struct Until {
    body: Body,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Until {
    /// Wraps what is still to come; a body that is there as a whole stays as it is.
    pub(super) fn wrap(body: Body, ended: CancellationToken) -> Body {
        if body.size_hint().exact().is_some() {
            return body;
        }
        Body::new(Self { body, ended: Box::pin(ended.cancelled_owned()) })
    }
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // First, so that a stream that never pauses ends, too.
        if self.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new("the key was revoked"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// A body whose frames are sent one by one.
    struct Slow(tokio::sync::mpsc::Receiver<Bytes>);

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            self.0.poll_recv(context).map(|data| data.map(|data| Ok(Frame::data(data))))
        }
    }

    #[tokio::test]
    async fn a_stream_breaks_off_when_its_key_ends_even_while_it_is_silent() {
        let (send, frames) = tokio::sync::mpsc::channel(1);
        let ended = CancellationToken::new();
        let mut body = Until::wrap(Body::new(Slow(frames)), ended.clone());
        let mut next = async || poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        send.send("one".into()).await.unwrap();
        assert_eq!(next().await.unwrap().unwrap().into_data().unwrap(), "one");
        let (last, ()) = tokio::join!(next(), async { ended.cancel() });
        assert!(last.unwrap().is_err());
    }

    #[test]
    fn a_whole_answer_keeps_its_length() {
        let body = Until::wrap("four".into(), CancellationToken::new());
        assert_eq!(body.size_hint().exact(), Some(4));
    }
}

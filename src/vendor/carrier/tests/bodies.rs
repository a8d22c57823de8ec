//! Bodies: each framing, however it is cut, and how much at a time.

use std::io::ErrorKind;
use std::task::Context;

use proptest::prelude::*;

use super::*;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

#[tokio::test]
async fn each_framing_gives_the_same_bytes() {
    let server = Server::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello there",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6;x=y\r\nhello \r\n5\r\nthere\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nhello there",
        "HTTP/1.0 200 OK\r\n\r\nhello there",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello there",
    ] {
        for at_most in [0, 1, 4, 4096] {
            let (mut response, line) = answered(&server, answer).await;
            drop(line);
            assert_eq!(response.status, StatusCode::OK);
            let (body, end) = read_out(&mut response.body, at_most.max(1)).await;
            assert_eq!(body, "hello there", "{answer}");
            end.unwrap();
            let again = response.body.more(&mut BytesMut::new(), 10).await;
            assert_eq!(again.unwrap(), 0, "the end is the end");
        }
    }
}

#[tokio::test]
async fn an_end_in_the_middle_is_no_end() {
    let server = Server::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\nhello there",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc\r\nhello there",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\nhello there\r\n0\r\n",
    ] {
        let (mut response, line) = answered(&server, answer).await;
        drop(line);
        let (body, end) = read_out(&mut response.body, 4096).await;
        assert_eq!(body, "hello there", "what came before is handed over");
        assert_eq!(end.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        let again = response.body.more(&mut BytesMut::new(), 10).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::UnexpectedEof, "nor is it one later");
    }
}

#[tokio::test]
async fn a_fault_in_the_framing_ends_the_connection() {
    let server = Server::start().await;
    let (mut response, mut line) = answered(&server, CHUNKED).await;
    line.say("2\r\nokno size\r\n").await;
    let (body, end) = read_out(&mut response.body, 4096).await;
    assert_eq!(body, "ok");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::InvalidData);
    line.is_closed().await;
    assert!(response.body.more(&mut BytesMut::new(), 10).await.is_err());
}

#[tokio::test]
async fn a_burst_of_small_chunks_is_few_returns() {
    let server = Server::start().await;
    let (mut response, mut line) = answered(&server, CHUNKED).await;
    let event = [b'e'; 130];
    line.say(chunk(&event).repeat(400)).await;
    let (mut out, mut returns) = (BytesMut::new(), 0);
    while out.len() < 400 * event.len() {
        assert!(response.body.more(&mut out, 64 << 10).await.unwrap() > 0);
        returns += 1;
    }
    // One where the network brings it in one; a busy machine may cut it.
    assert!(returns <= 4, "{returns} returns for 400 chunks");
}

#[tokio::test]
async fn a_lone_chunk_is_not_kept_waiting() {
    let server = Server::start().await;
    let (mut response, mut line) = answered(&server, CHUNKED).await;
    for word in ["one", "two", "three"] {
        line.say(chunk(word.as_bytes())).await;
        let mut out = BytesMut::new();
        // Nothing else comes until this was handed over.
        assert_eq!(response.body.more(&mut out, 64 << 10).await.unwrap(), word.len());
        assert_eq!(out, word);
    }
}

/// Whether a body has nothing to give now.
async fn waits(body: &mut Incoming, out: &mut BytesMut) -> bool {
    tokio::task::yield_now().await;
    let mut once =
        |cx: &mut Context<'_>| Poll::Ready(body.poll_more(cx, out, 64 << 10).is_pending());
    std::future::poll_fn(&mut once).await
}

#[tokio::test]
async fn a_stream_that_waits_holds_no_buffer() {
    let server = Server::start().await;
    let (mut response, mut line) = answered(&server, CHUNKED).await;
    let mut out = BytesMut::new();
    assert!(waits(&mut response.body, &mut out).await);
    assert_eq!(out.capacity(), 0);
    line.say(chunk(&[b'x'; 50_000])).await;
    while out.len() < 50_000 {
        response.body.more(&mut out, 64 << 10).await.unwrap();
    }
    // Handed on, as a caller does: what is left of the buffer is given back while nothing comes.
    drop(out.split());
    assert!(waits(&mut response.body, &mut out).await);
    assert_eq!(out.capacity(), 0);
    assert!(size_of::<Incoming>() <= 512, "{} bytes", size_of::<Incoming>());
}

#[tokio::test]
async fn a_whole_body_is_bounded() {
    let server = Server::start().await;
    let answer = "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 11\r\n\r\nhello there";
    let (response, _line) = answered(&server, answer).await;
    assert_eq!(response.body.whole(11).await.unwrap(), "hello there");
    let (response, mut line) = answered(&server, answer).await;
    assert_eq!(response.body.whole(10).await.unwrap_err().kind(), ErrorKind::InvalidData);
    line.is_closed().await;
    let (response, _line) = answered(&server, "HTTP/1.1 204 No Content\r\n\r\n").await;
    assert_eq!(response.body.whole(0).await.unwrap(), "");
}

proptest! {
    // Each case is a connection.
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_body_is_the_same_however_it_travels(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..600), 0..12),
        cuts in prop::collection::vec(1_usize..900, 1..12),
        at_most in 1_usize..5000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut wire: Vec<u8> = CHUNKED.into();
        chunks.iter().for_each(|data| wire.extend(chunk(data)));
        wire.extend_from_slice(b"0\r\n\r\n");
        let body = runtime.block_on(async {
            let server = Server::start().await;
            let carrier = carrier();
            let read = async {
                let mut response = post(&carrier, &server.url, b"{}").await.unwrap();
                let (body, end) = read_out(&mut response.body, at_most).await;
                end.unwrap();
                body
            };
            let write = async {
                let mut line = server.accept().await;
                line.request().await;
                let mut wire = wire.as_slice();
                for cut in cuts.iter().cycle() {
                    let (piece, rest) = wire.split_at(wire.len().min(*cut));
                    line.say(piece).await;
                    tokio::task::yield_now().await;
                    wire = rest;
                    if wire.is_empty() {
                        break;
                    }
                }
                line
            };
            let (body, _line) = tokio::join!(read, write);
            prop_assert_eq!(carrier.shared.pool.len(), 1, "it ended cleanly and is kept");
            Ok(body)
        })?;
        prop_assert_eq!(body, chunks.concat());
    }
}

//! Kept connections: which are, for how long, and what happens where one had ended.

use super::*;
use crate::vendor::carrier::pool::{IDLE_FOR, MAX_IDLE};

/// A carrier that keeps one connection, and the server's end of it.
async fn kept(server: &Server) -> (Carrier, Line<TcpStream>) {
    let carrier = carrier();
    let (body, line) = tokio::join!(ask(&carrier, &server.url), async {
        let mut line = server.accept().await;
        line.serve("first").await;
        line
    });
    assert_eq!(body, "first");
    assert_eq!(carrier.shared.pool.len(), 1);
    (carrier, line)
}

#[tokio::test]
async fn a_connection_serves_again_and_again() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    for word in ["second", "third"] {
        assert_eq!(tokio::join!(ask(&carrier, &server.url), line.serve(word)).0, word);
    }
    assert!(server.is_left_alone().await);
    assert!(format!("{carrier:?}").contains("idle: 1"), "{carrier:?}");
}

#[tokio::test]
async fn what_may_not_be_kept_is_closed_at_its_end() {
    let server = Server::start().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        // Bytes behind the end: whose answer would they be the beginning of?
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n\n",
    ] {
        let carrier = carrier();
        let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
            let mut line = server.accept().await;
            line.request().await;
            line.say(answer).await;
            line.is_closed().await;
        });
        assert_eq!(body, "ok");
        assert_eq!(carrier.shared.pool.len(), 0, "{answer}");
    }
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection_at_once() {
    let server = Server::start().await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf";
    let (mut response, mut line) = answered(&server, answer).await;
    assert_eq!(response.body.more(&mut BytesMut::new(), 100).await.unwrap(), 4);
    drop(response);
    line.is_closed().await;
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection_at_once() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    tokio::select! {
        biased;
        _ = post(&carrier, &server.url, b"{}") => panic!("nobody answers"),
        _ = line.request() => {}
    }
    line.is_closed().await;
    assert_eq!(carrier.shared.pool.len(), 0);
}

#[tokio::test]
async fn one_that_the_server_has_closed_is_not_tried() {
    let server = Server::start().await;
    let (carrier, line) = kept(&server).await;
    drop(line);
    let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
        server.accept().await.serve("second").await;
    });
    assert_eq!(body, "second");
}

#[tokio::test]
async fn nor_one_that_speaks_without_being_asked() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    line.say("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
    let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
        server.accept().await.serve("second").await;
    });
    assert_eq!(body, "second");
}

#[tokio::test]
async fn an_end_that_crosses_a_request_is_no_end_of_it() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
        let first = line.request().await;
        drop(line);
        let mut line = server.accept().await;
        assert_eq!(line.request().await, first, "the same request");
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond").await;
    });
    assert_eq!(body, "second");
}

#[tokio::test]
async fn it_is_sent_once_more_and_no_oftener() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    let (response, ()) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
        line.request().await;
        drop(line);
        server.accept().await.request().await;
    });
    assert!(response.unwrap_err().sent);
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn a_beginning_of_an_answer_shows_that_it_was_no_old_end() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    let (response, ()) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
        line.request().await;
        line.say("H").await;
        drop(line);
    });
    assert!(response.unwrap_err().sent);
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn and_so_does_an_end_that_comes_late() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    let (response, ()) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
        line.request().await;
        pass(STALE_WITHIN + Duration::from_millis(1)).await;
        drop(line);
    });
    assert!(response.unwrap_err().sent);
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn connections_are_kept_for_a_minute() {
    let server = Server::start().await;
    let (carrier, mut line) = kept(&server).await;
    pass(IDLE_FOR - Duration::from_secs(1)).await;
    assert_eq!(tokio::join!(ask(&carrier, &server.url), line.serve("in time")).0, "in time");
    pass(IDLE_FOR).await;
    let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
        line.is_closed().await;
        server.accept().await.serve("anew").await;
    });
    assert_eq!(body, "anew");
}

#[tokio::test]
async fn only_so_many_are_kept_and_the_last_used_serves_first() {
    let server = Server::start().await;
    let carrier = carrier();
    let (mut bodies, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..=MAX_IDLE {
        let (response, line) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
            let mut line = server.accept().await;
            line.request().await;
            line.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
            line
        });
        bodies.push(response.unwrap().body);
        lines.push(line);
    }
    for (body, line) in bodies.into_iter().zip(&mut lines) {
        line.say("ok").await;
        assert_eq!(body.whole(2).await.unwrap(), "ok");
    }
    assert_eq!(carrier.shared.pool.len(), MAX_IDLE);
    lines[0].is_closed().await;
    let newest = lines.last_mut().unwrap();
    assert_eq!(tokio::join!(ask(&carrier, &server.url), newest.serve("newest")).0, "newest");
}

#[tokio::test]
async fn a_connection_serves_its_own_server_only() {
    let server = Server::start().await;
    let (carrier, _line) = kept(&server).await;
    let other = Server::start().await;
    let (body, ()) = tokio::join!(ask(&carrier, &other.url), async {
        other.accept().await.serve("other").await;
    });
    assert_eq!(body, "other");
    assert_eq!(carrier.shared.pool.len(), 2);
}

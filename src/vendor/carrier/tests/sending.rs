//! Requests on their way, and what is known when no answer comes.

use super::*;

/// More than the buffers of both sockets hold, on any system.
const LARGE: usize = 24 << 20;

#[tokio::test]
async fn a_request_arrives_whole_whatever_its_size() {
    let server = Server::start().await;
    let carrier = carrier();
    for size in [0, 1, 16 << 10, (16 << 10) + 1, 1 << 20] {
        let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let (response, ()) = tokio::join!(post(&carrier, &server.url, &sent), async {
            let mut line = server.accept().await;
            let (head, body) = line.request().await;
            assert!(head.starts_with("POST /v1/responses HTTP/1.1\r\nhost: 127.0.0.1:"), "{head}");
            assert!(head.contains("\r\nauthorization: Bearer of-nothing\r\n"), "{head}");
            assert!(body == sent, "{size} bytes");
            line.say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        });
        assert_eq!(response.unwrap().status, StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn a_refusal_is_heard_while_the_body_is_sent() {
    let server = Server::start().await;
    let carrier = carrier();
    let body = vec![b'x'; LARGE];
    let (response, mut line) = tokio::join!(post(&carrier, &server.url, &body), async {
        let mut line = server.accept().await;
        line.head().await;
        line.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 4\r\n\r\nlong").await;
        line
    });
    let response = response.unwrap();
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.body.whole(100).await.unwrap(), "long");
    assert_eq!(carrier.shared.pool.len(), 0, "half a request is still on this connection");
    line.is_closed().await;
}

#[tokio::test]
async fn a_good_answer_may_begin_before_the_request_has_ended() {
    let server = Server::start().await;
    let carrier = carrier();
    let body = vec![b'x'; LARGE];
    let (response, (mut line, head)) = tokio::join!(post(&carrier, &server.url, &body), async {
        let mut line = server.accept().await;
        let head = line.head().await;
        line.say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfirst").await;
        (line, head)
    });
    assert!(head.contains(&format!("content-length: {LARGE}\r\n")));
    let (rest, ()) = tokio::join!(response.unwrap().body.whole(100), async {
        let mut taken = vec![0; LARGE];
        let taking = tokio::time::timeout(PATIENCE, line.0.read_exact(&mut taken)).await;
        taking.expect("the rest is sent").unwrap();
        assert!(taken == body);
        line.say(" last").await;
    });
    assert_eq!(rest.unwrap(), "first last");
    assert_eq!(carrier.shared.pool.len(), 1);
}

#[tokio::test]
async fn nobody_at_the_address_means_that_nothing_was_sent() {
    let server = Server::start().await;
    let url = server.url.clone();
    drop(server);
    let error = post(&carrier(), &url, b"{}").await.unwrap_err();
    assert_eq!((error.sent, error.timeout), (false, None));
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    assert!(error.message.contains(&address), "{error}");
    assert!(!error.message.contains("/v1"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_carried_is_refused() {
    for url in ["ftp://127.0.0.1/", "data:,x"] {
        let error = post(&carrier(), &Url::parse(url).unwrap(), b"").await.unwrap_err();
        assert_eq!((error.sent, error.timeout), (false, None));
    }
}

#[tokio::test]
async fn a_connection_that_ends_first_may_have_brought_the_request() {
    let server = Server::start().await;
    for said in ["", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n", "220 ready\r\n"] {
        let carrier = carrier();
        let (response, ()) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
            let mut line = server.accept().await;
            line.request().await;
            line.say(said).await;
        });
        let error = response.unwrap_err();
        assert_eq!((error.sent, error.timeout), (true, None), "{said}");
        assert!(server.is_left_alone().await, "a new connection is no stale one");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_not_waited_for() {
    let server = Server::start().await;
    let carrier = carrier();
    let (response, _line) = tokio::join!(post(&carrier, &server.url, b"{}"), async {
        let mut line = server.accept().await;
        line.request().await;
        line.say("HTTP/1.1 200 OK\r\n").await;
        pass(PATIENCE).await;
        line
    });
    let error = response.unwrap_err();
    assert_eq!((error.sent, error.timeout), (true, Some("first_byte")), "{error}");
}

#[tokio::test]
async fn nor_one_that_stops_reading() {
    let server = Server::start().await;
    let carrier = carrier();
    let body = vec![b'x'; LARGE];
    let never_read = async {
        let mut line = server.accept().await;
        line.head().await;
        loop {
            pass(PATIENCE).await;
        }
    };
    let response = tokio::select! {
        response = post(&carrier, &server.url, &body) => response,
        () = never_read => unreachable!("it has no end"),
    };
    let error = response.unwrap_err();
    assert_eq!((error.sent, error.timeout), (true, Some("first_byte")), "{error}");
}

#[tokio::test]
async fn but_a_slow_reader_is_given_its_time() {
    let server = Server::start().await;
    let carrier = carrier();
    let body = vec![b'x'; LARGE];
    let (response, _line) = tokio::join!(post(&carrier, &server.url, &body), async {
        let mut line = server.accept().await;
        line.head().await;
        let mut part = vec![0; LARGE / 12];
        // Together more than the bound. No pause between two sends is longer than that, however far
        // the sockets' buffers let the sender be ahead.
        for _ in 0..12 {
            pass(PATIENCE / 8).await;
            line.0.read_exact(&mut part).await.unwrap();
        }
        line.say("HTTP/1.1 204 No Content\r\n\r\n").await;
        line
    });
    assert_eq!(response.unwrap().status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn waiting_for_a_head_takes_little_memory() {
    let (carrier, server) = (carrier(), Server::start().await);
    let sending = post(&carrier, &server.url, b"{}");
    assert!(size_of_val(&sending) <= 3 << 10, "{} bytes", size_of_val(&sending));
    // And whoever has more than one thread may move it.
    let _movable: &dyn Send = &sending;
}

#[test]
fn a_large_body_is_sent_from_where_it_lies() {
    let body = Bytes::from(vec![0; 1 << 20]);
    assert!(Sending::new(Bytes::from_static(b"head"), body.clone()).lies_at(body.as_ptr()));
    assert!(!Sending::new(Bytes::from_static(b"head"), body.slice(..9)).lies_at(body.as_ptr()));
}

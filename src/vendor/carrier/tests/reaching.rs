//! Names, TLS and proxies on the way to a server.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

/// For localhost and 127.0.0.1 until 2120, signed by itself. Its key protects nothing.
const CERTIFICATE: &[u8] = include_bytes!("localhost.cert.pem");
const KEY: &[u8] = include_bytes!("localhost.key.pem");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).unwrap()
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let mut config = builder.with_single_cert(vec![certificate()], key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// Trusts the test's certificate and nothing else.
fn trusting() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

fn direct() -> Carrier {
    Carrier::build(Some(Matcher::builder().build()), Some(trusting()))
}

fn by_way_of(proxy: &str) -> Carrier {
    Carrier::build(Some(Matcher::builder().all(proxy.to_owned()).build()), Some(trusting()))
}

impl Server {
    fn https(&self) -> Url {
        let mut url = self.url.clone();
        url.set_scheme("https").unwrap();
        url
    }

    async fn accept_tls(&self) -> Line<TlsStream<TcpStream>> {
        Line(acceptor().accept(self.accept().await.0).await.unwrap())
    }
}

/// What a proxy does behind a 200: bytes to the server and back, until either ends.
async fn pass_on(mut from: impl AsyncRead + AsyncWrite + Unpin, to: &Server) {
    let mut there = TcpStream::connect(to.listener.local_addr().unwrap()).await.unwrap();
    let _ended = tokio::io::copy_bidirectional(&mut from, &mut there).await;
}

#[tokio::test]
async fn a_name_with_several_addresses_is_tried_in_turn() {
    let (server, carrier) = (Server::start().await, carrier());
    let mut url = server.url.clone();
    // Where this is ::1 first, nobody listens there.
    url.set_host(Some("localhost")).unwrap();
    let (body, ()) = tokio::join!(ask(&carrier, &url), async {
        server.accept().await.serve("here").await;
    });
    assert_eq!(body, "here");
}

#[tokio::test]
async fn tls_carries_the_same() {
    let (server, carrier) = (Server::start().await, direct());
    let url = server.https();
    let large = vec![b'x'; 1 << 20];
    let (response, mut line) = tokio::join!(post(&carrier, &url, &large), async {
        let mut line = server.accept_tls().await;
        assert!(line.request().await.1 == large);
        line.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        line
    });
    let mut body = response.unwrap().body;
    let mut out = BytesMut::new();
    line.say("5\r\nfirst\r\n").await;
    assert_eq!(body.more(&mut out, 100).await.unwrap(), 5, "not kept waiting");
    let (rest, ()) = tokio::join!(body.whole(1 << 20), async {
        line.say("40000\r\n").await;
        line.say(vec![b'y'; 0x40000]).await;
        line.say("\r\n0\r\n\r\n").await;
    });
    assert!(rest.unwrap() == vec![b'y'; 0x40000]);
    // And it is kept.
    assert_eq!(tokio::join!(ask(&carrier, &url), line.serve("second")).0, "second");
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn a_tls_connection_that_the_server_has_closed_is_not_tried() {
    let (server, carrier) = (Server::start().await, direct());
    let url = server.https();
    for word in ["first", "second"] {
        let (body, ()) = tokio::join!(ask(&carrier, &url), async {
            let mut line = server.accept_tls().await;
            line.serve(word).await;
            line.0.shutdown().await.unwrap();
        });
        assert_eq!(body, word);
    }
}

#[tokio::test]
async fn a_cut_is_no_end_where_only_the_end_of_tls_says_so() {
    let (server, carrier) = (Server::start().await, direct());
    let url = server.https();
    for polite in [true, false] {
        let (response, ()) = tokio::join!(post(&carrier, &url, b"{}"), async {
            let mut line = server.accept_tls().await;
            line.request().await;
            line.say("HTTP/1.1 200 OK\r\n\r\nsome").await;
            if polite {
                line.0.shutdown().await.unwrap();
            }
        });
        let mut incoming = response.unwrap().body;
        let (body, end) = read_out(&mut incoming, 100).await;
        assert_eq!((&body[..], end.is_ok()), (&b"some"[..], polite));
        let again = incoming.more(&mut BytesMut::new(), 100).await;
        assert_eq!(again.is_ok(), polite, "asking again changes nothing");
    }
}

#[tokio::test]
async fn a_server_that_never_finishes_shaking_hands_is_not_waited_for() {
    let (server, carrier) = (Server::start().await, direct());
    let url = server.https();
    let (response, _line) = tokio::join!(post(&carrier, &url, b"{}"), async {
        let line = server.accept().await;
        pass(PATIENCE).await;
        line
    });
    let error = response.unwrap_err();
    assert_eq!((error.sent, error.timeout), (false, Some("connect")), "{error}");
}

#[tokio::test]
async fn whom_this_system_does_not_trust_is_sent_nothing() {
    let (server, carrier) = (Server::start().await, carrier());
    let url = server.https();
    let (response, ()) = tokio::join!(post(&carrier, &url, b"{}"), async {
        let accepted = acceptor().accept(server.accept().await.0).await;
        assert!(accepted.is_err(), "the handshake is not finished");
    });
    let error = response.unwrap_err();
    assert_eq!((error.sent, error.timeout), (false, None));
    assert!(error.message.starts_with("no TLS with 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn https_goes_through_the_proxy_with_its_password() {
    let (server, proxy) = (Server::start().await, Server::start().await);
    let carrier = by_way_of(&format!("http://Aladdin:opensesame@{}", proxy.url.authority()));
    let url = server.https();
    let relayed = async {
        let mut line = proxy.accept().await;
        let head = line.head().await;
        line.say("HTTP/1.1 200 Connection Established\r\nvia: test\r\n\r\n").await;
        pass_on(line.0, &server).await;
        head
    };
    let answered = async {
        let (body, ()) = tokio::join!(ask(&carrier, &url), async {
            server.accept_tls().await.serve("through").await;
        });
        // Closes what was kept, and with it the tunnel.
        drop(carrier);
        body
    };
    let (head, body) = tokio::join!(relayed, answered);
    assert_eq!(body, "through");
    let to = url.authority();
    assert_eq!(
        head,
        format!(
            "CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\
             proxy-authorization: Basic QWxhZGRpbjpvcGVuc2VzYW1l\r\n\r\n"
        )
    );
}

#[tokio::test]
async fn a_proxy_may_be_encrypted_itself() {
    let (server, proxy) = (Server::start().await, Server::start().await);
    let carrier = by_way_of(&format!("https://{}", proxy.url.authority()));
    let relayed = async {
        let mut line = proxy.accept_tls().await;
        line.head().await;
        line.say("HTTP/1.1 200 OK\r\n\r\n").await;
        pass_on(line.0, &server).await;
    };
    let url = server.https();
    let answered = async {
        let (body, ()) = tokio::join!(ask(&carrier, &url), async {
            server.accept_tls().await.serve("through").await;
        });
        drop(carrier);
        body
    };
    assert_eq!(tokio::join!(relayed, answered).1, "through");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named() {
    let (server, proxy) = (Server::start().await, Server::start().await);
    let address = proxy.url.authority();
    for (said, told) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno", "HTTP 407"),
        ("HTTP/1.1 200 OK\r\n\r\nearly", "out of turn"),
        ("SOCKS\r\n", "broke"),
        ("HTTP/1.1 200", "broke"),
    ] {
        let carrier = by_way_of(&format!("http://me:secret@{address}"));
        let url = server.https();
        let (response, ()) = tokio::join!(post(&carrier, &url, b"{}"), async {
            let mut line = proxy.accept().await;
            line.head().await;
            line.say(said).await;
        });
        let error = response.unwrap_err();
        assert_eq!((error.sent, error.timeout), (false, None));
        let named = error.message.contains(address) && error.message.contains(told);
        assert!(named && !error.message.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_kind_of_proxy_that_is_not_spoken_is_an_error_and_not_gone_round() {
    let server = Server::start().await;
    let carrier = by_way_of("socks5://127.0.0.1:1");
    let error = post(&carrier, &server.https(), b"{}").await.unwrap_err();
    assert!(!error.sent && error.message.contains("socks5"), "{error}");
    assert!(server.is_left_alone().await);
}

#[tokio::test]
async fn plain_http_goes_by_no_proxy() {
    let server = Server::start().await;
    let carrier = by_way_of("http://127.0.0.1:1");
    let (body, ()) = tokio::join!(ask(&carrier, &server.url), async {
        server.accept().await.serve("straight").await;
    });
    assert_eq!(body, "straight");
}

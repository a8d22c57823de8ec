//! From a URL to a connection: the name, TCP, the proxy where there is one, TLS.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, StatusCode, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use reqwest::Url;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::stream::{Stream, Stride};
use super::{Request, head};

/// The most addresses of one name that are tried: some of each family.
const MAX_ADDRESSES: usize = 8;

/// Whom a connection is to: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As in a URL: an IPv6 address stands in brackets.
    host: String,
    port: u16,
    tls: bool,
}

impl Target {
    /// # Errors
    /// Where this is no request that can be carried.
    pub(super) fn of(request: &Request<'_>) -> Result<Self, String> {
        let url = request.url;
        if request.method == Method::CONNECT {
            return Err("CONNECT is not for carrying".to_owned());
        }
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(format!("{other} is neither http nor https")),
        };
        let host = url.host_str().ok_or("a URL without a host")?.to_owned();
        let port = url.port_or_known_default().ok_or("a URL without a port")?;
        Ok(Self { host, port, tls })
    }

    /// What a name server or a socket takes.
    fn bare_host(&self) -> &str {
        let host = self.host.as_str();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The `Host` of a request: the port only where it is not the scheme's own (RFC 9110 section 7.2).
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Makes connections. What belongs to TLS is read when it is first needed.
pub(super) struct Connector {
    proxies: OnceLock<Matcher>,
    tls: OnceCell<TlsConnector>,
}

impl Connector {
    /// With these instead of the system's, where given.
    pub(super) fn new(proxies: Option<Matcher>, tls: Option<Arc<ClientConfig>>) -> Self {
        Self {
            proxies: proxies.map_or_else(OnceLock::new, OnceLock::from),
            tls: OnceCell::new_with(tls.map(TlsConnector::from)),
        }
    }

    /// A connection there. `patience` is the caller's bound, of which each address gets its share.
    ///
    /// # Errors
    /// What failed, in words; nothing of a request was sent.
    pub(super) async fn connect(&self, to: &Target, patience: Duration) -> io::Result<Stream> {
        let until = Instant::now() + patience;
        if !to.tls {
            // Configured for loopback only, where a proxy would be somebody else's.
            return tcp(to, until).await.map(Stream::Plain);
        }
        let direct = match self.proxy(to) {
            None => Stream::Plain(tcp(to, until).await?),
            Some(proxy) => self.tunnel(&proxy, to, until).await?,
        };
        self.secure(direct, to).await
    }

    fn proxy(&self, to: &Target) -> Option<Intercept> {
        let uri: Uri = format!("https://{to}/").parse().ok()?;
        self.proxies.get_or_init(Matcher::from_system).intercept(&uri)
    }

    /// A connection to `to` by way of a proxy (RFC 9110 section 9.3.6).
    async fn tunnel(&self, proxy: &Intercept, to: &Target, until: Instant) -> io::Result<Stream> {
        let uri = proxy.uri();
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => {
                let scheme = other.unwrap_or("?");
                return Err(io::Error::other(format!("proxies by {scheme} are not supported")));
            }
        };
        let host = uri.host().unwrap_or_default().to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let via = Target { host, port, tls };
        let mut stream = Stream::Plain(tcp(&via, until).await?);
        if via.tls {
            stream = self.secure(stream, &via).await?;
        }
        let mut ask = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n").into_bytes();
        if let Some(password) = proxy.basic_auth() {
            ask.extend_from_slice(b"proxy-authorization: ");
            ask.extend_from_slice(password.as_bytes());
            ask.extend_from_slice(b"\r\n");
        }
        ask.extend_from_slice(b"\r\n");
        let failed = |error: io::Error| named(&format!("the proxy {via} broke"), &error);
        stream.write_all(&ask).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        match answer(&mut stream).await.map_err(failed)? {
            status if status.is_success() => Ok(stream),
            status => {
                Err(io::Error::other(format!("the proxy {via} answered HTTP {status} to CONNECT")))
            }
        }
    }

    async fn secure(&self, stream: Stream, to: &Target) -> io::Result<Stream> {
        let failed = |error: io::Error| named(&format!("no TLS with {to}"), &error);
        let name = ServerName::try_from(to.bare_host().to_owned());
        let name = name.map_err(|error| failed(io::Error::other(error)))?;
        let connector = self.tls.get_or_try_init(roots).await.map_err(failed)?;
        let secured = connector.connect(name, stream).await.map_err(failed)?;
        Ok(Stream::Tls(Box::new(secured)))
    }
}

/// This system's trust, whatever keeps it. On Linux and its like that is a file of certificates, for
/// which `SSL_CERT_FILE` and `SSL_CERT_DIR` stand where set. Hundreds of them are parsed: not here,
/// where others wait for an answer.
async fn roots() -> io::Result<TlsConnector> {
    let build = || -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?.with_platform_verifier()?;
        let mut config = builder.with_no_client_auth();
        // Chosen here: HTTP/2 would bring windows and frames to a stream that has neither need.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    };
    let config = tokio::task::spawn_blocking(build).await.map_err(io::Error::other)?;
    Ok(TlsConnector::from(Arc::new(config.map_err(io::Error::other)?)))
}

/// The first address that answers, in the order of the system's preference (RFC 6724). None may use
/// up the time of those behind it.
async fn tcp(to: &Target, until: Instant) -> io::Result<TcpStream> {
    let found = lookup_host((to.bare_host(), to.port)).await;
    let found =
        found.map_err(|error| named(&format!("{} cannot be looked up", to.host), &error))?;
    let addresses: Vec<SocketAddr> = found.take(MAX_ADDRESSES).collect();
    let mut failure = io::Error::other("it has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / untried;
        let connected = timeout(share, TcpStream::connect(address)).await;
        // What is written is whole; waiting for more to fill a packet would only cost time.
        let ready = |tcp: TcpStream| tcp.set_nodelay(true).map(|()| tcp);
        match connected.map(|tcp| tcp.and_then(ready)) {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => failure = error,
            // The last one's share is all that is left, and the caller's bound says it better.
            Err(_) if untried == 1 => std::future::pending().await,
            Err(late) => failure = late.into(),
        }
    }
    Err(named(&format!("{to} cannot be reached"), &failure))
}

/// What a proxy says to CONNECT.
async fn answer(stream: &mut Stream) -> io::Result<StatusCode> {
    let (mut arrived, mut seen, mut stride) = (BytesMut::new(), 0, Stride::default());
    loop {
        let room = head::MAX_HEAD_BYTES;
        let found =
            std::future::poll_fn(|cx| stream.poll_into(cx, &mut arrived, room, &mut stride));
        if found.await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let head = head::decode(&mut arrived, &mut seen, &Method::CONNECT);
        if let Some(head) = head.map_err(io::Error::other)? {
            // In a tunnel it is the client who speaks first.
            if head.status.is_success() && !arrived.is_empty() {
                return Err(io::Error::other("it spoke out of turn"));
            }
            return Ok(head.status);
        }
    }
}

fn named(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

//! A browser's and curl's half of HTTP/1.1, small enough to send what no library would.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::LONG;

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {} {}", self.status, self.body))
    }

    /// Reads what came until the end of the connection.
    #[track_caller]
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status, headers, body: body.to_owned() }
    }
}

/// Follows nothing.
#[track_caller]
pub(crate) fn get(url: &str) -> Response {
    send("GET", url, None)
}

/// Posts JSON.
#[track_caller]
pub(crate) fn post(url: &str, body: &Value) -> Response {
    send("POST", url, Some(&body.to_string()))
}

/// Any method, with a JSON body or none.
#[track_caller]
pub(crate) fn send(method: &str, url: &str, body: Option<&str>) -> Response {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("no plain URL: {url}"));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{url}: {error}"));
    stream.set_read_timeout(Some(LONG)).unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    if let Some(body) = body {
        request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    request += "\r\n";
    request += body.unwrap_or_default();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// One parameter of a URL's query, decoded.
pub(crate) fn parameter(url: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

/// A URL with these parameters, in this order, as often as they are given.
pub(crate) fn encode(base: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(base).unwrap();
    url.set_query(None);
    url.query_pairs_mut().extend_pairs(parameters);
    url.into()
}

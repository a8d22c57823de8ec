//! Which names lead here and which pages may ask, as the configuration says. Pure.

use std::sync::{Arc, PoisonError, RwLock};

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};

/// The names of this machine by which a client on it comes.
const LOCAL: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Whom the configuration lets in beside the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::http) struct Rules {
    hosts: Vec<String>,
    origins: Vec<String>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub(in crate::http) struct Current(RwLock<Arc<Rules>>);

impl Current {
    pub(in crate::http) fn get(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(in crate::http) fn set(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

impl Rules {
    pub(in crate::http) fn new(config: &crate::config::Http) -> Self {
        let lower = |list: &[String]| list.iter().map(|item| item.to_ascii_lowercase()).collect();
        Self { hosts: lower(&config.allow_hosts), origins: lower(&config.allow_origins) }
    }

    /// Whether the request is for us. A request names its host once, and where it names it in its
    /// target, too (RFC 9112 section 3.2.2), both have to be ours.
    pub(super) fn knows_host(&self, parts: &Parts) -> bool {
        let mut named = parts.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else { return false };
        let known = |host: &str| self.knows(&host.to_ascii_lowercase());
        host.to_str().is_ok_and(known)
            && parts.uri.authority().is_none_or(|authority| known(authority.as_str()))
    }

    fn knows(&self, host: &str) -> bool {
        let name = without_port(host);
        let allowed = |entry: &String| entry == host || entry == name;
        LOCAL.contains(&name) || self.hosts.iter().any(allowed)
    }

    /// The page that asks, where one does and may; an error where it may not.
    pub(super) fn origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, ()> {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let text = origin.to_str().map_err(drop)?.to_ascii_lowercase();
        if origins.next().is_some() || !self.origins.contains(&text) {
            return Err(());
        }
        Ok(Some(origin.clone()))
    }
}

/// `host` of `host:port`; an address in brackets keeps its own colons.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = axum::http::Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn rules() -> Rules {
        Rules::new(&crate::config::Http {
            listen: None,
            allow_hosts: vec!["Box.local".into(), "other.local:99".into()],
            allow_origins: vec!["http://box.local".into()],
        })
    }

    #[test]
    fn only_names_of_this_machine_and_those_allowed_lead_here() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8459",
            "localhost:1",
            "LOCALHOST",
            "[::1]",
            "[::1]:80",
            "box.local:8459",
            "other.local:99",
        ] {
            assert!(rules().knows_host(&parts("/", &[("host", host)])), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:8459",
            "evil.example:127.0.0.1",
            "user@localhost",
            "localhost:80:80",
            "::1",
            "127.0.0.2",
            "0.0.0.0",
            "other.local",
            "other.local:98",
            "localhost.",
        ] {
            assert!(!rules().knows_host(&parts("/", &[("host", host)])), "{host}");
        }
    }

    #[test]
    fn a_host_is_named_once_and_the_same_everywhere() {
        assert!(!rules().knows_host(&parts("/", &[])));
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert!(!rules().knows_host(&parts("/", &twice)));
        let host = [("host", "localhost")];
        assert!(rules().knows_host(&parts("http://127.0.0.1:9/x", &host)));
        assert!(!rules().knows_host(&parts("http://evil.example/x", &host)));
    }

    #[test]
    fn pages_ask_only_where_they_are_named() {
        let headers = |origins: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in origins {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            headers
        };
        assert_eq!(rules().origin(&headers(&[])), Ok(None));
        let named = HeaderValue::from_static("http://box.local");
        assert_eq!(rules().origin(&headers(&["http://box.local"])), Ok(Some(named)));
        for foreign in
            ["null", "", "https://box.local", "http://box.local:1", "http://evil.example"]
        {
            assert_eq!(rules().origin(&headers(&[foreign])), Err(()), "{foreign}");
        }
        assert_eq!(rules().origin(&headers(&["http://box.local", "http://box.local"])), Err(()));
    }
}

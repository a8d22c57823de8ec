//! Where a request of a browser comes from, and whether it means to be here. Pure.
//!
//! A browser tells, in headers that no page can set, which host a request is for, which page sent it
//! and what for (Fetch standard, sections on `Origin` and `Sec-Fetch-*`). So a name that leads to
//! 127.0.0.1 by somebody's trick, a form on another site, and a look ahead at a link are each told
//! apart from a person's click.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::sessions::Shown;

/// The header with the half of a session that is no cookie.
pub(super) const HALF: HeaderName = HeaderName::from_static("x-valetkey-page");

/// The cookie's name. Cookies know no ports, so the name tells it.
pub(super) fn cookie_name(port: u16) -> String {
    format!("valetkey_{port}")
}

/// The host that the request names, where it is ours: named once, and the same wherever it is named
/// (RFC 9112 section 3.2.2).
pub(super) fn own_host(parts: &Parts, port: u16) -> Option<String> {
    let host = only(&parts.headers, &header::HOST)?.to_ascii_lowercase();
    let ours = host == format!("127.0.0.1:{port}") || host == format!("localhost:{port}");
    let same = parts.uri.authority().is_none_or(|it| it.as_str().eq_ignore_ascii_case(&host));
    (ours && same).then_some(host)
}

/// Whether a page of this very host sends this.
pub(super) fn from_own_page(headers: &HeaderMap, host: &str) -> bool {
    let origin = only(headers, &header::ORIGIN);
    let site = headers.get("sec-fetch-site");
    origin.is_some_and(|origin| origin.strip_prefix("http://") == Some(host))
        && site.is_none_or(|site| site == "same-origin")
}

/// Whether the body is said to be JSON, which no form of another site can say without being asked first.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = only(headers, &header::CONTENT_TYPE).and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether a person opens this as a page: no look ahead, no picture, no frame. Browsers that say nothing
/// of it are believed.
pub(super) fn is_opened(headers: &HeaderMap) -> bool {
    let ahead = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let looks = |name: &str| {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            [&b"prefetch"[..], b"prerender", b"preview"]
                .iter()
                .any(|word| value.windows(word.len()).any(|part| part == *word))
        })
    };
    let is = |name: &str, wanted: &str| headers.get(name).is_none_or(|value| value == wanted);
    !ahead.into_iter().any(looks)
        && is("sec-fetch-dest", "document")
        && is("sec-fetch-mode", "navigate")
}

/// What a request shows of a session.
pub(super) fn shown(headers: &HeaderMap, port: u16) -> Shown {
    let name = cookie_name(port);
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name)
        .map(|(_, value)| value);
    Shown::new(cookies, only(headers, &HALF))
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, Request};

    fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        parts("/", pairs).headers
    }

    #[test]
    fn only_this_machines_names_with_our_port_are_ours() {
        for host in ["127.0.0.1:9", "localhost:9", "LOCALHOST:9"] {
            let own = own_host(&parts("/", &[("host", host)]), 9);
            assert_eq!(own, Some(host.to_ascii_lowercase()), "{host}");
        }
        for host in [
            "127.0.0.1",
            "127.0.0.1:8",
            "evil.example:9",
            "127.0.0.1.evil.example:9",
            "[::1]:9",
            "",
        ] {
            assert_eq!(own_host(&parts("/", &[("host", host)]), 9), None, "{host}");
        }
        assert_eq!(own_host(&parts("/", &[]), 9), None);
        let twice = [("host", "localhost:9"), ("host", "localhost:9")];
        assert_eq!(own_host(&parts("/", &twice), 9), None);
        let host = [("host", "localhost:9")];
        assert_eq!(own_host(&parts("http://evil.example/", &host), 9), None);
        assert!(own_host(&parts("http://localhost:9/", &host), 9).is_some());
    }

    #[test]
    fn only_our_own_page_may_post() {
        let host = "127.0.0.1:9";
        let own = ("origin", "http://127.0.0.1:9");
        assert!(from_own_page(&headers(&[own]), host));
        assert!(from_own_page(&headers(&[own, ("sec-fetch-site", "same-origin")]), host));
        for foreign in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:8")],
            &[("origin", "http://localhost:9")],
            &[("origin", "https://127.0.0.1:9")],
            &[("origin", "http://evil.example")],
            &[own, own],
            &[own, ("sec-fetch-site", "same-site")],
            &[own, ("sec-fetch-site", "cross-site")],
            &[own, ("sec-fetch-site", "none")],
        ] {
            assert!(!from_own_page(&headers(foreign), host), "{foreign:?}");
        }
    }

    #[test]
    fn only_json_is_json() {
        for (kind, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("text/plain; application/json", false),
        ] {
            assert_eq!(is_json(&headers(&[("content-type", kind)])), json, "{kind}");
        }
        assert!(!is_json(&headers(&[])));
    }

    #[test]
    fn a_look_ahead_is_no_click() {
        assert!(is_opened(&headers(&[])), "an old browser");
        let click = [
            ("sec-fetch-dest", "document"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", "none"),
        ];
        assert!(is_opened(&headers(&click)));
        for other in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "Prefetch"),
            ("x-moz", "prefetch"),
            ("x-purpose", "preview"),
            ("sec-fetch-dest", "image"),
            ("sec-fetch-dest", "iframe"),
            ("sec-fetch-mode", "no-cors"),
        ] {
            assert!(!is_opened(&headers(&[other])), "{other:?}");
        }
    }

    #[test]
    fn odd_cookies_are_no_trouble() {
        let mut odd = headers(&[("cookie", "a; =; valetkey_9; valetkey_9=x=y; valetkey_90=z")]);
        odd.append(header::COOKIE, HeaderValue::from_bytes(b"\xff=1").unwrap());
        let many = "valetkey_9=1; ".repeat(100);
        odd.append(header::COOKIE, HeaderValue::from_str(&many).unwrap());
        let shown = format!("{:?}", shown(&odd, 9)).matches("], [").count() + 1;
        assert_eq!(shown, Shown::MOST_COOKIES);
    }
}

//! The page in a browser, byte by byte: who gets in, what it may do, and when it is gone.
//!
//! What a person sees of it is looked at in a real browser (`tests/clients/browser.py`).

// Whose a connection is can be told on Linux alone.
#[cfg(target_os = "linux")]
mod strangers;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, LONG, Response, Sandbox, eventually, stderr, stdout};

const JSON: (&str, &str) = ("content-type", "application/json");

/// The page's listener, and what a browser would send there.
struct Page {
    port: u16,
    /// The path of the one-time link.
    link: String,
}

/// A browser that has a session.
struct Session {
    cookie: String,
    half: String,
    origin: String,
}

impl Page {
    #[track_caller]
    fn open(daemon: &Daemon) -> Self {
        Self::at(daemon.ok("page.open", json!({}))["url"].as_str().unwrap())
    }

    #[track_caller]
    fn at(url: &str) -> Self {
        let rest = url.strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{url}"));
        let (port, link) = rest.split_at(rest.find('/').unwrap());
        Self { port: port.parse().unwrap(), link: link.to_owned() }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// One request on a connection of its own. A `host` among the headers replaces the usual.
    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            head += &format!("host: {}\r\n", self.host());
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).unwrap();
        // Who is refused early may find the door shut.
        let _ = stream.write_all(body.as_bytes());
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.ask("GET", path, headers, "")
    }

    /// Uses the link up.
    #[track_caller]
    fn enter(&self) -> Session {
        let answer = self.get(&self.link, &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let cookie = answer.header("set-cookie").unwrap();
        let (_, rest) = answer.body.split_once("data-half=\"").unwrap();
        Session {
            cookie: cookie.split(';').next().unwrap().to_owned(),
            half: rest.split('"').next().unwrap().to_owned(),
            origin: format!("http://{}", self.host()),
        }
    }

    #[track_caller]
    fn rpc(&self, session: &Session, body: &Value) -> Value {
        let answer = self.ask("POST", "/rpc", &session.headers(), &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    #[track_caller]
    fn call(&self, session: &Session, method: &str, params: Value) -> Value {
        self.rpc(session, &json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    }

    fn is_closed(&self) -> bool {
        TcpStream::connect(self.host()).is_err()
    }
}

impl Session {
    /// What the page's script sends.
    fn headers(&self) -> [(&str, &str); 5] {
        [
            JSON,
            ("cookie", &self.cookie),
            ("x-valetkey-page", &self.half),
            ("origin", &self.origin),
            ("sec-fetch-site", "same-origin"),
        ]
    }

    /// The same with one of them changed.
    fn but<'a>(&'a self, name: &str, value: &'a str) -> Vec<(&'a str, &'a str)> {
        let changed = |(n, old)| if n == name { (n, value) } else { (n, old) };
        self.headers().map(changed).to_vec()
    }

    /// The same without one of them.
    fn without(&self, name: &str) -> Vec<(&str, &str)> {
        self.headers().into_iter().filter(|(n, _)| *n != name).collect()
    }
}

#[track_caller]
fn says_how_to_get_in(answer: &Response) {
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("valetkey open"), "{}", answer.body);
    assert!(answer.body.len() < 2000 && answer.header("set-cookie").is_none());
}

#[test]
fn a_link_opens_the_page_once_and_only_by_a_click() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    assert!(page.link.strip_prefix("/enter/").unwrap().len() >= 43, "{}", page.link);
    for path in ["/", "/page.js", "/nowhere", "/rpc", "/enter/", "/enter/x", "/enter/%ff/y"] {
        says_how_to_get_in_or_not_allowed(&page.get(path, &[]), path);
    }
    // Whoever looks ahead, or shows it as something else than a page, uses nothing up.
    assert_eq!(page.ask("HEAD", &page.link, &[], "").status, 405);
    assert_eq!(page.ask("POST", &page.link, &[JSON], "{}").status, 403);
    for ahead in [
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("sec-fetch-dest", "iframe"),
        ("sec-fetch-mode", "no-cors"),
    ] {
        let answer = page.get(&page.link, &[ahead]);
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None), "{ahead:?}");
    }
    let other = format!("{}x", page.link);
    assert_eq!(page.get(&other, &[]).status, 403, "a link that is longer");
    let answer =
        page.get(&page.link, &[("sec-fetch-dest", "document"), ("sec-fetch-site", "none")]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let cookie = answer.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "HttpOnly; SameSite=Strict; Path=/");
    assert!(pair.starts_with(&format!("valetkey_{}=", page.port)), "{pair}");
    assert_eq!(answer.header("location"), None, "a redirect would not carry the cookie");
    let again = page.get(&page.link, &[]);
    says_how_to_get_in(&again);

    let index = page.get("/", &[("cookie", pair)]);
    assert_eq!(index.status, 200);
    assert!(index.body.contains("<script src=\"/page.js\"") && !index.body.contains(pair));
    let script = page.get("/page.js", &[("cookie", pair)]);
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    assert_eq!(page.get("/nowhere", &[("cookie", pair)]).status, 404);
    let log = daemon.log();
    let link = &page.link["/enter/".len()..];
    assert!(!log.contains(link) && !log.contains(pair), "no secret of the page is in the log");
}

#[track_caller]
fn says_how_to_get_in_or_not_allowed(answer: &Response, path: &str) {
    if path == "/rpc" {
        assert_eq!(answer.status, 405, "{}", answer.body);
    } else {
        says_how_to_get_in(answer);
    }
}

#[test]
fn every_answer_forbids_what_the_page_does_not_need() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    let foreign = [("host", "evil.example")];
    let answers = [
        page.get("/", &[]),
        page.get("/page.css", &[]),
        page.get("/enter.js", &[]),
        page.get("/", &foreign),
        page.ask("PUT", "/", &[], ""),
        page.ask("POST", "/rpc", &[], ""),
        page.get(&page.link, &[]),
    ];
    for answer in answers {
        let policy =
            answer.header("content-security-policy").unwrap_or_else(|| panic!("{answer:?}"));
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{answer:?}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

#[test]
fn only_the_page_itself_may_call_and_only_with_both_halves() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let page = Page::open(&daemon);
    let session = page.enter();
    let other = Page::open(&daemon).enter();
    let logout = r#"{"jsonrpc":"2.0","id":1,"method":"logout"}"#;
    let host = format!("localhost:{}", page.port);
    for (headers, status) in [
        (session.but("origin", "http://evil.example"), 403),
        (session.but("origin", "null"), 403),
        (session.without("origin"), 403),
        (session.but("sec-fetch-site", "same-site"), 403),
        (session.but("sec-fetch-site", "cross-site"), 403),
        ([&[("host", host.as_str())], &session.headers()[..]].concat(), 403),
        ([&[("host", "evil.example")], &session.headers()[..]].concat(), 403),
        (session.but("content-type", "text/plain"), 415),
        (session.without("content-type"), 415),
        (session.without("cookie"), 401),
        (session.without("x-valetkey-page"), 401),
        (session.but("x-valetkey-page", &other.half), 401),
        (session.but("cookie", &other.cookie), 401),
    ] {
        for path in ["/rpc", "/leave"] {
            let answer = page.ask("POST", path, &headers, logout);
            assert_eq!(answer.status, status, "{path} {headers:?} {}", answer.body);
        }
    }
    // What changes anything is posted.
    assert_eq!(page.get("/rpc", &session.headers()).status, 405);
    assert_eq!(page.get("/leave", &session.headers()).status, 405);
    assert_eq!(daemon.status()["connected"], true, "nobody was signed out");
    assert_eq!(page.call(&session, "status", json!({}))["result"]["connected"], true);
    let long = format!("{{\"jsonrpc\":\"2.0\",\"x\":\"{}\"}}", "x".repeat(64 * 1024));
    assert_eq!(page.ask("POST", "/rpc", &session.headers(), &long).status, 413);
    // By the other name of this machine it works as well.
    let local = format!("http://{host}");
    let headers = [&[("host", host.as_str())], &session.but("origin", &local)[..]].concat();
    assert_eq!(page.ask("POST", "/rpc", &headers, logout).status, 200);
    assert_eq!(daemon.status()["connected"], false);
}

#[test]
fn the_page_can_look_and_sign_in_and_out_and_no_more() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    let session = page.enter();
    let forbidden = [
        "token",
        "lease",
        "keys.add",
        "keys.list",
        "keys.revoke",
        "import",
        "reload",
        "shutdown",
        "page.open",
        "subscribe",
        "responses.create",
        "no.such",
    ];
    let calls: Vec<Value> = forbidden
        .iter()
        .map(|method| json!({"jsonrpc": "2.0", "id": method, "method": method, "params": {}}))
        .collect();
    let answers = page.rpc(&session, &json!(calls));
    assert_eq!(answers.as_array().unwrap().len(), forbidden.len());
    for answer in answers.as_array().unwrap() {
        assert_eq!(answer["error"]["code"], -32007, "{answer}");
    }
    assert_eq!(page.call(&session, "token", json!({}))["error"]["data"]["kind"], "denied");

    let refused = page.call(&session, "login.start", json!({"method": "device"}));
    assert_eq!(refused["error"]["data"]["kind"], "consent_required", "{refused}");
    let started = page.call(&session, "login.start", json!({"method": "device", "consent": true}));
    sandbox.approve_code(started["result"]["user_code"].as_str().unwrap());
    let wait = json!({"login_id": started["result"]["login_id"], "timeout": 20});
    let waited = page.call(&session, "login.wait", wait);
    assert_eq!(waited["result"]["login"], "complete", "{waited}");
    for look in ["usage", "models", "accounts.list", "info", "audit.tail"] {
        assert!(page.call(&session, look, json!({}))["result"].is_object(), "{look}");
    }
    assert!(page.call(&session, "logout", json!({}))["result"].is_object());
    let told = daemon.ok("audit.tail", json!({}));
    let of_page: Vec<(&str, &str)> = told["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["client"]["name"] == "page")
        .map(|entry| (entry["method"].as_str().unwrap(), entry["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        of_page,
        [("login.start", "consent_required"), ("login.start", "ok"), ("logout", "ok")],
        "what it did is noted, and that it looked is not"
    );
}

#[test]
fn the_port_is_the_pages_own_and_closes_with_its_last_session() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).and_config("[http]\nlisten = \"127.0.0.1:0\"").serve();
    let door = daemon.ok("info", json!({}))["http"].as_str().unwrap().to_owned();
    let (first, second) = (Page::open(&daemon), Page::open(&daemon));
    assert_eq!(first.port, second.port, "one listener for all");
    assert_ne!(first.host(), door, "and it is not the door");
    let key = daemon.ok("lease", json!({"client": "tests"}))["key"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    says_how_to_get_in(&first.get("/", &[("authorization", &bearer)]));
    let session = first.enter();
    let at_the_door = Page::at(&format!("http://{door}/"));
    let answer = at_the_door.get("/v1/models", &[("cookie", &session.cookie)]);
    assert_eq!(answer.status, 401, "the page's session opens nothing else");

    assert_eq!(first.ask("POST", "/leave", &session.headers(), "{}").status, 204);
    let gone = first.ask("POST", "/rpc", &session.headers(), "{}");
    assert_eq!(gone.status, 401, "the other link still waits");
    let session = second.enter();
    let left = second.ask("POST", "/leave", &session.headers(), "{}");
    assert!(left.header("set-cookie").unwrap().contains("Max-Age=0"), "{left:?}");
    eventually("the port is closed", || second.is_closed().then_some(()));
    let again = Page::open(&daemon);
    assert_eq!(again.get("/", &[("cookie", &session.cookie)]).status, 403, "nothing lives on");
    again.enter();
}

#[test]
fn browsers_beyond_count_are_told_so() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let page = Page::open(&daemon);
    let held: Vec<TcpStream> = (0..32).map(|_| TcpStream::connect(page.host()).unwrap()).collect();
    let refused = eventually("one too many is refused", || {
        let answer = page.get("/", &[]);
        (answer.status == 503).then_some(answer)
    });
    assert_eq!(refused.header("retry-after"), Some("1"));
    drop(held);
    eventually("there is room again", || (page.get("/", &[]).status == 403).then_some(()));
}

// What opens a browser elsewhere asks the system which, and no environment.
#[cfg(unix)]
#[test]
fn the_command_opens_a_browser() {
    let sandbox = Sandbox::start();
    let opened = tempfile::tempdir().unwrap();
    let (browser, seen) = (opened.path().join("browser"), opened.path().join("seen"));
    std::fs::write(
        &browser,
        format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new\nmv {0}.new {0}\n", seen.display()),
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&browser, mode).unwrap();
    let home =
        Home::new(&sandbox).and_env("BROWSER", browser.to_str().unwrap()).and_env("DISPLAY", ":99");
    let daemon = home.serve();

    let output = daemon.run(&["open"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "", "an address that was opened is shown to nobody");
    let url = eventually("the browser is started", || std::fs::read_to_string(&seen).ok());
    Page::at(&url).enter();
    std::fs::remove_file(&seen).unwrap();

    for asked in [&["open", "--no-browser"] as &[&str], &["open", "--json"]] {
        assert!(daemon.run(asked).status.success());
        assert!(!seen.exists(), "no other browser was started");
    }
}

#[test]
fn the_command_prints_the_address_where_it_is_asked_to() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let output = daemon.run(&["open", "--no-browser"]);
    Page::at(stdout(&output).trim()).enter();
    assert!(stderr(&output).contains("once, within 2 minutes"), "{}", stderr(&output));
    let told: Value = serde_json::from_str(&stdout(&daemon.run(&["open", "--json"]))).unwrap();
    Page::at(told["url"].as_str().unwrap()).enter();
    assert!(told["expires_at"].as_u64().unwrap() > 1_700_000_000_000);
}

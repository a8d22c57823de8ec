//! The sandbox over real HTTP: what a client may rely on when it is tested against this.

mod backend;
mod faults;
mod logins;
mod streams;
mod tokens;

use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde_json::{Value, json};

use super::{CODEX_CLIENT_ID, Options, Sandbox, issuer::s256};
use crate::clock::{Clock, Timestamp};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const REDIRECT: &str = "http://127.0.0.1:1455/auth/callback";

struct Desk {
    sandbox: Sandbox,
    http: Client,
    clock: Clock,
}

impl Desk {
    /// A sandbox whose clock moves only when it is told to, but for the milliseconds a test takes.
    async fn new() -> Self {
        let clock = Clock::virtual_at(Timestamp(1_900_000_000_000), Duration::from_millis(5));
        let options = Options {
            clock: clock.clone(),
            access_ttl: Duration::from_secs(3600),
            ..Options::default()
        };
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(Duration::from_secs(20))
            .build()
            .unwrap();
        let sandbox = Sandbox::start(options).await.unwrap();
        Self { sandbox, http, clock }
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.url())
    }

    async fn get(&self, path: &str) -> Response {
        self.http.get(self.at(path)).send().await.unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.http.post(self.at(path)).json(&body).send().await.unwrap()
    }

    async fn lever(&self, path: &str, body: Value) -> Value {
        let answer = self.post(&format!("/_sandbox/{path}"), body).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.json().await.unwrap()
    }

    async fn stats(&self) -> Value {
        self.get("/_sandbox/stats").await.json().await.unwrap()
    }

    /// Asks until the counters are as wished; ten seconds are long enough for a busy machine.
    async fn eventually(&self, holds: impl Fn(&Value) -> bool) {
        let bound = tokio::time::Instant::now() + Duration::from_secs(10);
        while !holds(&self.stats().await) {
            assert!(tokio::time::Instant::now() < bound, "{}", self.stats().await);
        }
    }

    fn authorize_url(&self, changes: &[(&str, Option<&str>)]) -> Url {
        let challenge = s256(VERIFIER);
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", CODEX_CLIENT_ID),
            ("redirect_uri", REDIRECT),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "st&te"),
            ("scope", "openid profile email offline_access"),
            ("originator", "<b>valetkey</b>"),
        ];
        for (name, value) in changes {
            query.retain(|(have, _)| have != name);
            query.extend(value.map(|value| (*name, value)));
        }
        Url::parse_with_params(&self.at("/oauth/authorize"), query).unwrap()
    }

    /// What the redirect carries back.
    async fn authorize(&self, changes: &[(&str, Option<&str>)]) -> Vec<(String, String)> {
        let answer = self.http.get(self.authorize_url(changes)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{changes:?}");
        pairs(answer.headers()["location"].to_str().unwrap())
    }

    async fn code(&self) -> String {
        self.lever("settings", json!({"approve": true})).await;
        value(&self.authorize(&[]).await, "code").unwrap()
    }

    async fn exchange(
        &self,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
    ) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CODEX_CLIENT_ID),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier),
        ];
        let answer = self.http.post(self.at("/oauth/token")).form(&form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn login(&self) -> Value {
        let code = self.code().await;
        let (status, grant) = self.exchange(&code, VERIFIER, REDIRECT).await;
        assert_eq!(status, StatusCode::OK, "{grant}");
        grant
    }

    async fn refresh_raw(&self, grant: &Value) -> reqwest::Result<Response> {
        let body = json!({
            "client_id": CODEX_CLIENT_ID,
            "grant_type": "refresh_token",
            "refresh_token": grant["refresh_token"],
        });
        self.http.post(self.at("/oauth/token")).json(&body).send().await
    }

    async fn refresh(&self, grant: &Value) -> (StatusCode, Value) {
        let answer = self.refresh_raw(grant).await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn usage(&self, grant: &Value) -> Response {
        let token = grant["access_token"].as_str().unwrap();
        let request = self.http.get(self.at("/backend-api/wham/usage")).bearer_auth(token);
        request.send().await.unwrap()
    }

    async fn turn(&self, grant: &Value, body: &Value) -> Response {
        let token = grant["access_token"].as_str().unwrap();
        let request = self.http.post(self.at("/backend-api/codex/responses")).bearer_auth(token);
        request.json(body).send().await.unwrap()
    }

    /// The claims, if the token is signed by a key that is published under the name it gives.
    async fn verified(&self, token: &str, audience: &str) -> Result<Value, String> {
        let set: JwkSet = self.get("/.well-known/jwks.json").await.json().await.unwrap();
        let kid = decode_header(token).map_err(|error| error.to_string())?.kid.unwrap();
        let key = set.find(&kid).ok_or("unknown kid")?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.set_audience(&[audience]);
        rules.set_issuer(&[self.sandbox.url()]);
        // The sandbox's clock is not the machine's.
        rules.validate_exp = false;
        let claims = decode::<Value>(token, &DecodingKey::from_jwk(key).unwrap(), &rules);
        claims.map(|data| data.claims).map_err(|error| error.to_string())
    }
}

fn pairs(url: &str) -> Vec<(String, String)> {
    Url::parse(url).unwrap().query_pairs().into_owned().collect()
}

fn value(pairs: &[(String, String)], name: &str) -> Option<String> {
    pairs.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone())
}

fn question() -> Value {
    json!({
        "model": "gpt-6.1-sol", "stream": true, "store": false,
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
    })
}

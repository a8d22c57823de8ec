//! The demo's processes and its folder: set up, looked at, and always taken away again.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

use crate::platform::spawn;
use crate::rpc::TokenResult;
use crate::rpc::client::Client;

use super::super::connect::this_program;
use super::super::failure::{Exit, Failure};

/// Everything in the demo is local, so whatever takes longer hangs.
const STEP_TIME_MAX: Duration = Duration::from_secs(10);

/// The counters of the stand-in vendor that the demo looks at.
#[derive(Debug, Deserialize)]
pub(super) struct Stats {
    pub(super) refresh_requests: u64,
    pub(super) refreshes: u64,
    pub(super) reuse_detected: u64,
}

/// What came of an HTTP request.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The names in `x-valetkey-dropped`.
    pub(super) dropped: String,
    pub(super) body: String,
}

/// A private folder and the processes that live in it.
pub(super) struct Stage {
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
    sandbox: Option<Child>,
    url: String,
    daemon: Option<Child>,
}

impl Stage {
    pub(super) fn set() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("valetkey-demo-")
            .tempdir()
            .map_err(broken("a private folder"))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(broken("a runtime for HTTP"))?;
        let http = reqwest::Client::builder().no_proxy().timeout(STEP_TIME_MAX).build().map_err(
            |error| Failure::new(Exit::Failed, format!("the demo needs an HTTP client: {error}")),
        )?;
        Ok(Self { folder, runtime, http, sandbox: None, url: String::new(), daemon: None })
    }

    /// Keeps the folder from being removed, for a look at what went wrong.
    pub(super) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// Runs `valetkey sandbox` on a free port and reads its address from its first line.
    pub(super) fn start_sandbox(&mut self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Announcement {
            url: String,
        }
        let mut child = Command::new(this_program()?)
            .args(["sandbox", "--port", "0", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(broken("a sandbox process"))?;
        let stdout = child.stdout.take();
        self.sandbox = Some(child);
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let read = stdout.map(|stdout| BufReader::new(stdout).read_line(&mut line));
            // Nobody may be listening any more, if this took too long.
            let _ = tell.send(matches!(read, Some(Ok(_))).then_some(line));
        });
        let line = told.recv_timeout(STEP_TIME_MAX).ok().flatten().unwrap_or_default();
        let said: Announcement = serde_json::from_str(&line)
            .map_err(|_| Failure::new(Exit::Failed, "the sandbox did not say where it listens"))?;
        self.url = said.url;
        let door = free_port()?;
        let config = format!(
            "default_vendor = \"sandbox\"\n\n[http]\nlisten = \"127.0.0.1:{door}\"\n\n[refresh]\nlead = \"1s\"\n\n[vendors.sandbox]\nkind = \"sandbox\"\nissuer = \"{0}\"\napi_base = \"{0}/backend-api\"\n",
            self.url
        );
        std::fs::write(self.file("config.toml"), config).map_err(broken("its configuration file"))
    }

    /// Runs `valetkey serve` in the folder and waits until it is ready.
    pub(super) fn start_daemon(&mut self) -> Result<(), Failure> {
        let socket = self.socket();
        let mut command = Command::new(this_program()?);
        command
            .arg("serve")
            .env("VALETKEY_CONFIG", self.file("config.toml"))
            .env("VALETKEY_DATA_DIR", self.file("data"))
            .env("VALETKEY_STATE_DIR", self.file("state"))
            .env("VALETKEY_SOCKET", &socket)
            // A proxy that the person uses has no business between two processes of one machine.
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1");
        let child = spawn::until_ready(&mut command, STEP_TIME_MAX, move || {
            Client::connect(&socket).is_ok()
        })
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        self.daemon = Some(child);
        Ok(())
    }

    /// `kill -9`.
    pub(super) fn kill_daemon(&mut self) -> Result<(), Failure> {
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(());
        };
        daemon.kill().and_then(|()| daemon.wait()).map(drop).map_err(broken("to kill its daemon"))
    }

    /// Asks the daemon to end and gives its exit code.
    pub(super) fn stop_daemon(&mut self) -> Result<Option<i32>, Failure> {
        let _: Value = self.client()?.call("shutdown", &serde_json::json!({}))?;
        let Some(mut daemon) = self.daemon.take() else {
            return Ok(None);
        };
        let (tell, told) = channel();
        let pid = daemon.id();
        std::thread::spawn(move || tell.send(daemon.wait()));
        match told.recv_timeout(STEP_TIME_MAX) {
            Ok(status) => Ok(status.map_err(broken("its daemon's exit status"))?.code()),
            Err(_) => Err(Failure::new(
                Exit::Failed,
                format!("the daemon (process {pid}) did not end when asked to"),
            )),
        }
    }

    pub(super) fn client(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.socket())?)
    }

    /// Pulls one of the sandbox's levers.
    pub(super) fn sandbox_post(&self, lever: &str, body: &Value) -> Result<(), Failure> {
        let request = self.http.post(format!("{}/_sandbox/{lever}", self.url)).json(body);
        self.ask(request).map(drop)
    }

    pub(super) fn stats(&self) -> Result<Stats, Failure> {
        let text = self.ask(self.http.get(format!("{}/_sandbox/stats", self.url)))?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::new(
                Exit::Failed,
                format!("the sandbox's counters are not as expected: {error}"),
            )
        })
    }

    /// Returns once the vendor has rotated the refresh token more than `before` times, which is
    /// before it answers where the answer is kept back.
    pub(super) fn wait_until_refreshed(&self, before: u64) -> Result<(), Failure> {
        let millis = STEP_TIME_MAX.as_millis() / 2;
        let url = format!("{}/_sandbox/wait?on=refresh&in_flight=1&timeout_ms={millis}", self.url);
        self.ask(self.http.get(url))?;
        // It has arrived; what is left is the moment that the work takes.
        let end = Instant::now() + STEP_TIME_MAX;
        while self.stats()?.refreshes == before {
            if Instant::now() > end {
                return Err(Failure::new(Exit::Failed, "the vendor did not carry out the refresh"));
            }
        }
        Ok(())
    }

    /// Calls the API as an agent would, with what was lent. Gives the HTTP status.
    pub(super) fn use_token(&self, lent: &TokenResult) -> Result<u16, Failure> {
        let mut request = self.http.get(format!("{}/backend-api/wham/usage", self.url));
        for (name, value) in &lent.headers {
            request = request.header(name, value);
        }
        let answer = self.runtime.block_on(async { request.send().await }).map_err(unanswered)?;
        Ok(answer.status().as_u16())
    }

    /// Posts a completion as a program would that was given a URL and a key.
    pub(super) fn complete(&self, url: &str, key: &str, body: &Value) -> Result<Answer, Failure> {
        let request = self.http.post(url).bearer_auth(key).json(body);
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(unanswered_by("the daemon's listener"))?;
            let dropped = answer.headers().get("x-valetkey-dropped");
            let dropped = dropped.and_then(|names| names.to_str().ok()).unwrap_or_default();
            let (status, dropped) = (answer.status().as_u16(), dropped.to_owned());
            let body = answer.text().await.map_err(unanswered_by("the daemon's listener"))?;
            Ok(Answer { status, dropped, body })
        })
    }

    /// The files below the folder in which `secret` stands.
    pub(super) fn files_holding(&self, secret: &str) -> Result<Vec<PathBuf>, Failure> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).map_err(broken("to read its folder"))?.flatten()
            {
                let path = entry.path();
                let kind = entry.file_type().map_err(broken("to read its folder"))?;
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() && holds(&path, secret) {
                    found.push(path);
                }
            }
        }
        Ok(found)
    }

    fn ask(&self, request: reqwest::RequestBuilder) -> Result<String, Failure> {
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(unanswered)?;
            let status = answer.status();
            let text = answer.text().await.map_err(unanswered)?;
            if status.is_success() {
                return Ok(text);
            }
            Err(Failure::new(Exit::Failed, format!("the sandbox answered HTTP {status}: {text}")))
        })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn socket(&self) -> String {
        if std::path::MAIN_SEPARATOR == '\\' {
            // Pipes have no folder to be private in; the name is as unique as the folder's.
            let name =
                self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            return format!(r"\\.\pipe\{name}");
        }
        self.file("valetkey.sock").to_string_lossy().into_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for mut child in self.daemon.take().into_iter().chain(self.sandbox.take()) {
            // Both may have ended already, which is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn holds(path: &Path, secret: &str) -> bool {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
}

fn broken(what: &'static str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Failed, format!("the demo needs {what}: {error}"))
}

/// A port of this machine that nobody listens on.
fn free_port() -> Result<u16, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(broken("a free port"))
}

fn unanswered_by(who: &'static str) -> impl Fn(reqwest::Error) -> Failure {
    move |error| {
        Failure::new(Exit::Failed, format!("{who} did not answer: {}", error.without_url()))
    }
}

fn unanswered(error: reqwest::Error) -> Failure {
    unanswered_by("the sandbox")(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_left_in_any_file_is_found() {
        let stage = Stage::set().expect("a folder");
        std::fs::create_dir_all(stage.file("a/b")).expect("made");
        std::fs::write(stage.file("a/b/log"), "x canary-token y").expect("written");
        std::fs::write(stage.file("a/other"), "canary").expect("written");
        assert_eq!(stage.files_holding("canary-token").expect("readable"), [stage.file("a/b/log")]);
    }
}

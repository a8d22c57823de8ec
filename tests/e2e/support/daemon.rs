//! `valetkey serve` as a process: started, heard, spoken to, killed, restarted.

use std::fs::File;
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use serde_json::{Value, json};

use super::browser::{complete, start_login};
use super::readiness::Readiness;
use super::{Home, LONG, Line, Sandbox, ended};

/// A daemon. At the end of the test it is told to stop, and has to do so in good order.
#[derive(Debug)]
pub(crate) struct Daemon {
    home: Home,
    readiness: Readiness,
    child: Option<Child>,
}

impl Deref for Daemon {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.home
    }
}

impl Daemon {
    /// The usual: a fresh home whose vendor is this sandbox.
    #[track_caller]
    pub(crate) fn of(sandbox: &Sandbox) -> Self {
        Home::new(sandbox).serve()
    }

    #[track_caller]
    pub(crate) fn start(home: Home) -> Self {
        let mut daemon = Self::at(home);
        daemon.start_again();
        daemon
    }

    /// A home in which none runs yet.
    pub(crate) fn at(home: Home) -> Self {
        let readiness = Readiness::of(&home);
        Self { home, readiness, child: None }
    }

    /// Starts it after [`Self::kill`] or [`Self::stop`].
    #[track_caller]
    pub(crate) fn start_again(&mut self) {
        let mut command = self.home.command(&["serve"]);
        self.start_by(&mut command);
    }

    /// Starts it by a command of the test's own.
    #[track_caller]
    pub(crate) fn start_by(&mut self, command: &mut Command) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.stderr_file()).unwrap();
        let log_to = if self.home.logs_to_files() { "file" } else { "stderr" };
        command.env("VALETKEY_LOG_TO", log_to).stdout(log.try_clone().unwrap()).stderr(log);
        self.readiness.announce(command);
        self.child = Some(command.spawn().unwrap());
        self.wait_for("READY=1");
    }

    /// Waits until the daemon says a line of sd_notify(3) that begins so, and gives it. Where the system knows
    /// no such thing, an answer stands for it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, beginning: &str) -> String {
        let end = Instant::now() + LONG;
        loop {
            if let Some(line) = self.readiness.heard(beginning) {
                return line;
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().unwrap());
            if let Some(status) = ended {
                self.child = None;
                panic!("the daemon ended ({status}):\n{}", self.log());
            }
            assert!(Instant::now() < end, "no {beginning} from it:\n{}", self.log());
        }
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read(self.stderr_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub(crate) fn child(&self) -> &Child {
        self.child.as_ref().expect("it runs")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child().id()
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, which: rustix::process::Signal) {
        super::signal(self.child(), which);
    }

    /// Tells it to stop: SIGTERM, or the call that its service manager's verb makes where there are no signals.
    #[track_caller]
    pub(crate) fn tell_to_stop(&self) {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::TERM);
        #[cfg(not(unix))]
        super::eventually("there is a place for the word to stop", || {
            let mut line = self.connect();
            line.request("shutdown", &json!({}));
            line.recv().filter(|answer| answer["result"] == json!({}))
        });
    }

    /// `kill -9`.
    #[track_caller]
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Stops it in good order; gives how it ended.
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.tell_to_stop();
        self.wait_for_end()
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        ended(&mut child)
    }

    /// Stops it in good order and starts it again.
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        assert_eq!(self.stop().code(), Some(0), "{}", self.log());
        self.start_again();
    }

    /// A connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> Line {
        Line::connect(&self.socket())
    }

    /// One call on a connection of its own.
    #[track_caller]
    pub(crate) fn call(&self, method: &str, params: Value) -> Result<Value, Value> {
        self.connect().call(method, &params)
    }

    /// A call that works.
    #[track_caller]
    pub(crate) fn ok(&self, method: &str, params: Value) -> Value {
        self.call(method, params.clone())
            .unwrap_or_else(|error| panic!("{method} {params}: {error}\n{}", self.log()))
    }

    /// A call that fails; gives the error.
    #[track_caller]
    pub(crate) fn err(&self, method: &str, params: Value) -> Value {
        match self.call(method, params.clone()) {
            Ok(result) => panic!("{method} {params} works: {result}"),
            Err(error) => error,
        }
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.ok("status", json!({}))
    }

    /// A token of the default account.
    #[track_caller]
    pub(crate) fn token(&self) -> Value {
        self.ok("token", json!({}))
    }

    /// Signs the default account in with a browser, which is the quickest way.
    #[track_caller]
    pub(crate) fn sign_in(&self, sandbox: &Sandbox) {
        self.sign_in_as(sandbox, json!({}));
    }

    /// Signs in with a browser; `more` goes into `login.start`.
    #[track_caller]
    pub(crate) fn sign_in_as(&self, sandbox: &Sandbox, more: Value) {
        let started = start_login(self, "browser", more);
        let answer = complete(sandbox, &started);
        assert_eq!(answer.status, 200, "{}\n{}", answer.body, self.log());
        let polled = self.ok("login.poll", json!({"login_id": started.login_id}));
        assert_eq!(polled["login"], "complete", "{polled}");
    }

    /// Signs the default account in with a device code.
    #[track_caller]
    pub(crate) fn sign_in_by_device(&self, sandbox: &Sandbox) {
        let started = start_login(self, "device", json!({}));
        sandbox.approve_code(&started.user_code());
        let waited = self.ok("login.wait", json!({"login_id": started.login_id, "timeout": 20}));
        assert_eq!(waited["login"], "complete", "{waited}");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("--- the daemon's log ---\n{}", self.log());
            self.kill();
            return;
        }
        let status = self.stop();
        assert_eq!(status.code(), Some(0), "no orderly end:\n{}", self.log());
    }
}

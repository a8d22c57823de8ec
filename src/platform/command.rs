//! A program of the person's own, run to its end or to a bound: what it may see, and how it is ended.
//!
//! It gets a process group of its own, so that a script that hangs is ended with everything that it
//! waits for, and an environment made from a short list, so that nothing of this process's reaches it.
//! Windows has no such groups; there the system's `taskkill` ends whatever the program has started.

use std::future::Future;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// What of our environment is passed on: where programs and the person's files are, which language is
/// spoken, and how the desktop is reached.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    // Without these no program runs on Windows, and no script.
    "ComSpec",
    "PATHEXT",
    "SystemRoot",
    "SystemDrive",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "TEMP",
    "TMP",
];

/// What is kept of each of the two outputs, in bytes: a few sentences. The rest is read and dropped.
const SAID_BYTES_MAX: usize = 2048;

/// How long words are waited for that a program wrote just before its end. They are in the pipe
/// already, unless something that it left running holds the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// How long a killed program may take to be gone; one that hangs in the kernel is left to it.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// What became of a program.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// The beginning of what it wrote to its two outputs, one after the other. Anything may stand there.
    pub said: Vec<u8>,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long, and was killed with its group.
    TookTooLong,
    /// The wait was given up, and it was killed with its group.
    GivenUp,
}

/// Runs `words` (the program first; no shell) with `more` in its environment, for at most `within` and
/// only until `give_up` resolves.
///
/// # Errors
/// Where it cannot be started: no such program, no right to run it, no name at all.
pub async fn run(
    words: &[String],
    more: &[(&str, String)],
    within: Duration,
    give_up: impl Future<Output = ()>,
) -> io::Result<Run> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(more.iter().map(|(name, value)| (name, value)));
    command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    set_apart(&mut command);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (mut said, mut complained) = (Vec::new(), Vec::new());
    let end = {
        let hearing = async { tokio::join!(hear(out, &mut said), hear(err, &mut complained)) };
        tokio::pin!(hearing, give_up);
        let waiting = tokio::time::timeout(within, child.wait());
        tokio::pin!(waiting);
        let mut heard = false;
        loop {
            tokio::select! {
                ended = &mut waiting => {
                    let Ok(status) = ended else { break End::TookTooLong };
                    if !heard {
                        let _ = tokio::time::timeout(LAST_WORDS, &mut hearing).await;
                    }
                    break End::Exited(status?);
                }
                () = &mut give_up => break End::GivenUp,
                _ = &mut hearing, if !heard => heard = true,
            }
        }
    };
    if !matches!(end, End::Exited(_)) {
        kill(&mut child).await;
        let _ = tokio::time::timeout(GONE_WITHIN, child.wait()).await;
    }
    said.append(&mut complained);
    Ok(Run { end, said })
}

/// Keeps the beginning of what is written, and goes on reading so that the pipe never fills.
async fn hear(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut bytes = [0; SAID_BYTES_MAX];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        let room = SAID_BYTES_MAX - kept.len();
        kept.extend_from_slice(&bytes[..length.min(room)]);
    }
}

/// A group of its own, which can be killed as one.
#[cfg(unix)]
fn set_apart(command: &mut Command) {
    command.process_group(0);
}

/// No window: where the daemon has no console, each program of one's own would open another.
#[cfg(windows)]
fn set_apart(command: &mut Command) {
    /// `CREATE_NO_WINDOW`.
    const HIDDEN: u32 = 0x0800_0000;
    command.creation_flags(HIDDEN);
}

/// Kills the program and everything in its group. Its number is its own until it has been waited for.
#[cfg(unix)]
async fn kill(child: &mut Child) {
    if let Some(group) =
        child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw)
    {
        // All of it may have ended meanwhile.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.start_kill();
}

/// Kills the program and what it started. Its number is its own until it has been waited for.
#[cfg(windows)]
async fn kill(child: &mut Child) {
    // Of the system's own folder, whatever the PATH says.
    let folder = std::env::var_os("SystemRoot").map(std::path::PathBuf::from);
    if let (Some(folder), Some(pid)) = (folder, child.id()) {
        let mut ending = Command::new(folder.join("System32").join("taskkill.exe"));
        ending.args(["/T", "/F", "/PID", &pid.to_string()]).kill_on_drop(true);
        ending.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        set_apart(&mut ending);
        // All of it may have ended meanwhile, and the program itself ends below in any case.
        let _ = tokio::time::timeout(GONE_WITHIN, ending.status()).await;
    }
    let _ = child.start_kill();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const LONG: Duration = Duration::from_secs(10);

    /// A script for the system's shell, as a hook.
    #[cfg(unix)]
    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(str::to_owned).to_vec()
    }

    /// A script for the system's shell, as a hook.
    #[cfg(windows)]
    fn shell(script: &str) -> Vec<String> {
        ["cmd", "/D", "/C", script].map(str::to_owned).to_vec()
    }

    #[cfg(target_os = "linux")]
    fn alive(pid: &str) -> bool {
        // A zombie is gone for everybody but whoever has to wait for it.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
    }

    #[tokio::test]
    async fn it_sees_what_it_is_given_and_none_of_our_own_environment() {
        let more = [("VALETKEY_EVENT", "limit".to_owned())];
        let script = if cfg!(windows) {
            "set&echo complaint>&2&exit 3"
        } else {
            "env; echo complaint >&2; exit 3"
        };
        let run = run(&shell(script), &more, LONG, pending()).await.expect("it runs");
        let said = String::from_utf8(run.said).expect("text").replace("\r\n", "\n");
        assert!(matches!(run.end, End::Exited(status) if status.code() == Some(3)));
        assert!(said.contains("VALETKEY_EVENT=limit\n") && said.ends_with("complaint\n"), "{said}");
        assert!(!said.contains("CARGO"), "{said}");
    }

    #[tokio::test]
    async fn more_is_said_than_anybody_reads() {
        let script = if cfg!(windows) {
            "for /L %i in (1,1,999) do @echo it goes on& for /L %i in (1,1,999) do @echo it goes on>&2"
        } else {
            "yes | head -c 300000; yes n | head -c 300000 >&2"
        };
        let run = run(&shell(script), &[], LONG, pending()).await.expect("it runs");
        assert!(matches!(run.end, End::Exited(status) if status.success()));
        assert_eq!(run.said.len(), 2 * SAID_BYTES_MAX);
    }

    #[tokio::test]
    async fn what_is_no_program_is_an_error_and_no_panic() {
        for words in [vec![], vec!["/nonexistent/hook".to_owned()], vec!["nul\0".to_owned()]] {
            assert!(run(&words, &[], LONG, pending()).await.is_err(), "{words:?}");
        }
    }

    /// Wine's shell has nothing that waits and reads nothing; the last test kills one there.
    #[cfg(unix)]
    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_killed_at_its_bound() {
        let begun = tokio::time::Instant::now();
        let run = run(&shell("exec sleep 600"), &[], LONG, pending()).await.expect("sh runs");
        assert_eq!(run.end, End::TookTooLong);
        assert!((LONG..2 * LONG).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn one_that_nobody_waits_for_any_more_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pids");
        let script =
            format!("sleep 600 & echo $! $$ > {0}.new; mv {0}.new {0}; wait", file.display());
        let written = {
            let file = file.clone();
            async move {
                while !file.exists() {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            }
        };
        let run = run(&shell(&script), &[], LONG, written).await.expect("sh runs");
        assert_eq!(run.end, End::GivenUp);
        let pids = std::fs::read_to_string(file).expect("written");
        assert_eq!(pids.split_whitespace().count(), 2);
        // The grandchild is reaped by init, in its own time: killed it is already.
        let gone = |pid| {
            (0..1000).any(|_| {
                std::thread::sleep(Duration::from_millis(2));
                !alive(pid)
            })
        };
        assert!(pids.split_whitespace().all(gone), "{pids}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_it_leaves_running_is_not_waited_for() {
        let run = run(&shell("sleep 5 & echo left"), &[], LONG, pending()).await.expect("sh runs");
        assert!(matches!(run.end, End::Exited(_)));
        assert_eq!(run.said, b"left\n");
    }

    /// Runs until it is killed, where the test below starts this program once more.
    #[cfg(windows)]
    #[test]
    fn hang() {
        if std::env::var_os("VALETKEY_EVENT").is_some() {
            loop {
                std::thread::park();
            }
        }
    }

    /// Also what it started, which is not asked here: Wine's `taskkill` knows no `/T`.
    #[cfg(windows)]
    #[test]
    fn one_that_nobody_waits_for_any_more_is_killed() {
        let own = std::env::current_exe().expect("we have one");
        let words = [own.to_str().expect("text"), "platform::command::tests::hang", "--exact"];
        let words = words.map(str::to_owned);
        let more = [("VALETKEY_EVENT", "limit".to_owned())];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(async {
            let (short, begun) = (Duration::from_millis(50), tokio::time::Instant::now());
            let soon = tokio::time::sleep(short);
            let given_up = run(&words, &more, LONG, soon).await.expect("it runs");
            assert_eq!(given_up.end, End::GivenUp);
            let late = run(&words, &more, short, pending()).await.expect("it runs");
            assert_eq!(late.end, End::TookTooLong);
            assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
        });
        // Wine's console of a killed program lives on and keeps its outputs open.
        runtime.shutdown_background();
    }
}

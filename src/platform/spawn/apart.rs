//! A daemon that has nothing of its starter's on Windows.
//!
//! There a child gets every handle of its parent's that can be inherited, used or not, from
//! [`std::process::Command`] at least. Among them is the pipe in which a script catches what `valetkey token`
//! prints: with the daemon holding it open, the script would wait for the daemon's end.

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use winsafe::co::{CREATE, STARTF, WAIT};

use super::StartError;

/// How often the daemon is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs `command`, of which only the program and its arguments count, with this process's environment, with no
/// handle of it and with a console that is never shown; then waits until `is_up`. One that takes longer than
/// `within` is ended.
///
/// # Errors
/// As [`StartError`] tells; the last words are empty, as nobody heard them.
pub(super) fn until_ready(
    command: &Command,
    within: Duration,
    is_up: &dyn Fn() -> bool,
) -> Result<(), StartError> {
    let failed = |error: winsafe::co::ERROR| {
        StartError::Spawn(std::io::Error::from_raw_os_error(error.raw().cast_signed()))
    };
    let end = Instant::now() + within;
    let line = line(command)?;
    let program = command.get_program().to_str();
    // None, rather than this process's own: Wine hands those on by themselves.
    let mut handles = winsafe::STARTUPINFO::default();
    handles.dwFlags = STARTF::USESTDHANDLES;
    let daemon = winsafe::CreateProcess(
        program,
        Some(&line),
        None,
        None,
        false,
        CREATE::NO_WINDOW,
        &[],
        None,
        &mut handles,
    );
    let daemon = &daemon.map_err(failed)?.hProcess;
    loop {
        if is_up() {
            return Ok(());
        }
        if daemon.WaitForSingleObject(Some(0)).map_err(failed)? == WAIT::OBJECT_0 {
            let status = daemon.GetExitCodeProcess().map_err(failed)?.cast_signed();
            return Err(StartError::Exited { status: Some(status), said: String::new() });
        }
        if Instant::now() > end {
            daemon.TerminateProcess(1).map_err(failed)?;
            return Err(StartError::Slow(within));
        }
        sleep(LOOK_EVERY);
    }
}

/// The command as one line, which the daemon's own runtime parts again
/// ([rules](https://learn.microsoft.com/cpp/c-language/parsing-c-command-line-arguments)).
fn line(command: &Command) -> std::io::Result<String> {
    let mut line = String::new();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        let word = word.to_str().ok_or(std::io::ErrorKind::InvalidInput)?;
        if !line.is_empty() {
            line.push(' ');
        }
        line.push('"');
        let mut slashes = 0;
        for c in word.chars() {
            // Backslashes mean themselves, unless a quote follows them.
            if c == '"' {
                line.extend(std::iter::repeat_n('\\', slashes + 1));
            }
            slashes = if c == '\\' { slashes + 1 } else { 0 };
            line.push(c);
        }
        line.extend(std::iter::repeat_n('\\', slashes));
        line.push('"');
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_arrives_as_it_was_given() {
        let mut command = Command::new(r"C:\a b\v.exe");
        command.args(["", r"\\.\pipe\x", r"end\", r#"a"b\"c"#]);
        let words =
            [r#""C:\a b\v.exe""#, r#""""#, r#""\\.\pipe\x""#, r#""end\\""#, r#""a\"b\\\"c""#];
        assert_eq!(line(&command).expect("text"), words.join(" "));
    }

    /// This program of tests, which does not know such a flag.
    fn ended_early() -> Command {
        let mut command = Command::new(std::env::current_exe().expect("it runs"));
        command.arg("--no such flag");
        command
    }

    #[test]
    fn a_daemon_that_ends_early_is_noticed_with_its_exit_status() {
        let within = Duration::from_secs(20);
        match until_ready(&ended_early(), within, &|| false) {
            Err(StartError::Exited { status, .. }) => assert_eq!(status, Some(101)),
            other => panic!("{other:?}"),
        }
        let none = until_ready(&Command::new(r"C:\no\such.exe"), within, &|| false);
        assert!(matches!(none, Err(StartError::Spawn(_))), "{none:?}");
    }

    #[test]
    fn a_daemon_that_does_not_answer_in_time_is_given_up_and_ended() {
        let slow = until_ready(&ended_early(), Duration::ZERO, &|| false);
        assert!(matches!(slow, Err(StartError::Slow(_))), "{slow:?}");
    }
}

//! A person's own shell: a command that runs any program through the door.
//!
//! A key in the environment of every program would be stale within the day and seen by all of them. So the
//! start file gets a function, `with_valetkey`, that asks for a lease when it is used and gives it to that
//! one program. For the rest of a session there is `setup shell --export`.

use std::path::{Path, PathBuf};

use super::agent::{Agent, Around, Edit, Plugged, Refused, Replaced, Wants};

const BEGIN: &str = "# >>> valetkey >>>";
const END: &str = "# <<< valetkey <<<";
const ABOUT: &str =
    "# `with_valetkey PROGRAM` runs a program that reads OPENAI_BASE_URL and OPENAI_API_KEY.";

pub(super) struct Shell;

impl Edit for Shell {
    fn plug(&self, text: &str, wants: &Wants) -> Result<Plugged, Refused> {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let lines = block(wants).replace('\n', end);
        let text = match place(text)? {
            Some((from, to)) => format!("{}{lines}{}", &text[..from], &text[to..]),
            None => {
                let between = match text {
                    "" => String::new(),
                    text if text.ends_with('\n') => end.to_owned(),
                    _ => end.repeat(2),
                };
                format!("{text}{between}{lines}")
            }
        };
        Ok(Plugged { text, replaced: Replaced::new() })
    }

    fn unplug(&self, text: &str, _replaced: &Replaced) -> Result<String, Refused> {
        let Some((from, to)) = place(text)? else { return Ok(text.to_owned()) };
        let before = &text[..from];
        // With the blank line that set it apart.
        let blank = before.strip_suffix("\r\n").or(before.strip_suffix('\n'));
        let before =
            blank.filter(|above| above.is_empty() || above.ends_with('\n')).unwrap_or(before);
        Ok(format!("{before}{}", &text[to..]))
    }

    fn is_plugged(&self, text: &str) -> Result<bool, Refused> {
        Ok(place(text)?.is_some())
    }
}

impl Agent for Shell {
    fn name(&self) -> &'static str {
        "shell"
    }

    fn title(&self) -> &'static str {
        "your shell"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["sh"]
    }

    fn file(&self, around: &Around) -> Option<PathBuf> {
        Some(match name_of(around) {
            "zsh" => around.folder("ZDOTDIR", "").join(".zshrc"),
            "fish" => around.config_home().join("fish/conf.d/valetkey.fish"),
            "bash" => around.home.join(".bashrc"),
            _ => around.home.join(".profile"),
        })
    }

    fn place(&self) -> Option<&'static str> {
        Some("in its start file")
    }

    fn by_hand(&self, wants: &Wants) -> String {
        block(wants).trim_end().to_owned()
    }

    fn notes(&self, _text: &str, wants: &Wants) -> Vec<String> {
        let now = match wants.shell.as_str() {
            "fish" => "valetkey setup shell --export | source",
            _ => "eval \"$(valetkey setup shell --export)\"",
        };
        vec![
            "A new shell has it: with_valetkey PROGRAM [ARGUMENT…].".to_owned(),
            format!("For everything started from this shell, for a day: {now}"),
        ]
    }
}

/// The person's shell, as `$SHELL` names it; what all others understand where it is none of those known.
pub(super) fn name_of(around: &Around) -> &'static str {
    let shell = around.variable("SHELL").map(Path::new).and_then(Path::file_stem);
    let known = ["bash", "zsh", "fish"];
    known.into_iter().find(|name| shell.is_some_and(|shell| shell == *name)).unwrap_or("sh")
}

/// Commands that a shell can evaluate, for a day. The lease is asked for by the shell.
pub(super) fn export(wants: &Wants) -> String {
    let mut lease = wants.lease("shell");
    lease.extend(["--ttl".to_owned(), "24h".to_owned()]);
    let url = word_for(&wants.shell, &wants.base_url);
    let lease = command(&wants.shell, &lease);
    if wants.shell == "fish" {
        return format!("set -gx OPENAI_BASE_URL {url}\nset -gx OPENAI_API_KEY ({lease})");
    }
    format!("export OPENAI_BASE_URL={url}\nexport OPENAI_API_KEY=\"$({lease})\"")
}

/// The lines of the start file, the marks included.
fn block(wants: &Wants) -> String {
    let url = word_for(&wants.shell, &wants.base_url);
    let lease = command(&wants.shell, &wants.lease("shell"));
    let function = if wants.shell == "fish" {
        format!(
            "function with_valetkey\n    set -lx OPENAI_BASE_URL {url}\n    set -lx OPENAI_API_KEY ({lease}); or return\n    $argv\nend"
        )
    } else {
        format!(
            "with_valetkey() (\n    OPENAI_API_KEY=\"$({lease})\" || exit\n    export OPENAI_API_KEY OPENAI_BASE_URL={url}\n    \"$@\"\n)"
        )
    };
    format!("{BEGIN}\n{ABOUT}\n{function}\n{END}\n")
}

/// Where the lines between the marks stand, in whole lines, the marks included.
fn place(text: &str) -> Result<Option<(usize, usize)>, Refused> {
    let mut at = 0;
    let mut begun = None;
    for line in text.split_inclusive('\n') {
        match line.trim() {
            BEGIN => begun = Some(at),
            END => {
                if let Some(begun) = begun {
                    return Ok(Some((begun, at + line.len())));
                }
            }
            _ => {}
        }
        at += line.len();
    }
    match begun {
        Some(begun) => Err(Refused::broken(
            text,
            begun,
            format!("the lines that begin here have lost their end, `{END}`"),
        )),
        None => Ok(None),
    }
}

fn command(shell: &str, words: &[String]) -> String {
    words.iter().map(|word| word_for(shell, word)).collect::<Vec<_>>().join(" ")
}

/// A text as one word of a POSIX shell.
pub(super) fn word(text: &str) -> String {
    word_for("sh", text)
}

/// A text as one word of this shell, in quotes only where it has to be.
fn word_for(shell: &str, text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('=') {
        return text.to_owned();
    }
    if shell == "fish" {
        return format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::agent::tests::{around, wants};
    use super::super::hunks;
    use super::*;

    #[test]
    fn the_start_file_is_the_shells_own() {
        let home = Path::new("/home/pat");
        let file = |variables: &[(&str, &str)]| Shell.file(&around(home, variables)).unwrap();
        assert_eq!(file(&[("SHELL", "/bin/bash")]), home.join(".bashrc"));
        assert_eq!(file(&[("SHELL", "/usr/bin/zsh")]), home.join(".zshrc"));
        assert_eq!(file(&[("SHELL", "/bin/zsh"), ("ZDOTDIR", "/z")]), Path::new("/z/.zshrc"));
        let fish = home.join(".config/fish/conf.d/valetkey.fish");
        assert_eq!(file(&[("SHELL", "/usr/bin/fish")]), fish);
        assert_eq!(file(&[("SHELL", "/bin/dash")]), home.join(".profile"));
        assert_eq!(file(&[]), home.join(".profile"));
    }

    #[test]
    fn marked_lines_are_put_in_brought_up_to_date_and_taken_out() {
        for before in ["", "alias ll='ls -l'\n", "no last line end", "windows\r\n"] {
            let plugged = Shell.plug(before, &wants()).unwrap().text;
            assert!(Shell.is_plugged(&plugged).unwrap() && !Shell.is_plugged(before).unwrap());
            assert_eq!(Shell.plug(&plugged, &wants()).unwrap().text, plugged, "{before:?}");
            let back = hunks::back(&plugged, &hunks::between(before, &plugged));
            assert_eq!(back.as_deref(), Some(before));
            let mut moved = wants();
            moved.base_url = "http://127.0.0.1:9/v1".to_owned();
            let updated = Shell.plug(&format!("{plugged}more\n"), &moved).unwrap().text;
            assert!(updated.contains("127.0.0.1:9/") && !updated.contains(":8459"), "{updated}");
            let left = Shell.unplug(&updated, &Replaced::new()).unwrap();
            assert_eq!(left.trim_end_matches("more\n").trim_end(), before.trim_end());
        }
        let cut = Shell.unplug("x\n# >>> valetkey >>>\ny\n", &Replaced::new()).unwrap_err();
        assert!(matches!(cut, Refused::Broken { line: 2, .. }), "{cut}");
    }

    /// What a real shell makes of it, with a program in the place of ours.
    #[cfg(unix)]
    #[test]
    fn a_shell_runs_the_program_with_the_lease_and_not_at_all_without() {
        let run = |answer: &str, script: &dyn Fn(&Wants) -> String| {
            let mut wants = wants();
            wants.program = "sh".to_owned();
            // What is asked for with these words stands in for the daemon's answer.
            wants.reach = vec!["-c".to_owned(), answer.to_owned()];
            wants.base_url = "http://127.0.0.1:1/it's".to_owned();
            let output =
                std::process::Command::new("sh").arg("-c").arg(script(&wants)).output().unwrap();
            (output.status.code(), String::from_utf8(output.stdout).unwrap())
        };
        let seen = "sh -c 'echo $OPENAI_BASE_URL $OPENAI_API_KEY'";
        let with = |wants: &Wants| {
            format!(
                "{}with_valetkey {seen}; s=$?; echo \"left:$OPENAI_API_KEY\"; exit $s",
                block(wants)
            )
        };
        assert_eq!(
            run("echo vk_1", &with),
            (Some(0), "http://127.0.0.1:1/it's vk_1\nleft:\n".to_owned())
        );
        assert_eq!(run("exit 3", &with), (Some(3), "left:\n".to_owned()));
        let exported = |wants: &Wants| format!("{}\n{seen}", export(wants));
        assert_eq!(
            run("echo vk_2", &exported),
            (Some(0), "http://127.0.0.1:1/it's vk_2\n".to_owned())
        );
    }

    proptest! {
        #[test]
        fn whatever_stands_around_the_lines_stays(before in "([a-z#>]{0,3}\n){0,5}", after in "([a-z#]{0,3}\n){0,5}") {
            let plugged = Shell.plug(&before, &wants()).unwrap().text;
            let left = Shell.unplug(&format!("{plugged}{after}"), &Replaced::new()).unwrap();
            prop_assert_eq!(left, format!("{before}{after}"));
        }
    }
}

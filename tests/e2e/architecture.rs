//! The house rules of `src`, held by a machine: who may know whom, and what stands in one place only.
//!
//! A rule that only people hold is broken in a hurry by the best of them. Each exception stands here
//! with its reason, where whoever adds another has to look at it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which rooms each room may use, as the map in `src/lib.rs` tells its readers.
fn may_use() -> BTreeMap<String, BTreeSet<String>> {
    let map = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let map = fs::read_to_string(map).unwrap();
    let rows = map.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix("//! | [`")?.split('|').map(str::trim).collect();
        let room = cells[0].strip_suffix("`]")?;
        let used = cells[2].split(", ").filter(|used| *used != "–");
        Some((room.to_owned(), used.map(str::to_owned).collect()))
    });
    let rooms: BTreeMap<_, _> = rows.collect();
    assert!(rooms.len() >= 14, "the map in src/lib.rs is not read: {rooms:?}");
    rooms
}

/// Rooms that may not be entered by more than these files of a room that may.
const ONLY_BY: [(&str, &str, &[&str]); 2] =
    [("cli", "daemon", &["cli/serve.rs"]), ("cli", "vendor", &["cli/sandbox.rs"])];

/// The only files that take a secret out of its wrapping, and what for.
const EXPOSES: [(&str, &str); 13] = [
    ("secret.rs", "where it is defined"),
    ("store/format.rs", "what is kept in the credential file"),
    ("vendor/openai.rs", "what the issuer and the API are sent"),
    ("rpc/dispatch.rs", "the one answer that holds a token"),
    ("rpc/dispatch/keys.rs", "the two answers that hold a key"),
    ("cli/token.rs", "the verb that prints it"),
    ("cli/lease.rs", "the verb that prints a lease, and shows it to the listener it is for"),
    ("cli/key.rs", "the verb that prints a key, once"),
    ("cli/setup/agent.rs", "what an agent's own configuration is to hold"),
    ("cli/setup/keys.rs", "the file that keeps the key of an agent"),
    ("cli/demo.rs", "looks for a leak of the demo's own token"),
    ("cli/demo/acts.rs", "the same"),
    ("cli/demo/relay.rs", "sends the demo's own lease"),
];

/// The most lines of a file, tests not counted: more cannot be held in one's head.
const LINES_MAX: usize = 400;

/// A file of `src`, without its tests and comments.
struct Source {
    /// Below `src`, with forward slashes.
    path: String,
    /// The lines that are compiled into the program, with their numbers.
    code: Vec<(usize, String)>,
    /// How many lines there are before the tests.
    length: usize,
    header: bool,
}

impl Source {
    fn read(root: &Path, file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let path = file.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let lines: Vec<&str> = text.lines().collect();
        let length = (0..lines.len()).find(|at| begins_tests(&lines[*at..])).unwrap_or(lines.len());
        let code = lines[..length]
            .iter()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
            .map(|(at, line)| (at + 1, (*line).to_owned()))
            .collect();
        Self { path, code, length, header: text.starts_with("//!") }
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Lines with one of these words in them, as places to go to.
    fn places(&self, words: &[&str]) -> Vec<String> {
        let with =
            self.code.iter().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        with.map(|(number, line)| format!("src/{}:{number}: {}", self.path, line.trim())).collect()
    }

    /// The rooms that it names by `crate::`.
    fn uses(&self) -> BTreeSet<String> {
        let text: String = self.code.iter().flat_map(|(_, line)| [line.as_str(), "\n"]).collect();
        let mut used = BTreeSet::new();
        for part in text.split("crate::").skip(1) {
            let list = part.strip_prefix('{').and_then(|list| list.split('}').next());
            let names = list.unwrap_or(part).split(',').take(if list.is_some() { 99 } else { 1 });
            for name in names {
                let word: String = name
                    .trim()
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                used.insert(word);
            }
        }
        used.remove(self.room());
        used
    }
}

/// Whether the tests of a file begin here.
fn begins_tests(lines: &[&str]) -> bool {
    let for_tests = lines[0].starts_with("#[cfg(") && lines[0].contains("test");
    let module = lines[1..].iter().find(|line| !line.starts_with("#["));
    for_tests && module.is_some_and(|line| line.starts_with("mod tests {"))
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // Files of nothing but tests, by where they stand.
            if name == "tests" || name == "tests.rs" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                sources.push(Source::read(&root, &path));
            }
        }
    }
    assert!(sources.len() > 50, "only {} files found", sources.len());
    sources
}

/// Lines with one of these words in files that `may_have` does not name.
#[track_caller]
fn only_in(words: &[&str], may_have: impl Fn(&str) -> bool, rule: &str) {
    let elsewhere: Vec<String> = sources()
        .iter()
        .filter(|source| !may_have(&source.path))
        .flat_map(|source| source.places(words))
        .collect();
    assert!(elsewhere.is_empty(), "{rule}:\n{}", elsewhere.join("\n"));
}

#[test]
fn each_room_uses_only_the_rooms_below_it() {
    let may_use = may_use();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for source in
        sources().iter().filter(|source| !matches!(source.path.as_str(), "lib.rs" | "main.rs"))
    {
        let room = source.room();
        let Some(allowed) = may_use.get(room) else {
            wrong.push(format!("src/{} belongs to no known room", source.path));
            continue;
        };
        for used in source.uses() {
            let only_by = ONLY_BY.iter().find(|(from, to, _)| *from == room && *to == used);
            let entered = only_by.is_none_or(|(_, _, files)| files.contains(&source.path.as_str()));
            if !allowed.contains(&used) || !entered {
                wrong.push(format!("src/{} uses {used}", source.path));
            }
            seen.insert((room.to_owned(), used));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // What nobody needs is not allowed either, so that the table stays the truth.
    for (room, allowed) in may_use {
        for used in allowed {
            assert!(seen.contains(&(room.clone(), used.clone())), "{room} does not use {used}");
        }
    }
}

#[test]
fn no_two_rooms_need_each_other() {
    let mut left = may_use();
    while !left.is_empty() {
        let ready: Vec<String> = left
            .iter()
            .filter(|(_, needs)| needs.iter().all(|need| !left.contains_key(need)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!ready.is_empty(), "a circle among {:?}", left.keys());
        left.retain(|room, _| !ready.contains(room));
    }
}

#[test]
fn the_root_of_a_room_reaches_its_neighbours_by_their_names_only() {
    // There `super` is the whole crate, which the table could not see.
    for source in sources().iter().filter(|source| !source.path.contains('/')) {
        let above = source.places(&["use super::", " super::", "(super::"]);
        let above: Vec<_> = above.iter().filter(|line| !line.contains("pub(super)")).collect();
        assert!(above.is_empty(), "{above:?}");
    }
}

#[test]
fn what_differs_between_systems_is_decided_in_one_room() {
    let words =
        ["cfg(target_os", "cfg(unix", "cfg(windows", "cfg(not(", "cfg(any(", "cfg!(", "cfg_attr("];
    only_in(
        &words,
        |path| path.starts_with("platform"),
        "systems are told apart in platform/ only",
    );
}

#[test]
fn the_time_is_read_in_one_place() {
    let words = ["SystemTime::now", "UNIX_EPOCH.elapsed"];
    only_in(&words, |path| path == "clock.rs", "the wall clock is read in clock.rs only");
}

#[test]
fn only_the_command_line_prints() {
    let words = ["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout()"];
    only_in(&words, |path| path.starts_with("cli"), "printing is for cli only");
}

#[test]
fn secrets_are_taken_out_in_few_places_each_with_its_reason() {
    let known = |path: &str| EXPOSES.iter().any(|(file, _)| *file == path);
    only_in(&[".expose()"], known, "a secret is taken out of its wrapping");
    for (file, reason) in EXPOSES.into_iter().filter(|(file, _)| *file != "secret.rs") {
        let source = sources().into_iter().find(|source| source.path == file);
        let exposes = source.is_some_and(|source| !source.places(&[".expose()"]).is_empty());
        assert!(exposes, "{file} takes nothing out any more ({reason})");
    }
}

#[test]
fn nothing_gives_up_without_saying_why_it_may() {
    only_in(&[".unwrap()", "todo!(", "unimplemented!(", "unsafe "], |_| false, "no bare unwrap");
}

#[test]
fn every_file_says_why_it_exists_and_is_short_enough_to_be_read() {
    for source in sources() {
        assert!(source.header, "src/{} does not say why it exists", source.path);
        assert!(source.length <= LINES_MAX, "src/{} has {} lines", source.path, source.length);
    }
}

//! What the system knows of processes: who we are, and what another one runs.

/// The user this process acts as; `None` where users have no number.
#[cfg(unix)]
#[must_use]
pub fn own_uid() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// The user this process acts as; `None` where users have no number.
#[cfg(not(unix))]
#[must_use]
pub fn own_uid() -> Option<u32> {
    None
}

/// This process's environment, without what has a name that is no text. Windows, which says `Path`, takes a
/// name in capitals or not: there all are in capitals.
pub fn variables() -> impl Iterator<Item = (String, std::ffi::OsString)> {
    let named = |name: String| if cfg!(windows) { name.to_uppercase() } else { name };
    std::env::vars_os()
        .filter_map(move |(name, value)| Some((named(name.into_string().ok()?), value)))
}

/// The program that process `pid` runs now, where the system tells without special rights.
#[cfg(target_os = "linux")]
#[must_use]
pub fn exe(pid: u32) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// The program that process `pid` runs now, where the system tells without special rights.
#[cfg(windows)]
#[must_use]
pub fn exe(pid: u32) -> Option<String> {
    use winsafe::HPROCESS;
    use winsafe::co::{PROCESS, PROCESS_NAME};

    let process = HPROCESS::OpenProcess(PROCESS::QUERY_LIMITED_INFORMATION, false, pid).ok()?;
    process.QueryFullProcessImageName(PROCESS_NAME::WIN32).ok()
}

/// The program that process `pid` runs now; here the system does not tell.
#[cfg(not(any(target_os = "linux", windows)))]
#[must_use]
pub fn exe(_pid: u32) -> Option<String> {
    None
}

/// What people call the program at this path ([`exe`]): the file's name, without the ending that Windows wants.
#[must_use]
pub fn program(exe: &str) -> Option<&str> {
    let name = exe.rsplit(std::path::is_separator).next()?;
    let name = name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(name);
    (!name.is_empty()).then_some(name)
}

/// Whether a program of this name seems to run as this user, by itself or as a script of an interpreter.
/// Where the system does not tell, it does not.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_running(name: &str) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let own = own_uid();
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let numbered = |name: &std::ffi::OsStr| name.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    processes.flatten().filter(|entry| numbered(&entry.file_name())).any(|entry| {
        let ours = entry.metadata().is_ok_and(|meta| Some(meta.uid()) == own);
        ours && std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| is_of(&line, name))
    })
}

/// Whether a program of this name seems to run, by itself: what an interpreter runs is not told here. Where the
/// system does not tell, it does not.
#[cfg(windows)]
#[must_use]
pub fn is_running(name: &str) -> bool {
    let program = format!("{name}.exe");
    let list =
        winsafe::HPROCESSLIST::CreateToolhelp32Snapshot(winsafe::co::TH32CS::SNAPPROCESS, None);
    list.is_ok_and(|mut list| {
        list.iter_processes().flatten().any(|one| one.szExeFile().eq_ignore_ascii_case(&program))
    })
}

/// Whether a program of this name seems to run; here the system does not tell.
#[cfg(not(any(target_os = "linux", windows)))]
#[must_use]
pub fn is_running(_name: &str) -> bool {
    false
}

/// Programs that run others, whose first argument is the one that matters.
#[cfg(target_os = "linux")]
const INTERPRETERS: [&str; 4] = ["node", "bun", "deno", "python"];

/// Whether a command line (`proc_pid_cmdline(5)`) is of a program of this name.
#[cfg(target_os = "linux")]
fn is_of(line: &[u8], name: &str) -> bool {
    let mut words = line.split(|byte| *byte == 0).map(|word| {
        let word = String::from_utf8_lossy(word).into_owned();
        word.rsplit('/').next().unwrap_or_default().to_owned()
    });
    let first = words.next().unwrap_or_default();
    let is = |word: &str| {
        word == name || word.strip_prefix(name).is_some_and(|end| matches!(end, ".js" | ".py"))
    };
    let runs_others = INTERPRETERS.iter().any(|interpreter| first.starts_with(interpreter));
    is(&first) || (runs_others && words.next().is_some_and(|word| is(&word)))
}

/// Files and connections that are asked for at most: an answer under way takes two, and no system that
/// allows a million expects anybody to use them.
#[cfg(unix)]
const MOST_FILES: u64 = 65_536;

/// Makes use of as many open files as the system lets us have: the usual 1024 are fewer than the clients
/// that may connect. Where it lets us have no more, clients beyond wait to be accepted.
#[cfg(unix)]
pub fn allow_many_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limits.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limits })
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn allow_many_files() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_goes_by_the_name_of_its_file() {
        let (path, name) = if cfg!(windows) {
            (r"C:\a b\codex.exe", "codex")
        } else {
            ("/a b/codex.sh", "codex.sh")
        };
        assert_eq!((program(path), program("")), (Some(name), None));
    }

    #[test]
    fn the_path_is_found_by_its_usual_name_however_the_system_writes_it() {
        let found = variables().find(|(name, _)| name == "PATH").map(|(_, value)| value);
        assert_eq!(found, std::env::var_os("PATH"));
        assert!(found.is_some(), "tests are started by a program that was found there");
        // Every Windows has `SystemRoot` and the like.
        assert!(!cfg!(windows) || variables().all(|(name, _)| name == name.to_uppercase()));
    }

    #[cfg(any(target_os = "linux", windows))]
    #[test]
    fn this_program_is_known_and_runs() {
        let own = std::env::current_exe().expect("we have one");
        assert_eq!(exe(std::process::id()).as_deref(), own.to_str());
        assert_eq!(exe(u32::MAX - 7), None, "nobody has this number");
        assert!(is_running(own.file_stem().and_then(|name| name.to_str()).expect("a name")));
        assert!(!is_running("no program has such a name"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_program_is_known_by_its_name_or_as_a_script() {
        for (line, expected) in [
            ("/usr/bin/codex\0exec\0", true),
            ("codex", true),
            ("node\0/lib/bin/codex.js\0", true),
            ("/usr/bin/python3.11\0/opt/bin/codex\0", true),
            ("vi\0codex\0", false),
            ("codex-helper\0", false),
            ("valetkey\0import\0codex\0", false),
            ("", false),
        ] {
            assert_eq!(is_of(line.as_bytes(), "codex"), expected, "{line}");
        }
    }
}

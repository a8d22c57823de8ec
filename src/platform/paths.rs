//! Where files are, on each system and by each override.
//!
//! One place decides, so that the daemon, the command line and `valetkey paths` cannot disagree.
//! Flags are laid over the result by the command line: flag beats environment beats file beats default.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest address of a Unix socket, its terminating zero included (`sockaddr_un.sun_path`).
#[cfg(target_os = "linux")]
pub const SOCKET_BYTES_MAX: usize = 108;
/// The same on the BSDs and macOS.
#[cfg(all(unix, not(target_os = "linux")))]
pub const SOCKET_BYTES_MAX: usize = 104;
/// The longest name of a Windows pipe.
#[cfg(windows)]
pub const SOCKET_BYTES_MAX: usize = 256;

/// Why the places could not be told.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The system does not say where this person's home is.
    #[error("this user has no home directory")]
    NoHome,
    /// An override is not UTF-8, or the working directory it is relative to is gone.
    #[error("{variable} does not hold a usable path")]
    Unusable {
        /// The environment variable.
        variable: &'static str,
    },
    /// The system does not say who this user is, which the pipe is named after.
    #[error("this user cannot be told: {0}")]
    NoUser(#[from] std::io::Error),
    /// The operating system takes no socket address of this length.
    #[error("the socket's path {socket} is longer than the {max} bytes that this system allows")]
    SocketTooLong {
        /// The path.
        socket: String,
        /// Bytes allowed.
        max: usize,
    },
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The configuration file; need not exist.
    pub config_file: PathBuf,
    /// What must not be lost: credentials, local keys.
    pub data_dir: PathBuf,
    /// What may be lost: logs, the audit trail.
    pub state_dir: PathBuf,
    /// The socket's path, or the pipe's name.
    pub socket: String,
}

/// What the system's conventions say, before any override.
struct Conventions {
    config_dir: PathBuf,
    data_dir: PathBuf,
    state_dir: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

impl Paths {
    /// The places by this process's environment (`VALETKEY_CONFIG`, `VALETKEY_DATA_DIR`,
    /// `VALETKEY_STATE_DIR`, `VALETKEY_SOCKET`) and the system's conventions.
    ///
    /// # Errors
    /// When an override is unusable, there is no home directory, or the socket's path is too long.
    pub fn from_environment() -> Result<Self, PathsError> {
        Self::resolve(
            |name| std::env::var_os(name).filter(|value| !value.is_empty()),
            conventions(),
        )
    }

    fn resolve(
        variable: impl Fn(&str) -> Option<OsString>,
        conventions: Option<Conventions>,
    ) -> Result<Self, PathsError> {
        let place = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(path) => std::path::absolute(path)
                .map(Some)
                .map_err(|_| PathsError::Unusable { variable: name }),
        };
        let usual = conventions.as_ref().ok_or(PathsError::NoHome);
        let config_file = match place("VALETKEY_CONFIG")? {
            Some(file) => file,
            None => usual.as_ref().map_err(|_| PathsError::NoHome)?.config_dir.join("config.toml"),
        };
        let data_dir = match place("VALETKEY_DATA_DIR")? {
            Some(dir) => dir,
            None => usual.as_ref().map_err(|_| PathsError::NoHome)?.data_dir.clone(),
        };
        let state_dir = match (place("VALETKEY_STATE_DIR")?, &conventions) {
            (Some(dir), _) => dir,
            (None, Some(Conventions { state_dir: Some(dir), .. })) => dir.clone(),
            (None, _) => data_dir.join("state"),
        };
        let socket = match variable("VALETKEY_SOCKET") {
            Some(socket) => socket
                .into_string()
                .map_err(|_| PathsError::Unusable { variable: "VALETKEY_SOCKET" })?,
            None => default_socket(
                &state_dir,
                conventions.and_then(|usual| usual.runtime_dir).as_deref(),
            )?,
        };
        if socket.len() >= SOCKET_BYTES_MAX {
            return Err(PathsError::SocketTooLong { socket, max: SOCKET_BYTES_MAX - 1 });
        }
        Ok(Self { config_file, data_dir, state_dir, socket })
    }

    /// One file for each login.
    #[must_use]
    pub fn credentials_dir(&self) -> PathBuf {
        self.data_dir.join("credentials")
    }

    /// The file that the one daemon of these credentials holds locked to its end.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("valetkey.lock")
    }

    /// The lists of models that an offline start serves.
    #[must_use]
    pub fn models_dir(&self) -> PathBuf {
        self.data_dir.join("models")
    }

    /// What each client has used, by the day.
    #[must_use]
    pub fn usage_file(&self) -> PathBuf {
        self.state_dir.join("usage.json")
    }

    /// Daily log files, where no service manager keeps them.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.state_dir.join("log")
    }

    /// Who asked for what.
    #[must_use]
    pub fn audit_dir(&self) -> PathBuf {
        self.state_dir.join("audit")
    }
}

/// Where the file at this path really is, behind all links, as a person would write it.
///
/// # Errors
/// As [`std::fs::canonicalize`].
pub fn behind_links(path: &Path) -> std::io::Result<PathBuf> {
    std::fs::canonicalize(path).map(unmarked)
}

#[cfg(unix)]
fn unmarked(path: PathBuf) -> PathBuf {
    path
}

/// Without the mark of a path that is taken to the letter (`\\?\C:\…`), unless it is too long to do without.
#[cfg(windows)]
fn unmarked(path: PathBuf) -> PathBuf {
    /// `MAX_PATH`.
    const LONGEST: usize = 260;
    let plain = path.to_str().and_then(|path| path.strip_prefix(r"\\?\"));
    let plain = plain.filter(|rest| rest.len() < LONGEST && rest.get(1..2) == Some(":"));
    plain.map_or_else(|| path.clone(), PathBuf::from)
}

fn conventions() -> Option<Conventions> {
    let dirs = directories::ProjectDirs::from("", "", "valetkey")?;
    Some(Conventions {
        config_dir: dirs.config_dir().to_owned(),
        // On Windows the other one follows a person from machine to machine, and a login must not: its
        // copies would take turns at a refresh token that works once.
        data_dir: dirs.data_local_dir().to_owned(),
        state_dir: dirs.state_dir().map(Path::to_owned),
        runtime_dir: dirs.runtime_dir().map(Path::to_owned),
    })
}

#[cfg(unix)]
fn default_socket(state_dir: &Path, runtime_dir: Option<&Path>) -> Result<String, PathsError> {
    // `runtime_dir` already ends in this program's name; a path that is no UTF-8 cannot be told on the wire.
    let dir = runtime_dir.map_or_else(|| state_dir.join("run"), Path::to_owned);
    Ok(dir.join("valetkey.sock").to_string_lossy().into_owned())
}

#[cfg(windows)]
fn default_socket(_state_dir: &Path, _runtime_dir: Option<&Path>) -> Result<String, PathsError> {
    Ok(pipe_of(super::access_list::own_sid()?))
}

/// The usual pipe of the user with this security identifier. Pipes share one namespace for the whole machine, so
/// the name must tell users apart, and a name of a person may be another's tomorrow. Who may open the pipe is the
/// business of its security descriptor.
pub(super) fn pipe_of(sid: &str) -> String {
    format!(r"\\.\pipe\valetkey-{sid}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(
        variables: &[(&str, &str)],
        conventions: Option<Conventions>,
    ) -> Result<Paths, PathsError> {
        let find = |name: &str| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value))
        };
        Paths::resolve(find, conventions)
    }

    fn home(runtime: bool, state: bool) -> Option<Conventions> {
        Some(Conventions {
            config_dir: "/h/.config/valetkey".into(),
            data_dir: "/h/.local/share/valetkey".into(),
            state_dir: state.then(|| "/h/.local/state/valetkey".into()),
            runtime_dir: runtime.then(|| "/run/user/1/valetkey".into()),
        })
    }

    #[test]
    fn conventions_hold_where_nothing_is_said() {
        let paths = resolve(&[], home(true, true)).expect("they resolve");
        assert_eq!(paths.config_file, Path::new("/h/.config/valetkey/config.toml"));
        assert_eq!(paths.credentials_dir(), Path::new("/h/.local/share/valetkey/credentials"));
        assert_eq!(paths.log_dir(), Path::new("/h/.local/state/valetkey/log"));
        assert_eq!(paths.audit_dir(), Path::new("/h/.local/state/valetkey/audit"));
        let socket = default_socket(&paths.state_dir, Some(Path::new("/run/user/1/valetkey")));
        assert_eq!(paths.socket, socket.expect("a socket"));
    }

    #[test]
    fn without_a_state_directory_the_next_best_is_taken() {
        let paths = resolve(&[], home(false, false)).expect("they resolve");
        assert_eq!(paths.state_dir, Path::new("/h/.local/share/valetkey/state"));
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_is_in_the_runtime_directory_or_below_the_next_best() {
        let socket = |runtime| resolve(&[], home(runtime, true)).expect("they resolve").socket;
        assert_eq!(socket(true), "/run/user/1/valetkey/valetkey.sock");
        assert_eq!(socket(false), "/h/.local/state/valetkey/run/valetkey.sock");
    }

    #[cfg(windows)]
    #[test]
    fn a_pipe_is_named_after_its_user_wherever_files_are() {
        let socket = resolve(&[], home(true, true)).expect("they resolve").socket;
        let user = socket.strip_prefix(r"\\.\pipe\valetkey-").expect("a pipe");
        assert_eq!(user, super::super::access_list::own_sid().expect("we are somebody"));
        assert_eq!(resolve(&[], home(false, false)).expect("they resolve").socket, socket);
    }

    #[test]
    fn overrides_win_and_suffice_without_a_home() {
        let all = [
            ("VALETKEY_CONFIG", "/c.toml"),
            ("VALETKEY_DATA_DIR", "/d"),
            ("VALETKEY_STATE_DIR", "/s"),
            ("VALETKEY_SOCKET", "/k"),
        ];
        let paths = resolve(&all, None).expect("they resolve");
        assert_eq!(
            paths,
            Paths {
                // Where paths have drives it is the current one.
                config_file: std::path::absolute("/c.toml").expect("a path"),
                data_dir: std::path::absolute("/d").expect("a path"),
                state_dir: std::path::absolute("/s").expect("a path"),
                socket: "/k".into()
            }
        );
        assert!(matches!(resolve(&all[2..], None), Err(PathsError::NoHome)));
    }

    #[test]
    fn a_socket_address_that_no_system_takes_is_told_early() {
        let long = "/".to_owned() + &"x".repeat(SOCKET_BYTES_MAX);
        let error = resolve(&[("VALETKEY_SOCKET", &long)], home(true, true)).expect_err("too long");
        assert!(matches!(error, PathsError::SocketTooLong { .. }), "{error}");
    }
}

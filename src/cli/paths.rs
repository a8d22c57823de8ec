//! `valetkey paths`: where everything is.

use std::io::{self, Write as _};

use super::Done;
use super::args::Paths;
use super::connect::Context;
use super::output::{FAINT, say};

pub(super) fn run(context: &Context, verb: &Paths) -> Done {
    let paths = context.paths()?;
    let credentials = paths.credentials_dir();
    let (log, audit) = (paths.log_dir(), paths.audit_dir());
    let files = [
        ("config", &paths.config_file),
        ("credentials", &credentials),
        ("data", &paths.data_dir),
        ("state", &paths.state_dir),
        ("log", &log),
        ("audit", &audit),
    ];
    if verb.json {
        let mut object: serde_json::Map<String, serde_json::Value> = files
            .iter()
            .map(|(name, path)| ((*name).to_owned(), path.to_string_lossy().into()))
            .collect();
        object.insert("socket".to_owned(), paths.socket.into());
        writeln!(io::stdout(), "{:#}", serde_json::Value::Object(object))?;
        return Ok(());
    }
    for (name, path) in files {
        say(format_args!("{FAINT}{name:12}{FAINT:#}{}", path.display()))?;
    }
    Ok(say(format_args!("{FAINT}{:12}{FAINT:#}{}", "socket", paths.socket))?)
}

//! `valetkey serve`: hands over to the daemon.

use crate::daemon::{self, ServeOptions};
use crate::platform::spawn::{self, EXIT_ALREADY_RUNNING};

use super::Done;
use super::args::Serve;
use super::connect::Context;
use super::failure::{Exit, Failure};

pub(super) fn run(context: &Context, verb: &Serve) -> Done {
    if verb.detach {
        spawn::leave_terminal();
    }
    let (mut paths, config) = context.paths_and_config()?;
    paths.data_dir = verb.data_dir.clone().unwrap_or(paths.data_dir);
    paths.state_dir = verb.state_dir.clone().unwrap_or(paths.state_dir);
    let config_path = paths.config_file.clone();
    daemon::serve(ServeOptions { paths, config_path, config, detached: verb.detach }).map_err(|error| {
        if error.is_already_running() {
            let code = u8::try_from(EXIT_ALREADY_RUNNING).unwrap_or(Exit::Failed as u8);
            return Failure::with_code(code, error.to_string())
                .hint("`valetkey status` asks the one that runs, and `valetkey rpc shutdown` ends it");
        }
        Failure::new(Exit::Failed, error.to_string())
            .hint("`valetkey paths` shows which folders and socket are meant, `valetkey doctor` looks at them")
    })
}

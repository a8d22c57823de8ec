//! `valetkey completions` and `valetkey man`: made from the same tree that parses, so never stale.

use std::io::{self, Write as _};

use clap::CommandFactory as _;

use super::Done;
use super::args::{Args, Completions, Man};
use super::failure::{Exit, Failure};

pub(super) fn completions(verb: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(verb.shell, &mut Args::command(), "valetkey", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

pub(super) fn man(verb: &Man) -> Done {
    if let Some(dir) = &verb.dir {
        let written = std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Args::command(), dir));
        return written.map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot write into {}: {error}", dir.display()))
        });
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    Ok(io::stdout().write_all(&page)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_gets_its_page() {
        let folder = tempfile::tempdir().expect("a folder");
        man(&Man { dir: Some(folder.path().to_owned()) }).expect("written");
        for page in ["valetkey.1", "valetkey-login.1", "valetkey-token.1", "valetkey-demo.1"] {
            assert!(folder.path().join(page).is_file(), "{page}");
        }
    }
}

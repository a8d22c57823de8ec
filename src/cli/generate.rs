//! `valetkey completions` and `valetkey man`: made from the same tree that parses, so never stale.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use clap::builder::PossibleValue;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::Done;
use super::args::{Args, Completions, Man};
use super::failure::{Exit, Failure};
use super::help::TOPICS;

/// What stands at the end of the first page, as pairs of a term and its meaning.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("VALETKEY_CONFIG", "The configuration file, instead of the platform's place."),
    ("VALETKEY_DATA_DIR", "Where the credentials are kept."),
    ("VALETKEY_STATE_DIR", "Where logs and the audit trail are kept."),
    ("VALETKEY_SOCKET", "The daemon's socket; on Windows the name of its pipe."),
    (
        "VALETKEY_NO_SPAWN",
        "Anything but \"0\", \"no\" or \"false\" is --no-spawn: for machines whose daemon is elsewhere.",
    ),
    (
        "VALETKEY_LOG_TO",
        "Where the daemon's log goes: \"file\" or \"stderr\". Unless given, standard error under a service \
         manager or on a terminal, else daily files.",
    ),
    (
        "RUST_LOG",
        "What the daemon logs, before log.level of the configuration; as \"debug\" or \"valetkey::login=trace\".",
    ),
    ("NO_COLOR", "Anything here takes the colours away."),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "How the daemon reaches the issuer and the API; never used for loopback.",
    ),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "Done; for \"status\": a token can be lent."),
    ("1", "It failed, as said on standard error."),
    ("2", "The command line or the configuration is wrong, or the notice has not been accepted."),
    ("3", "Somebody has to sign in."),
    ("4", "The daemon is not there, or was lost."),
    ("5", "The subscription's limit is reached."),
    ("75", "\"serve\" only: another daemon holds this data directory."),
    ("130", "Interrupted."),
];

pub(super) fn completions(verb: &Completions) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(verb.shell, &mut Args::command(), "valetkey", &mut script);
    if verb.shell == Shell::Fish {
        script.extend(fish_names().into_bytes());
    }
    Ok(io::stdout().write_all(&script)?)
}

/// What the library leaves out of fish's script: the words that an argument may be.
fn fish_names() -> String {
    let tree = Args::command();
    let arguments = tree.get_subcommands().flat_map(|verb| {
        verb.get_positionals()
            .map(move |argument| (verb.get_name(), argument.get_possible_values()))
    });
    arguments.filter(|(_, values)| !values.is_empty()).fold(
        String::new(),
        |script, (verb, values)| {
            let words: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
            let words = words.join(" ");
            let when = format!("__fish_valetkey_using_subcommand {verb}");
            script + &format!("complete -c valetkey -n \"{when}\" -f -a \"{words}\"\n")
        },
    )
}

pub(super) fn man(verb: &Man) -> Done {
    let mut tree = Args::command().disable_help_subcommand(true);
    tree.build();
    let Some(dir) = &verb.dir else {
        return Ok(io::stdout().write_all(&page(&tree)?)?);
    };
    std::fs::create_dir_all(dir).and_then(|()| write_pages(&tree, dir)).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot write into {}: {error}", dir.display()))
            .hint("`--dir` takes a folder that you may write into")
    })
}

/// One page for `command` and for each of its verbs.
fn write_pages(command: &Command, dir: &Path) -> io::Result<()> {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write_pages(verb, dir)?;
    }
    let name = clap_mangen::Man::new(command.clone()).get_filename();
    std::fs::write(dir.join(name), page(command)?)
}

/// The library knows the tree; the sections that it would run together are set out here.
fn page(command: &Command) -> io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone())
        .source(concat!("valetkey ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let first = command.has_subcommands() && command.get_name() == "valetkey";
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(after) = command.get_after_help() {
        page.extend(examples(&after.to_string()).into_bytes());
    }
    if first {
        page.extend(terms("EXIT STATUS", EXIT_STATUS).into_bytes());
        page.extend(terms("ENVIRONMENT", ENVIRONMENT).into_bytes());
        page.extend(topics().into_bytes());
        page.extend(b".SH FILES\n\\fBvaletkey paths\\fR prints where everything is.\n");
    } else {
        page.extend(b".SH \"SEE ALSO\"\n\\fBvaletkey\\fR(1)\n");
    }
    Ok(page)
}

/// The examples of `--help`, line by line as they stand there; what follows them is told elsewhere.
fn examples(after_help: &str) -> String {
    match after_help.strip_prefix("Examples:\n") {
        Some(rest) => {
            let lines = rest.split("\n\n").next().unwrap_or(rest);
            format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", escape(lines))
        }
        None => format!(".SH NOTES\n{}\n", escape(after_help)),
    }
}

fn terms(heading: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(format!(".SH \"{heading}\"\n"), |mut section, (term, meaning)| {
        // Writing to a string cannot fail.
        let _ = write!(section, ".TP\n\\fB{}\\fR\n{}\n", escape(term), escape(meaning));
        section
    })
}

/// What `valetkey help` knows beside the verbs.
fn topics() -> String {
    let names: Vec<String> = TOPICS.iter().map(|topic| escape(&topic.name)).collect();
    let told = "prints more about each of these, as the README does:";
    format!(".SH TOPICS\n\\fBvaletkey help\\fR \\fITOPIC\\fR {told}\n{}.\n", names.join(", "))
}

/// Text as roff(7) takes it: no escapes of its own, no line that begins a request, hyphens that can
/// be copied.
fn escape(text: &str) -> String {
    let escape_line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(escape_line).collect::<Vec<_>>().join("\n")
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
        let first = std::fs::read_to_string(folder.path().join("valetkey.1")).expect("text");
        for verb in Args::command().get_subcommands().map(|verb| verb.get_name().to_owned()) {
            let named = format!("valetkey\\-{verb}(1)");
            let page = folder.path().join(format!("valetkey-{verb}.1"));
            assert!(first.contains(&named) && page.is_file(), "{verb}");
        }
        assert!(first.contains("EXIT STATUS") && first.contains("VALETKEY_LOG_TO"), "{first}");
    }

    #[test]
    fn examples_keep_their_lines_and_begin_no_request() {
        let shown = examples("Examples:\n  a \\ b\n.config -x\n\nExit codes: 0");
        assert_eq!(shown, ".SH EXAMPLES\n.nf\n  a \\e b\n\\&.config \\-x\n.fi\n");
    }
}

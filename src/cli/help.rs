//! `valetkey help`: a verb's own help, or a section of the README, which is compiled in.
//!
//! One text explains this program, on the web, in the repository and here; a second one would lag behind
//! it. So each section of the README is a topic, under the name that links to it use.

mod markdown;
mod render;

use std::io::Write as _;
use std::sync::LazyLock;

use clap::{Command, CommandFactory as _};

use self::markdown::{Block, Section, anchor, sections};
use super::Done;
use super::args::{Args, Help};
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::{self, FAINT, HINT, STRONG, say};

const README: &str = include_str!("../../README.md");

/// Longer lines tire the eye; tables need more room than prose does.
const COLUMNS_MAX: usize = 100;
/// Names suggested for one that is not known.
const SUGGESTED_MAX: usize = 3;

/// Everything that can be read about that is no verb.
pub(crate) static TOPICS: LazyLock<Vec<Topic>> = LazyLock::new(|| topics(README));

/// A section of the README, by the name that it is asked for.
#[derive(Debug)]
pub(crate) struct Topic {
    /// As `codex-cli`.
    pub(crate) name: String,
    section: Section<'static>,
}

impl Topic {
    /// Its heading.
    pub(crate) fn heading(&self) -> &'static str {
        self.section.heading
    }
}

pub(super) fn run(_context: &Context, verb: &Help) -> Done {
    let tree = Args::command();
    if verb.topic.is_empty() {
        return list(&tree);
    }
    if find_verb(&tree, &verb.topic).is_some() {
        return show_verb(&verb.topic);
    }
    let asked = name_of(&verb.topic);
    let verbs: Vec<String> = names(&tree);
    match find(&asked, &verbs, &TOPICS) {
        Found::One(name) => match TOPICS.iter().position(|topic| topic.name == name) {
            Some(at) => show_topic(at),
            None => show_verb(&[name]),
        },
        Found::Several(names) => {
            let sentence = format!("{asked:?} begins the names of several verbs or topics");
            Err(Failure::new(Exit::Usage, sentence).hint(suggestions(&names)))
        }
        Found::None(near) => {
            let sentence = format!("there is no verb or topic {asked:?}");
            let all = "`valetkey help` lists them all";
            let hint = if near.is_empty() {
                all.to_owned()
            } else {
                format!("{}; {all}", suggestions(&near))
            };
            Err(Failure::new(Exit::Usage, sentence).hint(hint))
        }
    }
}

/// As a person would type a heading: `sign in`, `Sign-In`.
fn name_of(words: &[String]) -> String {
    words.join("-").to_lowercase()
}

fn suggestions(names: &[String]) -> String {
    let commands: Vec<String> =
        names.iter().map(|name| format!("`valetkey help {name}`")).collect();
    format!("try {}", commands.join(" or "))
}

fn topics(text: &'static str) -> Vec<Topic> {
    let topic = |mut section: Section<'static>| {
        // The way through the page is of no use where topics are asked for by name.
        section.blocks.retain(
            |block| !matches!(block, Block::Paragraph(text) if text.starts_with("**Contents**")),
        );
        let anchor = anchor(section.heading);
        let name = anchor.strip_prefix("the-").unwrap_or(&anchor).to_owned();
        Topic { name, section }
    };
    sections(text).into_iter().map(topic).collect()
}

/// The verbs that a person is told of.
fn names(tree: &Command) -> Vec<String> {
    let verbs = tree.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.map(|verb| verb.get_name().to_owned()).collect()
}

/// The command that these words lead to: `login`, or `key add`.
fn find_verb<'a>(tree: &'a Command, words: &[String]) -> Option<&'a Command> {
    words.iter().try_fold(tree, |command, word| command.find_subcommand(word))
}

/// What a name that is no verb stands for.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    One(String),
    Several(Vec<String>),
    /// With the names that are most like it.
    None(Vec<String>),
}

/// The one that is called so, or begins so, or has it for one of its words.
fn find(asked: &str, verbs: &[String], topics: &[Topic]) -> Found {
    let mut all: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    all.extend(verbs.iter().map(String::as_str));
    all.sort_unstable();
    all.dedup();
    let fits: [&dyn Fn(&str) -> bool; 3] =
        [&|name| name == asked, &|name| !asked.is_empty() && name.starts_with(asked), &|name| {
            name.split('-').any(|word| word == asked)
        }];
    for fit in fits {
        let found: Vec<String> =
            all.iter().filter(|name| fit(name)).map(|name| (*name).to_owned()).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Found::One(one.clone()),
            _ => return Found::Several(found),
        }
    }
    let mut near: Vec<(usize, &str)> = all
        .iter()
        .map(|name| (distance(asked, name), *name))
        .filter(|(distance, _)| *distance <= asked.chars().count().div_ceil(3))
        .collect();
    near.sort_unstable();
    Found::None(near.into_iter().take(SUGGESTED_MAX).map(|(_, name)| name.to_owned()).collect())
}

/// How many letters have to be put in, taken out or changed to make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, from) in from.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], at + 1);
        for (column, to) in to.iter().enumerate() {
            let changed = corner + usize::from(from != *to);
            corner = row[column + 1];
            row[column + 1] = changed.min(corner + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// A verb's own help, as its `--help` shows it, and below it the section of the same name, where there
/// is one.
fn show_verb(words: &[String]) -> Done {
    let line = ["valetkey"].into_iter().chain(words.iter().map(String::as_str)).chain(["--help"]);
    if let Err(help) = Args::command().try_get_matches_from(line) {
        write!(anstream::stdout(), "{}", help.render().ansi())?;
    }
    if let Some(at) = TOPICS.iter().position(|topic| topic.name == name_of(words)) {
        say("")?;
        show_topic(at)?;
    }
    Ok(())
}

fn show_topic(at: usize) -> Done {
    let width = output::columns_of_stdout().min(COLUMNS_MAX);
    show(&rendered(&TOPICS, at, width))
}

fn show(text: &str) -> Done {
    let mut stdout = anstream::stdout();
    if output::beyond_ascii() {
        stdout.write_all(text.as_bytes())?;
    } else {
        stdout.write_all(render::ascii(text).as_bytes())?;
    }
    Ok(())
}

/// A topic and, below it, those that stand under the same heading.
fn rendered(topics: &[Topic], at: usize, width: usize) -> String {
    let named = |link: &str| {
        let topic = topics.iter().find(|topic| anchor(topic.heading()) == link);
        format!("`valetkey help {}`", topic.map_or(link, |topic| &topic.name))
    };
    let topic = &topics[at];
    let mut text = render::section(&topic.section, width, &named);
    let below = topics[at + 1..].iter().take_while(|next| next.section.level > topic.section.level);
    let below: Vec<&str> = below.map(|topic| topic.name.as_str()).collect();
    if !below.is_empty() {
        text += &format!("\n{FAINT}See also: valetkey help {}{FAINT:#}\n", below.join(", "));
    }
    text
}

/// The verbs and the topics.
fn list(tree: &Command) -> Done {
    let verbs: Vec<(String, String)> = tree
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .map(|verb| {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            (verb.get_name().to_owned(), about)
        })
        .collect();
    let indented = |topic: &Topic| match topic.section.level {
        2 => topic.name.clone(),
        _ => format!("  {}", topic.name),
    };
    let topics: Vec<(String, String)> =
        TOPICS.iter().map(|topic| (indented(topic), topic.heading().to_owned())).collect();
    let mut text = format!("{STRONG}Verbs{STRONG:#}, for `valetkey help VERB`:\n");
    pairs(&mut text, &verbs);
    text += &format!("\n{STRONG}Topics{STRONG:#}, for `valetkey help TOPIC`:\n");
    pairs(&mut text, &topics);
    show(&text)
}

fn pairs(text: &mut String, pairs: &[(String, String)]) {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, meaning) in pairs {
        let gap = " ".repeat(width - name.chars().count());
        *text += &format!("  {HINT}{name}{HINT:#}{gap}  {meaning}\n");
    }
}

#[cfg(test)]
mod tests;

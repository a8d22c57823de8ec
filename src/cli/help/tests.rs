//! What is held of the README as a source of help, and of finding one's way in it.

use super::*;

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

fn verbs() -> Vec<String> {
    names(&Args::command())
}

#[test]
fn every_section_of_the_readme_is_a_topic_of_its_own_name() {
    let headings: Vec<&str> = {
        let mut code = false;
        let is_heading = |line: &&str| {
            code ^= line.starts_with("```");
            !code && (line.starts_with("## ") || line.starts_with("### "))
        };
        README.lines().filter(is_heading).map(|line| line.trim_start_matches(['#', ' '])).collect()
    };
    let told: Vec<&str> = TOPICS.iter().map(Topic::heading).collect();
    assert_eq!(told, headings);
    assert!(TOPICS.len() > 20, "{told:?}");
    for topic in TOPICS.iter() {
        let found = find(&topic.name, &verbs(), &TOPICS);
        assert_eq!(found, Found::One(topic.name.clone()));
        assert!(!topic.section.blocks.is_empty(), "{} is empty", topic.name);
    }
}

#[test]
fn every_topic_is_rendered_whole_and_nothing_of_its_markup_is_left() {
    for width in [40, 80, 100] {
        for (at, topic) in TOPICS.iter().enumerate() {
            let text = plain(&rendered(&TOPICS, at, width));
            assert!(text.starts_with(topic.heading()), "{text}");
            let code: Vec<&str> = topic.section.blocks.iter().flat_map(code_of).collect();
            for line in &code {
                assert!(text.contains(line.trim_end()), "{}: {line}", topic.name);
            }
            let prose = text.lines().filter(|line| !line.starts_with("    "));
            for line in prose {
                assert!(!line.contains("](") && !line.contains("**"), "{}: {line}", topic.name);
                assert!(
                    !line.starts_with("```") && !line.starts_with('|'),
                    "{}: {line}",
                    topic.name
                );
            }
        }
    }
}

fn code_of<'a>(block: &'a Block<'static>) -> Vec<&'a str> {
    match block {
        Block::Code(lines) => lines.clone(),
        _ => Vec::new(),
    }
}

#[test]
fn every_place_that_the_readme_links_to_is_there() {
    for link in README.split("](#").skip(1) {
        let link = link.split(')').next().expect("a piece");
        let there = TOPICS.iter().any(|topic| anchor(topic.heading()) == link);
        assert!(there, "nothing is called {link}");
    }
}

#[test]
fn every_verb_is_told_of_in_the_readme_and_every_verb_there_exists() {
    let verbs = verbs();
    for verb in &verbs {
        assert!(README.contains(&format!("valetkey {verb}")), "{verb} is not told of");
    }
    // In code, a word after the program's name is a verb or a flag.
    let blocks = TOPICS.iter().flat_map(|topic| &topic.section.blocks);
    let lines: Vec<&str> = blocks.flat_map(code_of).collect();
    let spans = README.split('`').skip(1).step_by(2).filter(|span| !span.contains('\n'));
    for text in lines.into_iter().chain(spans) {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("valetkey ") {
            rest = after;
            let begins = before.is_empty() || before.ends_with(['(', ' ', '/', '`']);
            let word: String = after.chars().take_while(char::is_ascii_lowercase).collect();
            let ends = !after[word.len()..].starts_with(['/', '.', '=', '_', ':', ',']);
            let other_program =
                ["-u ", "status ", "reload ", "restart ", "stop ", "start ", "edit "];
            let systemd = other_program.iter().any(|verb| before.ends_with(verb));
            if begins && ends && !word.is_empty() && !systemd {
                assert!(verbs.contains(&word), "no verb {word:?} in {text:?}");
            }
        }
    }
}

#[test]
fn a_name_may_be_cut_short_or_be_one_of_its_words() {
    let topics =
        topics("## Sign in\na\n### The Codex CLI\nb\n## Sign out\nc\n## When it breaks\nd\n");
    let verbs = ["login".to_owned(), "logout".to_owned(), "status".to_owned()];
    let find = |asked| find(asked, &verbs, &topics);
    let one = |name: &str| Found::One(name.to_owned());
    assert_eq!(find("sign-in"), one("sign-in"));
    assert_eq!(find("codex"), one("codex-cli"));
    assert_eq!(find("breaks"), one("when-it-breaks"));
    assert_eq!(find("st"), one("status"));
    assert_eq!(find("sign"), Found::Several(vec!["sign-in".into(), "sign-out".into()]));
    assert_eq!(find("lgoin"), Found::None(vec!["login".into()]));
    assert_eq!(find("codexcli"), Found::None(vec!["codex-cli".into()]));
    assert_eq!(find("zebra"), Found::None(vec![]));
    assert_eq!(find(""), Found::None(vec![]));
}

#[test]
fn words_are_as_far_apart_as_it_takes_letters() {
    for (from, to, far) in [("", "", 0), ("abc", "", 3), ("", "ab", 2), ("kitten", "sitting", 3)] {
        assert_eq!(distance(from, to), far);
        assert_eq!(distance(to, from), far);
    }
}

#[test]
fn verbs_of_verbs_are_found_too() {
    let tree = Args::command();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let found = find_verb(&tree, &words(&["key", "add"])).expect("it is there");
    assert_eq!(found.get_name(), "add");
    assert!(find_verb(&tree, &words(&["key", "nonsense"])).is_none());
}

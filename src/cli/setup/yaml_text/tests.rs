//! Shapes that can be changed, shapes that cannot, and texts by the thousand.

use proptest::prelude::*;

use super::super::hunks;
use super::*;

fn refused(text: &str) -> String {
    YamlText::parse(text).err().unwrap_or_else(|| panic!("{text:?} is taken")).to_string()
}

fn items() -> Vec<Vec<String>> {
    vec![vec!["- name: ours".to_owned(), "  model: x".to_owned()]]
}

fn ours(item: &Node) -> bool {
    item.get("name").and_then(Node::text) == Some("ours")
}

#[test]
fn what_is_no_block_of_lines_is_refused() {
    assert!(refused("{a: 1}\n").contains("braces"));
    assert!(refused("- a\n").contains("key: value"));
    assert!(refused("words\n").contains("key: value"));
    assert!(refused("a: 1\n---\nb: 2\n").contains("more than one document"));
    assert!(refused("a: 1\nb: 2\n\"a\": 3\n").contains("`a` stands there twice"));
    assert!(refused("a: 1\rb: 2\r").contains("old Macs"));
    assert!(refused(&format!("a: {}{}\n", "[".repeat(100), "]".repeat(100))).contains("nested"));
    assert!(!refused(&"[".repeat(100_000)).is_empty());
    assert!(!refused(&"a:\n".repeat(2)).is_empty());
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    for text in [
        "a: 1\nb: [1\n",
        "a: 1\nb: \"x\n",
        "a: 1\n\tb: 2\n",
        "a: 1\nb: *nobody\n",
        "ä: 1\n  b: 2\n",
    ] {
        let refusal = refused(text);
        assert!(
            refusal.starts_with("line ") && refusal.contains("not YAML"),
            "{text:?}: {refusal}"
        );
    }
    assert!(refused("a: 1\nb: c: d\n").starts_with("line 2"));
}

#[test]
fn a_list_that_cannot_be_added_to_is_refused_and_named() {
    for text in ["l: [a]\n", "l: words\n", "l: {a: 1}\n", "l:\n  a: 1\n", "l: *x\n", "l: \"\"\n"] {
        let text = format!("x: &x 1\n{text}");
        let refusal = YamlText::parse(&text).unwrap().with_items("l", &items()).unwrap_err();
        assert!(refusal.to_string().contains("`l`"), "{text:?}: {refusal}");
    }
}

#[test]
fn a_value_that_is_more_than_a_word_on_its_line_is_refused() {
    for text in [
        "k: [a]\n",
        "k: |\n  a\n",
        "k: a\n  b\n",
        "k: &x a\n",
        "k: !t a\n",
        "k:\n  a\n",
        "? k\n: a\n",
    ] {
        let refusal = YamlText::parse(text).unwrap().with_top("k", "v").unwrap_err();
        assert!(!refusal.to_string().is_empty(), "{text:?}");
    }
}

#[test]
fn a_value_changes_in_its_place_and_nothing_around_it() {
    for (before, after) in [
        ("k: a # b\n", "k: v # b\n"),
        ("k: \"a # \\\" b\" # \"c\"\n", "k: v # \"c\"\n"),
        ("k: 'a '' b'   # c", "k: v   # c"),
        ("k:\nl: 1\n", "k: v\nl: 1\n"),
        ("k: # c\n", "k: v # c\n"),
        ("\"k\" : a\r\n", "\"k\" : v\r\n"),
        ("l: 1", "l: 1\nk: v\n"),
        ("l: é\r\n", "l: é\r\nk: v\r\n"),
        ("# c", "# c\nk: v\n"),
        ("", "k: v\n"),
        ("---\nk: a\n", "---\nk: v\n"),
    ] {
        let now = YamlText::parse(before).unwrap();
        assert_eq!(now.with_top("k", "v").unwrap(), after, "{before:?}");
        let after = YamlText::parse(after).unwrap();
        assert_eq!(after.text_of("k"), Some("v"));
        assert_eq!(now.beside(&["k"], "", ours), after.beside(&["k"], "", ours));
    }
}

#[test]
fn an_item_goes_with_its_lines_and_leaves_the_comments_of_others() {
    let text = "l:\n  # one\n  - name: a\n  - name: ours\n    # mine\n    model: >\n      x\n      y\n\n  # two\n  - {name: ours}\n  - name: b\nm: 1\n";
    let left = YamlText::parse(text).unwrap().without_items("l", ours).unwrap();
    assert_eq!(left, "l:\n  # one\n  - name: a\n\n  # two\n  - name: b\nm: 1\n");
    let shared = "l: [{name: ours}, {name: b}]\n";
    let refusal = YamlText::parse(shared).unwrap().without_items("l", ours).unwrap_err();
    assert!(refusal.to_string().contains("shares its lines"));
}

#[test]
fn a_scalar_is_bare_only_where_it_is_plainly_a_string() {
    assert_eq!(scalar("openai/gpt-5.5"), "openai/gpt-5.5");
    assert_eq!(scalar("http://127.0.0.1:1/v1"), "http://127.0.0.1:1/v1");
    for odd in [
        "",
        "true",
        "1.5",
        "-x",
        "a: b",
        "a #b",
        "ends:",
        "é",
        "\"",
        "~",
        "{x}",
        "*alias",
        "line\nline",
        "1e3",
    ] {
        assert!(scalar(odd).starts_with('"'), "{odd:?}");
    }
}

/// Pieces of files as people write them; put side by side they are mostly good YAML.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "# a comment\n",
        "\n",
        "a: 1\n",
        "b: \"x # y\"  # z\n",
        "c:\n  - 1\n  - d: 2\n",
        "e: |\n  # text\n\n  more\n",
        "f: |+\n  kept\n\n\n",
        "g: [1, {h: 2}] # end\n",
        "i: {j: 'k''l'}\n",
        "m: &x\n  n: o\n",
        "p: *x\n",
        "q: >-\n  r\n  s\n",
        "l:\n",
        "l: []\n",
        "l: ~  # none\n",
        "l:\n  - name: t\n",
        "l:\n- name: t\n  # u\n- v\n",
        "l: # w\n\n    # x\n    - name: ours\n    - [y]\n",
        "k: z\n",
        "k:\n",
        "---\n",
        "...\n",
        "ä: ö\n",
        "  \n",
        "k: \"é\" # ü",
    ]);
    let texts = prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat());
    (texts, any::<bool>())
        .prop_map(|(text, dos)| if dos { text.replace('\n', "\r\n") } else { text })
}

proptest! {
    #[test]
    fn what_was_put_in_is_there_and_comes_out_byte_for_byte(text in pieces()) {
        let Ok(now) = YamlText::parse(&text) else { return Ok(()) };
        let Ok(with) = now.with_items("l", &items()) else { return Ok(()) };
        // Where this fails the agents refuse, because they look at the same.
        let Ok(after) = YamlText::parse(&with) else { return Ok(()) };
        if now.beside(&[], "l", ours) != after.beside(&[], "l", ours) {
            return Ok(());
        }
        let before = now.items("l").iter().filter(|item| ours(item)).count();
        prop_assert_eq!(after.items("l").iter().filter(|item| ours(item)).count(), before + 1);
        prop_assert_eq!(hunks::back(&with, &hunks::between(&text, &with)), Some(text.clone()));
        if before == 0 && now.items("l").iter().any(|item| !ours(item)) {
            prop_assert_eq!(after.without_items("l", ours).unwrap(), text);
        }
    }

    #[test]
    fn no_text_is_too_much(text in "[ \\-:#\\[\\]{}'\"|>&*!?a\n\r\té]{0,40}") {
        if let Ok(now) = YamlText::parse(&text) {
            let _ = now.with_items("a", &items());
            let _ = now.with_top("a", "v").map(|text| YamlText::parse(&text).is_ok());
            let _ = now.without_items("a", |_| true);
            let _ = now.without_top("a");
        }
    }
}

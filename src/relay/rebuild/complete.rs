//! What clients require of a final object, filled in where the backend leaves it out.
//!
//! OpenAI's SDKs declare these members as always there, and programs written against them read them
//! without asking. Only what is missing is added; nothing is invented that would say something new.

use std::borrow::Cow;

use crate::relay::sanitise::object::{Object, list, list_of};

/// Members that every response object has, with what is true where nothing is said.
const RESPONSE: [(&str, &str); 8] = [
    ("id", r#""""#),
    ("object", r#""response""#),
    ("created_at", "0"),
    ("model", r#""""#),
    ("output", "[]"),
    ("parallel_tool_calls", "true"),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
];

/// Those of them that the beginning of a stream tells as well.
const TOLD_BEFORE: [&str; 3] = ["id", "created_at", "model"];

/// What of the beginning's response object may be wanted at the end.
pub(super) fn beginning(response: &str) -> Option<String> {
    let mut object = Object::read(response)?;
    object.members_mut().retain(|(name, _)| TOLD_BEFORE.contains(&&**name));
    Some(object.with(&[]))
}

/// A response object with all members that clients require.
pub(super) fn complete(response: &str, begun: Option<&str>) -> Option<String> {
    let object = Object::read(response)?;
    let begun = begun.and_then(Object::read);
    let before = |name: &str| begun.as_ref().and_then(|begun| begun.get(name));
    let output = object.get("output").and_then(output);
    let usage = object.get("usage").and_then(usage);
    let mut changes: Vec<(&str, Option<&str>)> = RESPONSE
        .iter()
        .filter(|(name, _)| lacks(&object, name))
        .map(|(name, otherwise)| (*name, Some(before(name).unwrap_or(otherwise))))
        .collect();
    changes.extend(output.as_deref().map(|output| ("output", Some(output))));
    changes.extend(usage.as_deref().map(|usage| ("usage", Some(usage))));
    Some(object.with(&changes))
}

fn lacks(object: &Object<'_>, name: &str) -> bool {
    object.get(name).is_none_or(|value| value == "null")
}

/// The object with these members where it lacks them; `None` where it lacks none.
fn filled(object: &Object<'_>, wanted: &[(&'static str, &str)]) -> Option<String> {
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(name, _)| lacks(object, name))
        .map(|(name, value)| (*name, Some(*value)))
        .collect();
    (!missing.is_empty()).then(|| object.with(&missing))
}

/// The elements of a list, each as `change` has it; `None` where it changes none.
fn each(values: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    let values = list(values)?;
    let changed: Vec<Option<String>> = values.iter().map(|value| change(value)).collect();
    changed.iter().any(Option::is_some).then(|| {
        let whole = changed.into_iter().zip(values);
        list_of(
            &whole.map(|(new, old)| new.map_or(Cow::Borrowed(old), Cow::Owned)).collect::<Vec<_>>(),
        )
    })
}

fn output(items: &str) -> Option<String> {
    each(items, |item| {
        let item = Object::read(item)?;
        match item.word("type")?.as_ref() {
            "message" => message(&item),
            "reasoning" => filled(&item, &[("summary", "[]")]),
            _ => None,
        }
    })
}

fn message(item: &Object<'_>) -> Option<String> {
    let wanted = [("role", r#""assistant""#), ("status", r#""completed""#), ("content", "[]")];
    let part = |part: &str| {
        let part = Object::read(part)?;
        let text = part.word("type")? == "output_text";
        text.then(|| filled(&part, &[("annotations", "[]")])).flatten()
    };
    let content = item.get("content").and_then(|content| each(content, part));
    let Some(content) = content else { return filled(item, &wanted) };
    let item = item.with(&[("content", Some(&content))]);
    Object::read(&item).and_then(|item| filled(&item, &wanted)).or(Some(item))
}

/// All five members, where there is a usage at all.
fn usage(usage: &str) -> Option<String> {
    let usage = Object::read(usage)?;
    let count =
        |name: &str| usage.get(name).and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
    let total = count("input_tokens").saturating_add(count("output_tokens")).to_string();
    let details = |name: &str, member: &'static str| {
        let details = usage.get(name).and_then(Object::read);
        let whole =
            details.map(|details| filled(&details, &[(member, "0")]).unwrap_or(details.with(&[])));
        whole.unwrap_or(format!(r#"{{"{member}":0}}"#))
    };
    let input = details("input_tokens_details", "cached_tokens");
    let output = details("output_tokens_details", "reasoning_tokens");
    let mut changes =
        vec![("input_tokens_details", Some(&*input)), ("output_tokens_details", Some(&*output))];
    let numbers = [("input_tokens", "0"), ("output_tokens", "0"), ("total_tokens", &*total)];
    let missing = numbers.into_iter().filter(|(name, _)| lacks(&usage, name));
    changes.extend(missing.map(|(name, value)| (name, Some(value))));
    Some(usage.with(&changes))
}

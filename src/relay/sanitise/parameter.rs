//! Parameters that the backend refuses by name: which, and the request without them.
//!
//! What the backend takes changes without notice. It says which parameter it does not take, so a refusal
//! is learned from: the request is sent again without it, and later ones never hold it.

use serde_json::Value;

use super::object::{Object, is_object, list, list_of};

/// The longest name believed to be a parameter's.
const NAME_BYTES: usize = 120;

/// How deep in a request a parameter is looked for: the API's own stand five levels deep at most.
pub(super) const DEPTH: usize = 8;

/// Members that carry what the client wrote. Where one of these is refused, leaving it out would ask
/// something else.
const ESSENTIAL: [&str; 19] = [
    "model",
    "input",
    "instructions",
    "store",
    "stream",
    "tools",
    "messages",
    "type",
    "role",
    "content",
    "text",
    "image_url",
    "file_data",
    "call_id",
    "name",
    "arguments",
    "output",
    "parameters",
    "encrypted_content",
];

/// The parameter that a refusal names, as it names it: `temperature`, `tools.defer_loading`,
/// `input[487].namespace`. `None` for any other answer.
#[must_use]
pub fn unsupported_parameter(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let texts = ["/detail", "/detail/message", "/error/message", "/message"];
    let told = texts.iter().filter_map(|at| answer.pointer(at)?.as_str()).find_map(in_text);
    let coded = || {
        let error = answer.get("error")?;
        let code = error.get("code")?.as_str()?;
        let about = matches!(code, "unsupported_parameter" | "unknown_parameter");
        about.then(|| parameter(error.get("param")?.as_str()?)).flatten()
    };
    told.or_else(coded).map(str::to_owned)
}

fn in_text(text: &str) -> Option<&str> {
    let named = ["Unsupported parameter: ", "Unknown parameter: "];
    if let Some(rest) = named.iter().find_map(|named| text.strip_prefix(named)) {
        let quoted = rest.strip_prefix('\'').and_then(|rest| rest.split_once('\''));
        let word = || {
            rest.split_ascii_whitespace().next().map(|word| word.trim_end_matches(['.', ',', ';']))
        };
        return parameter(quoted.map(|(name, _)| name).or_else(word)?);
    }
    let (name, rest) = text.split_once(' ')?;
    rest.starts_with("is not supported on this model").then(|| parameter(name)).flatten()
}

/// A name fit to be remembered and put in a header.
fn parameter(name: &str) -> Option<&str> {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || b"_.[]-".contains(&byte);
    (!name.is_empty() && name.len() <= NAME_BYTES && name.bytes().all(fit)).then_some(name)
}

/// The request without a parameter; `None` where it does not hold it, or cannot do without it, and must
/// not be sent again. Of `input[487].namespace` every item's `namespace` goes: what one may not hold, none
/// may.
#[must_use]
pub fn without(body: &[u8], parameter: &str) -> Option<Vec<u8>> {
    let body = std::str::from_utf8(body).ok()?;
    remove(body, &path(parameter)?, DEPTH).map(String::into_bytes)
}

/// The names to go down by, without the places in lists; `None` for what must not be left out.
pub(super) fn path(parameter: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = parameter
        .split(['.', '['])
        .filter(|name| !name.is_empty() && !name.ends_with(']'))
        .collect();
    let last = names.last()?;
    let whole_element = parameter.ends_with(']');
    (names.len() <= DEPTH && !whole_element && !ESSENTIAL.contains(last)).then_some(names)
}

/// A value without the member at this path, looked for in every element of the lists on the way; `None`
/// where there is none.
pub(super) fn remove(value: &str, path: &[&str], depth: usize) -> Option<String> {
    let (first, rest) = path.split_first()?;
    if depth == 0 {
        return None;
    }
    if let Some(object) = Object::read(value) {
        let inner = object.get(first)?;
        let changed = if rest.is_empty() { None } else { Some(remove(inner, rest, depth - 1)?) };
        return Some(object.with(&[(first, changed.as_deref())]));
    }
    each(value, |element| remove(element, path, depth - 1))
}

/// A value without any member of this name, however deep (within reason); `None` where there is none.
pub(super) fn remove_everywhere(value: &str, name: &str, depth: usize) -> Option<String> {
    if depth == 0 || !has(value, name) {
        return None;
    }
    let Some(mut object) = Object::read(value) else {
        return each(value, |element| remove_everywhere(element, name, depth - 1));
    };
    let before = object.members().len();
    object.members_mut().retain(|(known, _)| known != name);
    let removed = object.members().len() < before;
    let inner: Vec<(String, String)> = object
        .members()
        .iter()
        .filter_map(|(at, value)| {
            Some((at.to_string(), remove_everywhere(value, name, depth - 1)?))
        })
        .collect();
    let changes: Vec<_> =
        inner.iter().map(|(at, value)| (at.as_str(), Some(value.as_str()))).collect();
    (removed || !changes.is_empty()).then(|| object.with(&changes))
}

/// Whether a value may hold this name.
pub(super) fn has(value: &str, name: &str) -> bool {
    memchr::memmem::find(value.as_bytes(), name.as_bytes()).is_some()
}

/// The list with each element as `change` has it; `None` where it changes none, or this is no list.
fn each(value: &str, change: impl Fn(&str) -> Option<String>) -> Option<String> {
    if is_object(value) || !value.trim_ascii_start().starts_with('[') {
        return None;
    }
    let elements = list(value)?;
    let changed: Vec<Option<String>> = elements.iter().map(|element| change(element)).collect();
    changed.iter().any(Option::is_some).then(|| {
        let whole = changed.into_iter().zip(elements);
        list_of(&whole.map(|(new, old)| new.unwrap_or_else(|| old.to_owned())).collect::<Vec<_>>())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_parameter() {
        for (body, name) in [
            (r#"{"detail":"Unsupported parameter: max_output_tokens"}"#, Some("max_output_tokens")),
            (
                r#"{"detail":"Unknown parameter: 'tools.defer_loading'"}"#,
                Some("tools.defer_loading"),
            ),
            (
                r#"{"error":{"message":"Unknown parameter: 'input[487].namespace'.","param":"x"}}"#,
                Some("input[487].namespace"),
            ),
            (
                r#"{"error":{"message":"Unsupported parameter: 'top_p' is not supported with this model."}}"#,
                Some("top_p"),
            ),
            (r#"{"error":{"message":"No.","code":"unknown_parameter","param":"n"}}"#, Some("n")),
            (
                r#"{"detail":"prompt_cache_breakpoint is not supported on this model"}"#,
                Some("prompt_cache_breakpoint"),
            ),
            (r#"{"error":{"message":"No.","code":"invalid_value","param":"n"}}"#, None),
            (
                r#"{"detail":"The 'gpt-5' model is not supported when using Codex with a ChatGPT account."}"#,
                None,
            ),
            (r#"{"detail":"Unsupported parameter: \r\nx: y"}"#, None),
            (r#"{"detail":"Store must be set to false"}"#, None),
            ("<html>", None),
            ("[]", None),
        ] {
            assert_eq!(unsupported_parameter(body.as_bytes()).as_deref(), name, "{body}");
        }
    }

    #[test]
    fn a_request_goes_again_only_where_it_changes() {
        for (body, parameter, left) in [
            (r#"{"a":1,"b":2}"#, "a", Some(r#"{"b":2}"#)),
            (r#"{"b":2}"#, "a", None),
            (
                r#"{"tools":[{"x":1,"y":2},{"y":3}]}"#,
                "tools.x",
                Some(r#"{"tools":[{"y":2},{"y":3}]}"#),
            ),
            (
                r#"{"input":[{"n":1},7,{"n":2,"m":3}]}"#,
                "input[2].n",
                Some(r#"{"input":[{},7,{"m":3}]}"#),
            ),
            (
                r#"{"input":[{"content":[{"b":{"c":1}}]}]}"#,
                "input[0].content[0].b.c",
                Some(r#"{"input":[{"content":[{"b":{}}]}]}"#),
            ),
            (r#"{"input":"x"}"#, "input[0].n", None),
            (r#"{"input":[{"content":"x"}]}"#, "input[0].content", None),
            (r#"{"input":[1]}"#, "input[0]", None),
            (r#"{"input":[1]}"#, "input", None),
            (r#"{"a":1}"#, "", None),
            ("nonsense", "a", None),
        ] {
            let left = left.map(|left| left.as_bytes().to_vec());
            assert_eq!(without(body.as_bytes(), parameter), left, "{parameter} of {body}");
        }
        assert_eq!(without(b"{\"a\":\"\xFF\"}", "a"), None);
    }

    #[test]
    fn a_name_is_found_at_any_sensible_depth() {
        let value = r#"[{"a":{"x":[1]},"x":2},"x",{"b":[[{"x":{}}]]}]"#;
        assert_eq!(remove_everywhere(value, "x", 9).unwrap(), r#"[{"a":{}},"x",{"b":[[{}]]}]"#);
        assert_eq!(remove_everywhere(r#"["x"]"#, "x", 9), None);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(remove_everywhere(&format!(r#"[{deep},"x"]"#), "x", 9), None);
        assert_eq!(remove(&deep, &["x"], DEPTH), None);
    }
}

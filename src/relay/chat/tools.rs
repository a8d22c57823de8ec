//! Tools and the choice among them. Chat Completions nests each under its type, Responses does not.

use super::json::{self, List, Members, Object};
use super::names::Names;
use super::path::Path;
use super::{Told, refuse};
use crate::relay::sanitise::Refusal;

/// What a function without parameters takes. The API refuses an object schema that has no `properties`.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

/// Writes the list of tools.
pub(super) fn put_tools(
    out: &mut Vec<u8>,
    tools: &str,
    names: &mut Names,
    told: &mut Told,
) -> Result<(), Refusal> {
    let tools = list(tools, "tools")?;
    out.push(b'[');
    for (at, raw) in tools.iter().enumerate() {
        let list = Path::of("tools");
        let path = list.at(at);
        let Some(tool) = json::read::<Members<'_>>(raw.get()) else {
            return Err(refuse(path, "invalid_type", "A tool is an object."));
        };
        let kind = tool.get("type").and_then(json::text).unwrap_or_default();
        json::put_comma(out);
        match kind.as_ref() {
            "function" => put_function(out, &inside(&tool, "function"), &path, names, told)?,
            "custom" => put_custom(out, &inside(&tool, "custom"), &path, names, told)?,
            // Left out by some clients, and clear from the rest.
            "" if tool.get("function").is_some() => {
                put_function(out, &inside(&tool, "function"), &path, names, told)?;
            }
            "" => {
                return Err(refuse(
                    path.member("type"),
                    "missing_required_parameter",
                    "Each tool needs a `type`.",
                ));
            }
            // The vendor's own tools are the same in both APIs.
            _ => out.extend_from_slice(raw.get().as_bytes()),
        }
        // What stands beside a nested definition: hints for other vendors, mostly.
        if tool.get(&kind).is_some() {
            let beside = tool.iter().filter(|(name, _)| *name != "type" && *name != kind);
            beside.for_each(|(name, _)| told.nested("tools[]", name));
        }
    }
    out.push(b']');
    Ok(())
}

/// `functions`, from before there were tools.
pub(super) fn put_functions(
    out: &mut Vec<u8>,
    functions: &str,
    names: &mut Names,
    told: &mut Told,
) -> Result<(), Refusal> {
    let functions = list(functions, "functions")?;
    out.push(b'[');
    for (at, function) in functions.iter().enumerate() {
        let function: Members<'_> = json::read(function.get()).unwrap_or_default();
        json::put_comma(out);
        put_function(out, &function, &Path::of("functions").at(at), names, told)?;
    }
    out.push(b']');
    Ok(())
}

fn list<'a>(json: &'a str, name: &str) -> Result<Vec<&'a serde_json::value::RawValue>, Refusal> {
    json::elements(json)
        .ok_or_else(|| refuse(name, "invalid_type", format!("`{name}` is a list of objects.")))
}

/// A definition, whether it is nested under its type or stands beside it.
fn inside<'a>(tool: &Members<'a>, kind: &str) -> Members<'a> {
    let nested = tool.get(kind).and_then(json::read);
    nested.unwrap_or_else(|| tool.clone())
}

/// A definition's name as it is to be sent.
fn name(definition: &Members<'_>, path: &Path<'_>, names: &mut Names) -> Result<String, Refusal> {
    let name = definition.get("name").and_then(json::text).filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(refuse(
            path.member("name"),
            "missing_required_parameter",
            "The tool has no `name`.",
        ));
    };
    Ok(names.sent(&name).into_owned())
}

fn tell_of_others(definition: &Members<'_>, known: &[&str], told: &mut Told) {
    for (name, _) in definition.iter().filter(|(name, _)| !known.contains(name)) {
        told.nested("tools[]", name);
    }
}

fn put_function(
    out: &mut Vec<u8>,
    function: &Members<'_>,
    path: &Path<'_>,
    names: &mut Names,
    told: &mut Told,
) -> Result<(), Refusal> {
    let name = name(function, path, names)?;
    let mut tool = Object::begin(out);
    tool.raw("type", r#""function""#).text("name", &name);
    tool.raw_if("description", function.get("description"));
    put_parameters(tool.member("parameters"), function.get("parameters"));
    // To be strict is what Responses does unless told, and Chat Completions does only when told.
    tool.raw("strict", function.get("strict").unwrap_or("false"));
    tool.end();
    tell_of_others(
        function,
        &["type", "name", "description", "parameters", "strict", "function"],
        told,
    );
    Ok(())
}

fn put_parameters(out: &mut Vec<u8>, parameters: Option<&str>) {
    let parameters = parameters.unwrap_or(NO_PARAMETERS);
    let Some(schema) = json::read::<Members<'_>>(parameters) else {
        return out.extend_from_slice(parameters.as_bytes());
    };
    let kind = schema.get("type").and_then(json::text);
    if schema.iter().next().is_none() {
        return out.extend_from_slice(NO_PARAMETERS.as_bytes());
    }
    if kind.as_deref() != Some("object") || schema.get("properties").is_some() {
        return out.extend_from_slice(parameters.as_bytes());
    }
    let mut whole = Object::begin(out);
    for (name, value) in schema.iter().filter(|(name, _)| *name != "properties") {
        whole.foreign(name, value);
    }
    whole.raw("properties", "{}");
    whole.end();
}

fn put_custom(
    out: &mut Vec<u8>,
    custom: &Members<'_>,
    path: &Path<'_>,
    names: &mut Names,
    told: &mut Told,
) -> Result<(), Refusal> {
    let name = name(custom, path, names)?;
    let mut tool = Object::begin(out);
    tool.raw("type", r#""custom""#).text("name", &name);
    tool.raw_if("description", custom.get("description"));
    if let Some(format) = custom.get("format") {
        let known = json::read::<Members<'_>>(format);
        match known.as_ref().and_then(|format| format.get("grammar")).and_then(json::read) {
            Some(grammar) => put_grammar(tool.member("format"), &grammar),
            None => tool.member("format").extend_from_slice(format.as_bytes()),
        }
    }
    tool.end();
    tell_of_others(custom, &["type", "name", "description", "format", "custom"], told);
    Ok(())
}

fn put_grammar(out: &mut Vec<u8>, grammar: &Members<'_>) {
    let mut format = Object::begin(out);
    format.raw("type", r#""grammar""#).raw_if("syntax", grammar.get("syntax"));
    format.raw_if("definition", grammar.get("definition"));
    format.end();
}

/// Writes `tool_choice` in each of its forms.
pub(super) fn put_choice(
    out: &mut Vec<u8>,
    choice: &str,
    names: &mut Names,
) -> Result<(), Refusal> {
    if let Some(word) = json::text(choice) {
        if !["auto", "none", "required"].contains(&word.as_ref()) {
            return Err(refuse(
                "tool_choice",
                "invalid_value",
                "`tool_choice` is auto, none, required, or names a tool.",
            ));
        }
        out.extend_from_slice(choice.as_bytes());
        return Ok(());
    }
    let Some(form) = json::read::<Members<'_>>(choice) else {
        return Err(refuse("tool_choice", "invalid_type", "`tool_choice` is a word or an object."));
    };
    let kind = form.get("type").and_then(json::text).unwrap_or_default();
    match kind.as_ref() {
        "function" | "custom" => put_named(out, &kind, &form, &Path::of("tool_choice"), names),
        "allowed_tools" => put_allowed(out, &inside(&form, "allowed_tools"), names),
        "" => Err(refuse(
            "tool_choice.type",
            "missing_required_parameter",
            "`tool_choice` as an object needs a `type`.",
        )),
        _ => {
            out.extend_from_slice(choice.as_bytes());
            Ok(())
        }
    }
}

fn put_named(
    out: &mut Vec<u8>,
    kind: &str,
    form: &Members<'_>,
    path: &Path<'_>,
    names: &mut Names,
) -> Result<(), Refusal> {
    let name = name(&inside(form, kind), &path.member(kind), names)?;
    let mut choice = Object::begin(out);
    choice.text("type", kind).text("name", &name);
    choice.end();
    Ok(())
}

fn put_allowed(out: &mut Vec<u8>, allowed: &Members<'_>, names: &mut Names) -> Result<(), Refusal> {
    let path = Path::of("tool_choice.allowed_tools.tools");
    let Some(List(tools)) = allowed.get("tools").and_then(json::read::<List<Members<'_>>>) else {
        return Err(refuse(path, "invalid_type", "The allowed tools are a list of objects."));
    };
    let mut choice = Object::begin(out);
    choice.raw("type", r#""allowed_tools""#);
    choice.raw("mode", allowed.get("mode").unwrap_or(r#""auto""#));
    let list = choice.member("tools");
    list.push(b'[');
    for (at, tool) in tools.iter().enumerate() {
        json::put_comma(list);
        let kind = tool.get("type").and_then(json::text).unwrap_or_default();
        match kind.as_ref() {
            "function" | "custom" => put_named(list, &kind, tool, &path.at(at), names)?,
            _ => {
                let mut other = Object::begin(list);
                tool.iter().for_each(|(name, value)| other.foreign(name, value));
                other.end();
            }
        }
    }
    list.push(b']');
    choice.end();
    Ok(())
}

/// Writes `function_call`, from before there were tools: a word, or `{"name"}`.
pub(super) fn put_legacy_choice(
    out: &mut Vec<u8>,
    choice: &str,
    names: &mut Names,
) -> Result<(), Refusal> {
    match json::read::<Members<'_>>(choice) {
        Some(form) => put_named(out, "function", &form, &Path::of("function_call"), names),
        None if [r#""auto""#, r#""none""#].contains(&choice) => {
            out.extend_from_slice(choice.as_bytes());
            Ok(())
        }
        None => Err(refuse(
            "function_call",
            "invalid_value",
            "`function_call` is auto, none, or names a function.",
        )),
    }
}

//! What a message is made of: text, images, files, refusals.

use super::json::{self, Members, Object};
use super::path::Path;
use super::{Told, refuse};
use crate::relay::sanitise::Refusal;

/// One part of a message's content, as far as it can be carried.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part<'a> {
    /// A JSON string.
    Text(&'a str),
    /// A JSON string: what the model declined with.
    Refusal(&'a str),
    Image {
        url: &'a str,
        detail: Option<&'a str>,
    },
    File {
        data: &'a str,
        name: Option<&'a str>,
    },
}

impl<'a> Part<'a> {
    pub(super) fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Writes it as part of something that the model reads.
    pub(super) fn put_input(self, out: &mut Vec<u8>) {
        json::put_comma(out);
        let mut part = Object::begin(out);
        match self {
            Self::Text(text) | Self::Refusal(text) => {
                part.raw("type", r#""input_text""#).raw("text", text);
            }
            Self::Image { url, detail } => {
                part.raw("type", r#""input_image""#).raw("image_url", url).raw_if("detail", detail);
            }
            Self::File { data, name } => {
                part.raw("type", r#""input_file""#).raw_if("filename", name).raw("file_data", data);
            }
        }
        part.end();
    }

    /// Writes it as part of what the model said, which is text: images and files were refused before.
    pub(super) fn put_output(self, out: &mut Vec<u8>) {
        json::put_comma(out);
        let mut part = Object::begin(out);
        match self {
            Self::Refusal(text) => part.raw("type", r#""refusal""#).raw("refusal", text),
            Self::Text(text) | Self::Image { url: text, .. } | Self::File { data: text, .. } => {
                part.raw("type", r#""output_text""#).raw("text", text)
            }
        };
        part.end();
    }
}

/// The parts of a message's content, which is a string or a list. `path` is where it stands; what the model
/// itself `said` is text only.
pub(super) fn read<'a>(
    content: &'a str,
    said: bool,
    path: &Path<'_>,
    told: &mut Told,
) -> Result<Vec<Part<'a>>, Refusal> {
    if json::is_string(content) {
        return Ok(vec![Part::Text(content)]);
    }
    let Some(json::List(parts)) = json::read::<json::List<Members<'a>>>(content) else {
        return Err(refuse(
            path,
            "invalid_type",
            "A message's content is a string or a list of parts.",
        ));
    };
    let mut read = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let path = path.at(at);
        let part = one(part, &path, told)?;
        if said && matches!(part, Some(Part::Image { .. } | Part::File { .. })) {
            return Err(refuse(
                path.member("type"),
                "invalid_value",
                "Of the assistant only text and refusals can be carried: send images and files as the user.",
            ));
        }
        read.extend(part);
    }
    Ok(read)
}

/// Nothing for a part that only shows what the model thought: it could not take it back in this form.
fn one<'a>(
    part: &Members<'a>,
    path: &Path<'_>,
    told: &mut Told,
) -> Result<Option<Part<'a>>, Refusal> {
    let kind = part.get("type").and_then(json::text).unwrap_or_default();
    let (part_read, known) = match kind.as_ref() {
        // The words of the Responses API are met in chat requests often enough.
        "text" | "input_text" | "output_text" => {
            (Part::Text(string(part, "text", path)?), ["text", "annotations", "logprobs"])
        }
        "refusal" => (Part::Refusal(string(part, "refusal", path)?), ["refusal", "", ""]),
        "image_url" | "input_image" => (image(part, path)?, ["image_url", "detail", ""]),
        "file" | "input_file" => (file(part, path)?, ["file", "filename", "file_data"]),
        "thinking" | "redacted_thinking" | "reasoning" => return Ok(None),
        "input_audio" => {
            return Err(refuse(
                path.member("type"),
                "unsupported_value",
                "Audio is not supported here: send text, images or files.",
            ));
        }
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(refuse(
                path.member("type"),
                "invalid_value",
                format!(
                    "A part of type `{other}` cannot be carried: send text, image_url or file."
                ),
            ));
        }
    };
    for (name, _) in part.iter() {
        if name != "type" && !known.contains(&name) {
            told.nested("messages[].content[]", name);
        }
    }
    Ok(Some(part_read))
}

fn string<'a>(part: &Members<'a>, name: &str, path: &Path<'_>) -> Result<&'a str, Refusal> {
    part.get(name).filter(|text| json::is_string(text)).ok_or_else(|| {
        let code =
            if part.get(name).is_some() { "invalid_type" } else { "missing_required_parameter" };
        refuse(path.member(name), code, format!("`{name}` must be given as a string."))
    })
}

/// `{"image_url": {"url", "detail"}}`, or the URL itself, as the Responses API has it.
fn image<'a>(part: &Members<'a>, path: &Path<'_>) -> Result<Part<'a>, Refusal> {
    let given = part.get("image_url").unwrap_or_default();
    if json::is_string(given) {
        return Ok(Part::Image { url: given, detail: part.get("detail") });
    }
    let Some(given) = json::read::<Members<'a>>(given) else {
        return Err(refuse(
            path.member("image_url"),
            "missing_required_parameter",
            "An image is given as `image_url: {url}`: an address or a data URL.",
        ));
    };
    let url = string(&given, "url", &path.member("image_url"))?;
    Ok(Part::Image { url, detail: given.get("detail") })
}

/// `{"file": {"file_data", "filename"}}`, or both beside the type, as the Responses API has them.
fn file<'a>(part: &Members<'a>, path: &Path<'_>) -> Result<Part<'a>, Refusal> {
    let nested = part.get("file").and_then(json::read::<Members<'a>>);
    let (file, path) = match &nested {
        Some(file) => (file, path.member("file")),
        None => (part, *path),
    };
    if file.get("file_id").is_some() {
        return Err(refuse(
            path.member("file_id"),
            "unsupported_value",
            "Files kept by the API are not reachable with this login: send the file itself as `file_data`.",
        ));
    }
    let data = string(file, "file_data", &path)?;
    Ok(Part::File { data, name: file.get("filename") })
}

//! The envelope of JSON-RPC 2.0: what a line asks for, and how an answer to it is written. Pure.
//!
//! The envelope is taken apart without building a tree, so that a body of a megabyte is looked at
//! once and passed on as it came, and ids are kept as the bytes that were sent: a client that sends
//! `1.0` or `"\u0061"` gets exactly that back.

mod write;

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{Kind, RpcError};

pub use write::{begin_result, end_result, write_call, write_error, write_notification};

/// Calls in one batch at most: enough for anything sensible, and a bound on what one line can set off.
pub const MAX_BATCH: usize = 1000;

/// What one line holds.
#[derive(Debug)]
pub enum Message<'a> {
    /// One request.
    Single(Result<Call<'a>, Invalid<'a>>),
    /// Several, each still to be looked at with [`call`]; never empty, at most [`MAX_BATCH`].
    Batch(Vec<&'a RawValue>),
}

/// A well-formed request.
#[derive(Debug)]
pub struct Call<'a> {
    /// The id as it was sent, `null` included; `None` for a notification, which is never answered.
    pub id: Option<&'a RawValue>,
    /// The method's name.
    pub method: Cow<'a, str>,
    /// An object or an array, as it was sent.
    pub params: Option<&'a RawValue>,
}

impl Call<'_> {
    /// The refusal due to parameters given as a list: methods here know theirs by name only.
    #[must_use]
    pub fn positional(&self) -> Option<RpcError> {
        let list = self.params.is_some_and(|params| params.get().starts_with('['));
        list.then(|| {
            RpcError::new(Kind::InvalidParams, "Parameters go by name: send an object, not a list.")
        })
    }
}

/// A request that is none, and what to answer.
#[derive(Debug)]
pub struct Invalid<'a> {
    /// The id, where one could be made out; else the answer carries `null`.
    pub id: Option<&'a RawValue>,
    /// Why.
    pub error: RpcError,
}

/// The members of an envelope, none of them judged yet. Members not named here are ignored, those
/// named here may come once only.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Keeps `null` apart from absence, which an `Option` alone would not.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Takes a line apart.
///
/// # Errors
/// Where nothing in the line can be answered by itself: it is not UTF-8 or not JSON (-32700), or an
/// empty or overlong batch (-32600). The answer's id is `null`.
pub fn parse(line: &[u8]) -> Result<Message<'_>, RpcError> {
    let text = std::str::from_utf8(line).map_err(|e| {
        RpcError::new(
            Kind::ParseError,
            format!("The line is not UTF-8 (at byte {}).", e.valid_up_to()),
        )
    })?;
    if let Some(call) = usual(text) {
        return Ok(Message::Single(Ok(call)));
    }
    if text.trim_ascii_start().starts_with('[') {
        return batch(text).map(Message::Batch);
    }
    match members(text) {
        Ok(members) => Ok(Message::Single(judge(&members))),
        Err(error) if error.kind() == Kind::ParseError => Err(error),
        Err(error) => Ok(Message::Single(Err(Invalid { id: None, error }))),
    }
}

/// Judges one element of a batch.
///
/// # Errors
/// The refusal to answer with, where it is no request.
pub fn call(element: &RawValue) -> Result<Call<'_>, Invalid<'_>> {
    match members(element.get()) {
        Ok(members) => judge(&members),
        Err(error) => Err(Invalid { id: None, error }),
    }
}

/// The call in a line written as nearly every client writes it: the members in their usual order, no
/// white space between them, a plain number for an id. Looking for just that costs a third of taking
/// any envelope apart; whatever differs in the least goes the long way and comes to the same.
fn usual(text: &str) -> Option<Call<'_>> {
    let rest = text.strip_prefix(r#"{"jsonrpc":"2.0","id":"#)?;
    let (id, rest) = rest.split_once(',')?;
    let plain = !id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit());
    let rest = rest.strip_prefix(r#""method":""#)?;
    let (method, rest) = rest.split_once('"')?;
    if !plain || !method.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.') {
        return None;
    }
    let params = rest.strip_prefix(r#","params":"#)?.strip_suffix('}')?;
    if !params.starts_with('{') {
        return None;
    }
    let (id, params) = (serde_json::from_str(id).ok()?, serde_json::from_str(params).ok()?);
    Some(Call { id: Some(id), method: Cow::Borrowed(method), params: Some(params) })
}

fn members(text: &str) -> Result<Members<'_>, RpcError> {
    if text.trim_ascii_start().starts_with('{') {
        match serde_json::from_str(text) {
            Ok(members) => return Ok(members),
            // A repeated member stops the reading early, so the rest of the line is yet to be checked.
            Err(e) if e.is_data() => {
                serde_json::from_str::<IgnoredAny>(text).map_err(|e| not_json(&e))?;
                return Err(RpcError::new(
                    Kind::InvalidRequest,
                    format!("Not a request: {}.", told(&e)),
                ));
            }
            Err(e) => return Err(not_json(&e)),
        }
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|e| not_json(&e))?;
    Err(invalid_request("a request is an object"))
}

fn judge<'a>(members: &Members<'a>) -> Result<Call<'a>, Invalid<'a>> {
    let id = match members.id {
        Some(id) if !matches!(id.get().as_bytes()[0], b'"' | b'-' | b'0'..=b'9' | b'n') => {
            return Err(Invalid {
                id: None,
                error: invalid_request("`id` is a string, a number or null"),
            });
        }
        id => id,
    };
    let refuse = |why: &str| Err(Invalid { id, error: invalid_request(why) });
    if members.jsonrpc.and_then(string).as_deref() != Some("2.0") {
        return refuse("`jsonrpc` must be \"2.0\"");
    }
    let Some(method) = members.method.and_then(string) else {
        return refuse("`method` must be a string");
    };
    if members.params.is_some_and(|params| !params.get().starts_with(['{', '['])) {
        return refuse("`params` must be an object");
    }
    Ok(Call { id, method, params: members.params })
}

/// The elements of a batch, unjudged.
struct Elements<'a>(Vec<&'a RawValue>, bool);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded;
        impl<'de> Visitor<'de> for Bounded {
            type Value = Elements<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a batch")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < MAX_BATCH {
                    match seq.next_element()? {
                        Some(element) => elements.push(element),
                        None => return Ok(Elements(elements, false)),
                    }
                }
                // The rest is only read through, so that what is not JSON is still told as such.
                let mut more = false;
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    more = true;
                }
                Ok(Elements(elements, more))
            }
        }
        deserializer.deserialize_seq(Bounded)
    }
}

fn batch(text: &str) -> Result<Vec<&RawValue>, RpcError> {
    let Elements(elements, more) = serde_json::from_str(text).map_err(|e| not_json(&e))?;
    if more {
        return Err(invalid_request(&format!("a batch holds at most {MAX_BATCH} requests")));
    }
    if elements.is_empty() {
        return Err(invalid_request("a batch holds at least one request"));
    }
    Ok(elements)
}

/// The characters of a JSON string; nothing where `raw` is something else.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// By what an id is told from others: equal strings are one id however they were escaped.
#[must_use]
pub fn id_key(id: &RawValue) -> Cow<'_, str> {
    match string(id) {
        // The quote keeps the string "1" apart from the number 1.
        Some(Cow::Owned(text)) => Cow::Owned(format!("\"{text}\"")),
        _ => Cow::Borrowed(id.get()),
    }
}

fn invalid_request(why: &str) -> RpcError {
    RpcError::new(Kind::InvalidRequest, format!("Not a request: {why}."))
}

fn not_json(e: &serde_json::Error) -> RpcError {
    RpcError::new(Kind::ParseError, format!("The line is not JSON: {}.", told(e)))
}

/// serde_json's words less the line number, which is always 1 here.
fn told(e: &serde_json::Error) -> String {
    format!("{}, at byte {}", words(e), e.column())
}

/// serde_json's words alone.
fn words(e: &serde_json::Error) -> String {
    let text = e.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A call's parameters as the type of its method; none at all count as an empty object.
///
/// # Errors
/// -32602 with what does not fit, an unknown name for instance.
pub fn named<'a, T: Deserialize<'a>>(params: Option<&'a RawValue>) -> Result<T, RpcError> {
    serde_json::from_str(params.map_or("{}", RawValue::get)).map_err(|e| {
        RpcError::new(Kind::InvalidParams, format!("The parameters do not fit: {}.", words(&e)))
    })
}

/// What a client reads.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// The answer to a call.
    Answer {
        /// The id, as it came.
        id: &'a RawValue,
        /// What came of it.
        outcome: Result<&'a RawValue, RpcError>,
    },
    /// Something that happened.
    Notification {
        /// What.
        method: Cow<'a, str>,
        /// The particulars.
        params: Option<&'a RawValue>,
    },
}

/// Takes apart a line that a server sent.
///
/// # Errors
/// With what is wrong about it.
pub fn incoming(line: &str) -> Result<Incoming<'_>, String> {
    let members: Members<'_> = serde_json::from_str(line).map_err(|e| told(&e))?;
    if let (None, Some(method)) = (members.id, members.method.and_then(string)) {
        return Ok(Incoming::Notification { method, params: members.params });
    }
    let id = members.id.ok_or("neither `id` nor `method`")?;
    let outcome = match (members.result, members.error) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => Err(serde_json::from_str(error.get()).map_err(|e| told(&e))?),
        _ => return Err("not exactly one of `result` and `error`".to_owned()),
    };
    Ok(Incoming::Answer { id, outcome })
}

#[cfg(test)]
mod tests;

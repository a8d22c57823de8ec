//! A whole answer as one chat completion.

use super::Asked;
use super::answer::{self, Item, Response, Speech};
use super::json::{self, Object};

/// Turns a final Response object, its output filled in, into a `ChatCompletion`.
///
/// # Errors
/// Where `response` is not a JSON object.
pub fn completion(response: &str, asked: &Asked) -> Result<Vec<u8>, serde_json::Error> {
    let response: Response<'_> = serde_json::from_str(response)?;
    let items = response.items();
    let called = items.iter().any(|item| item.call().is_some());
    let called = called.then_some(if asked.legacy { "function_call" } else { "tool_calls" });
    let mut out = Vec::with_capacity(1024);
    let mut object = Object::begin(&mut out);
    response.put_head(&mut object, "chat.completion", &asked.model);
    let choices = object.member("choices");
    choices.push(b'[');
    let mut choice = Object::begin(choices);
    choice.raw("index", "0");
    put_message(choice.member("message"), &items, asked);
    choice.raw("logprobs", "null").text("finish_reason", response.finish_reason(called));
    choice.end();
    choices.push(b']');
    if let Some(usage) = response.usage {
        answer::put_usage(object.member("usage"), usage.get());
    }
    object.raw_if(
        "service_tier",
        answer::raw(response.service_tier).filter(|tier| json::is_string(tier)),
    );
    object.end();
    Ok(out)
}

fn put_message(out: &mut Vec<u8>, items: &[Item<'_>], asked: &Asked) {
    let all = |speech| -> Vec<&str> {
        items.iter().flat_map(|item| item.said(speech)).map(|(_, text)| text).collect()
    };
    let (texts, refusals) = (all(Speech::Text), all(Speech::Refusal));
    let thoughts = all(Speech::Thought);
    let calls: Vec<&Item<'_>> = items.iter().filter(|item| item.call().is_some()).collect();

    let mut message = Object::begin(out);
    message.raw("role", r#""assistant""#);
    let silent = texts.iter().all(|text| *text == r#""""#);
    if texts.is_empty() || (silent && !calls.is_empty()) {
        message.raw("content", "null");
    } else {
        json::put_joined(message.member("content"), texts, "");
    }
    if refusals.is_empty() {
        message.raw("refusal", "null");
    } else {
        json::put_joined(message.member("refusal"), refusals, "");
    }
    if !thoughts.is_empty() {
        json::put_joined(message.member("reasoning_content"), thoughts, "\\n\\n");
    }
    let encrypted =
        |item: &&Item<'_>| item.kind() == "reasoning" && item.encrypted_content.is_some();
    let kept: Vec<&Item<'_>> = items.iter().filter(encrypted).collect();
    if !kept.is_empty() {
        put_list(message.member("reasoning_items"), &kept, |item, out| item.put_thought(out));
    }
    match calls.first() {
        Some(call) if asked.legacy => {
            let out = message.member("function_call");
            call.put_called(out, "arguments", call.arguments().unwrap_or(r#""""#), &asked.names);
        }
        Some(_) => put_list(message.member("tool_calls"), &calls, |call, out| {
            call.put_call(out, None, call.arguments().unwrap_or(r#""""#), &asked.names);
        }),
        None => {}
    }
    message.end();
}

fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&T, &mut Vec<u8>)) {
    out.push(b'[');
    for item in items {
        json::put_comma(out);
        put(item, out);
    }
    out.push(b']');
}

//! One event of a stream, read without copying.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::answer::{self, Item, Response};
use super::super::json;
use super::items::Which;

/// The members of any event that are of use, none of them judged yet.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    #[serde(borrow)]
    item_id: Option<&'a RawValue>,
    #[serde(borrow)]
    output_index: Option<&'a RawValue>,
    #[serde(borrow)]
    summary_index: Option<&'a RawValue>,
    #[serde(borrow)]
    content_index: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    pub(super) fn which(&self) -> Which<'a> {
        Which {
            index: answer::raw(self.output_index).and_then(|index| index.parse().ok()),
            id: answer::raw(self.item_id).and_then(json::inner),
        }
    }

    /// Which part of its item it is about, as far as it says.
    pub(super) fn part(&self) -> Option<u64> {
        answer::raw(self.summary_index.or(self.content_index)).and_then(|part| part.parse().ok())
    }

    pub(super) fn response(&self) -> Response<'a> {
        answer::raw(self.response).and_then(json::read).unwrap_or_default()
    }

    pub(super) fn item(&self) -> Item<'a> {
        answer::raw(self.item).and_then(json::read).unwrap_or_default()
    }
}

/// Something to tell: a JSON string, unless it is none or empty.
pub(super) fn words(value: Option<&RawValue>) -> Option<&str> {
    answer::raw(value).filter(|text| json::is_string(text) && *text != r#""""#)
}

//! What the events of a stream say of it: whether an answer has begun, how it ended, what it cost.
//!
//! The API tells its failures within a stream that began with 200, and its limits between two words of an
//! answer. Whoever carries the stream has to know both without reading the words, so events are told
//! apart by their names, and only the few that say something of the stream are read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// The longest piece of an event kept as it came, for a log or an answer: the API's own are far shorter.
const RAW_BYTES: usize = 64 * 1024;

/// What is known of a stream so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// An answer has begun: an event was seen that is neither of the handshake nor a failure. Until then
    /// nothing is lost by answering with a status of one's own, or by asking again.
    pub content: bool,
    /// How many events of the handshake were seen: those that tell of the request, and not of its answer.
    pub handshakes: usize,
    /// How the stream ended, where it has said so; one that just stops was cut off.
    pub end: Option<End>,
    /// What the answer cost.
    pub tokens: Option<Tokens>,
    /// The data of the last `codex.rate_limits` event.
    pub limits: Option<Box<RawValue>>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// `response.completed`.
    Completed,
    /// `response.incomplete`: cut short, by a limit of tokens or a filter.
    Incomplete,
    /// `response.failed`.
    Failed(Failed),
    /// An `error` event.
    Error(Failed),
}

/// Why a stream failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// `error.code`, such as `rate_limit_exceeded`.
    pub code: Option<String>,
    /// `error.type`, such as `usage_limit_reached`.
    pub kind: Option<String>,
    /// What the API says of it.
    pub message: String,
    /// The event's data as it came, its end cut off where it is over 64 KiB.
    pub raw: String,
}

/// Tokens used, by the `usage` of the final object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model.
    pub input: u64,
    /// Those of them that its cache held.
    pub cached: u64,
    /// Written by the model.
    pub output: u64,
    /// Those of them spent on reasoning.
    pub reasoning: u64,
}

/// What an event is to whoever carries the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relay) enum Kind {
    /// A piece of the answer, of no further interest.
    Content,
    /// Of the request, or a sign of life.
    Handshake,
    /// One item of the output, whole.
    Item,
    /// One text of the output, whole.
    Text,
    /// The limits as they stand.
    Limits,
    /// The final object of an answer that is whole, or that was cut short.
    Final {
        /// Whether it is whole.
        whole: bool,
    },
    /// `response.failed`
    Failed,
    /// `error`
    Error,
}

impl Kind {
    /// By an event's name, which is its data's `type` too.
    pub(in crate::relay) fn of(name: &[u8]) -> Self {
        match name {
            // First, as nearly all are such.
            [.., b'.', b'd', b'e', b'l', b't', b'a'] => Self::Content,
            b"response.output_item.done" => Self::Item,
            b"response.output_text.done" => Self::Text,
            b"response.completed" => Self::Final { whole: true },
            b"response.incomplete" => Self::Final { whole: false },
            b"response.failed" => Self::Failed,
            b"error" => Self::Error,
            b"codex.rate_limits" => Self::Limits,
            b"response.created" | b"response.in_progress" | b"response.queued" | b"keepalive" => {
                Self::Handshake
            }
            name if name.starts_with(b"codex.") || name.ends_with(b".metadata") => Self::Handshake,
            _ => Self::Content,
        }
    }

    /// By the data of an event without a name.
    pub(in crate::relay) fn of_data(data: &str) -> Self {
        #[derive(Deserialize)]
        struct Typed<'a> {
            #[serde(borrow, rename = "type")]
            kind: Option<Cow<'a, str>>,
            #[serde(borrow)]
            error: Option<&'a RawValue>,
        }
        match serde_json::from_str::<Typed<'_>>(data) {
            Ok(Typed { kind: Some(kind), .. }) => Self::of(kind.as_bytes()),
            // Gateways before the API say no more than this.
            Ok(Typed { error: Some(_), .. }) => Self::Error,
            _ => Self::Content,
        }
    }

    /// Whether the data of such an event is read.
    pub(in crate::relay) fn is_read(self) -> bool {
        !matches!(self, Self::Content | Self::Handshake)
    }
}

impl Seen {
    /// An event of this kind has begun.
    pub(in crate::relay) fn begun(&mut self, kind: Kind) {
        match kind {
            Kind::Handshake | Kind::Limits => self.handshakes += 1,
            Kind::Failed | Kind::Error => {}
            Kind::Content | Kind::Item | Kind::Text | Kind::Final { .. } => self.content = true,
        }
    }

    /// An event of this kind is here, whole.
    pub(in crate::relay) fn whole(&mut self, kind: Kind, data: &str) {
        match kind {
            Kind::Limits if data.len() <= RAW_BYTES => {
                self.limits = serde_json::from_str(data).ok().or(self.limits.take());
            }
            Kind::Final { whole } => {
                self.ended(if whole { End::Completed } else { End::Incomplete })
            }
            Kind::Failed => self.ended(End::Failed(Failed::read(data))),
            Kind::Error => self.ended(End::Error(Failed::read(data))),
            _ => return,
        }
        if let Kind::Final { .. } | Kind::Failed = kind
            && self.tokens.is_none()
        {
            self.tokens = Tokens::read(data);
        }
    }

    /// The first end counts: what follows it, if anything, only repeats it.
    fn ended(&mut self, end: End) {
        self.end.get_or_insert(end);
    }
}

impl Failed {
    /// Reads what a failure says of itself, in any of its forms: `error` within `response`, an `error`
    /// of its own, or code and message right in the event.
    fn read(data: &str) -> Self {
        let event: Value = serde_json::from_str(data).unwrap_or_default();
        let mut places = ["/error", "/response/error"].iter().filter_map(|at| event.pointer(at));
        let told = places.find(|told| told.is_object());
        let own = ["message", "detail", "error"].iter().find_map(|name| word(&event[*name]));
        let (code, kind, message) = match told {
            Some(told) => (word(&told["code"]), word(&told["type"]), word(&told["message"])),
            None => (word(&event["code"]), None, own),
        };
        Self {
            code,
            kind,
            message: message.unwrap_or_else(|| "The API failed without saying why.".into()),
            raw: data[..data.floor_char_boundary(RAW_BYTES)].to_owned(),
        }
    }
}

/// A string or a number as text: codes come as either.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(word) if !word.is_empty() => Some(word.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Tokens {
    /// Reads `response.usage`.
    fn read(data: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Event<'a> {
            #[serde(borrow)]
            response: Within<'a>,
        }
        #[derive(Deserialize)]
        struct Within<'a> {
            // Read by itself, so that a number that is none spoils nothing else.
            #[serde(borrow)]
            usage: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Usage {
            #[serde(default)]
            input_tokens: u64,
            #[serde(default)]
            output_tokens: u64,
            input_tokens_details: Option<Cached>,
            output_tokens_details: Option<Reasoned>,
        }
        #[derive(Deserialize)]
        struct Cached {
            cached_tokens: Option<u64>,
        }
        #[derive(Deserialize)]
        struct Reasoned {
            reasoning_tokens: Option<u64>,
        }
        let usage = serde_json::from_str::<Event<'_>>(data).ok()?.response.usage?;
        let usage: Usage = serde_json::from_str(usage.get()).ok()?;
        Some(Self {
            input: usage.input_tokens,
            cached: usage.input_tokens_details.and_then(|d| d.cached_tokens).unwrap_or(0),
            output: usage.output_tokens,
            reasoning: usage.output_tokens_details.and_then(|d| d.reasoning_tokens).unwrap_or(0),
        })
    }
}

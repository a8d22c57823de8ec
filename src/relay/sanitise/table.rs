//! The parameters of the Responses API that the Codex backend does not take, and what becomes of each.
//!
//! A table, because it is data: who meets a new refusal adds a line with its source. Members that are
//! not here pass through; a refusal teaches what is missing (see [`super::unsupported_parameter`]).

/// What becomes of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Left out, and the client told.
    Drop,
    /// Left out and told, but for requests of the Codex CLI, which knows what its own backend takes.
    DropForeign,
    /// Left out where it is `false`; refused, with this sentence, where it asks for something.
    Refuse(&'static str),
}

/// A parameter, what becomes of it, and who found that out.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) does: Does,
    /// A public issue thread or source; for whoever doubts it.
    #[allow(dead_code, reason = "for readers of the table")]
    pub(super) source: &'static str,
}

const fn row(name: &'static str, does: Does, source: &'static str) -> Row {
    Row { name, does, source }
}

const SAMPLING: &str = "QwenLM/qwen-code #1106; RayBytes/ChatMock #103";
const CPA: &str = "router-for-me/CLIProxyAPI #897, #1647, #2608";
const KEPT_NOWHERE: &str = "Wei-Shaw/claude-relay-service #323, #327";
const LITELLM: &str = "BerriAI/litellm, chatgpt provider";

/// All of them.
pub(super) const TABLE: &[Row] = &[
    row("max_output_tokens", Does::Drop, SAMPLING),
    row("max_completion_tokens", Does::Drop, CPA),
    row("max_tokens", Does::Drop, CPA),
    row("temperature", Does::Drop, SAMPLING),
    row("top_p", Does::Drop, SAMPLING),
    row("frequency_penalty", Does::Drop, LITELLM),
    row("presence_penalty", Does::Drop, LITELLM),
    row("logit_bias", Does::Drop, LITELLM),
    row("seed", Does::Drop, LITELLM),
    row("stop", Does::Drop, LITELLM),
    row("logprobs", Does::Drop, LITELLM),
    row("top_logprobs", Does::Drop, LITELLM),
    row("n", Does::Drop, LITELLM),
    row("user", Does::Drop, CPA),
    row("metadata", Does::Drop, LITELLM),
    row("safety_identifier", Does::Drop, CPA),
    row("truncation", Does::Drop, CPA),
    row("context_management", Does::DropForeign, CPA),
    row("prompt_cache_retention", Does::Drop, "Wei-Shaw/sub2api #589"),
    row("prompt_cache_options", Does::DropForeign, CPA),
    row("prompt_cache_breakpoint", Does::DropForeign, CPA),
    row("stream_options", Does::DropForeign, CPA),
    row("max_tool_calls", Does::DropForeign, LITELLM),
    row("response_format", Does::Drop, CPA),
    row("generate", Does::DropForeign, CPA),
    row(
        "previous_response_id",
        Does::Refuse(
            "The subscription's backend keeps no responses: send the whole conversation in `input` instead of `previous_response_id`.",
        ),
        KEPT_NOWHERE,
    ),
    row(
        "conversation",
        Does::Refuse(
            "The subscription's backend keeps no conversations: send the whole conversation in `input`.",
        ),
        KEPT_NOWHERE,
    ),
    row(
        "background",
        Does::Refuse(
            "The subscription's backend does nothing in the background: send the request without `background`.",
        ),
        KEPT_NOWHERE,
    ),
    row(
        "prompt",
        Does::Refuse(
            "The subscription's backend knows no stored prompts: send the text in `instructions` and `input`.",
        ),
        KEPT_NOWHERE,
    ),
];

/// What becomes of a parameter in a request, of the Codex CLI's own or not; `None` if it passes.
pub(super) fn does(name: &str, codex: bool) -> Option<Does> {
    let does = TABLE.iter().find(|row| row.name == name)?.does;
    (!codex || does == Does::Drop).then_some(does)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_parameter_stands_there_once_with_its_source() {
        for (at, row) in TABLE.iter().enumerate() {
            assert!(!row.source.is_empty(), "{}", row.name);
            assert!(TABLE[at + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }
}

//! Chat Completions to Responses and back. Pure.

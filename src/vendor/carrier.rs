//! How a completion travels to the API and its answer back: streamed, pooled, cancelled by dropping.

//! Server-sent events from arbitrary chunks. Pure.

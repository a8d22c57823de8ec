//! The person's own commands.

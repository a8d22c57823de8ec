//! Agents plugged in and out.

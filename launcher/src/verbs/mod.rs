//! Verbs whose conversation with the caller takes more than a few lines.

pub mod config;

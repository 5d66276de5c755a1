//! LXC's configuration grammar: text in, values with positions out.
#![forbid(unsafe_code)]

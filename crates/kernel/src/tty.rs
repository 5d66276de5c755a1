//! Terminals: pseudo-terminals, raw mode, window size.

//! Containers for everybody: the command line, starts, monitors.
#![forbid(unsafe_code)]

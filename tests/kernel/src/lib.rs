//! Tests of kernel behaviour in fresh namespaces on the machine at hand.
#![forbid(unsafe_code)]

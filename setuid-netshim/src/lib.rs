//! The setuid NIC helper: one veth on a bridge, within a quota.
//!
//! The kernel is the ledger: a NIC counts for the user whose uid is in its host name, as long as
//! it is a port of the bridge, which only somebody with CAP_NET_ADMIN in the host can make it.
//! What is pure (command line, quota file, names, judgement) is separate from what acts, and
//! [`request::serve`] reads top to bottom as the order of acts.
#![forbid(unsafe_code)]

pub mod alias;
pub mod audit;
pub mod caller;
pub mod confine;
pub mod create;
pub mod invocation;
pub mod ledger;
pub mod lint;
pub mod lock;
pub mod neutral;
pub mod ovs;
pub mod ports;
pub mod refusal;
pub mod request;
pub mod target;
pub mod usernet;
pub mod view;

pub use refusal::Refusal;

//! Ports of the host that lead into a container: the sockets that listen, and who has a port that
//! cannot be had.

mod holder;
mod listening;

pub use holder::explain;
pub use listening::{BindError, Listening, bind, bind_all};

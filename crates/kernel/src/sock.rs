//! Unix sockets: sequenced packets with descriptors, credentials of the peer.

//! Namespaces: entering them and proving who owns them (ioctl_ns(2)).

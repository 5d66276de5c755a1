//! Credentials and capabilities of the calling process.

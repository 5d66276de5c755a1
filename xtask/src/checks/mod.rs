//! Checks of what is linked, under which licences, and of job files that nothing here can run.

pub mod licences;
pub mod links;
mod metadata;
pub mod upstart;

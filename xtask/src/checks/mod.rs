//! Checks of what is linked and under which licences.

pub mod licences;
pub mod links;
mod metadata;

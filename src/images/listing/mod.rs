//! Which files a location means: patterns, braces, folders, partition columns of their names.

mod braces;
pub(crate) mod list;
mod location;
pub(crate) mod partitions;

pub use location::Location;

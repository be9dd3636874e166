//! Which files a location means: patterns, braces, folders, partition columns of their names.

mod braces;
pub(crate) mod list;
mod location;
pub(crate) mod partitions;
mod walk;

pub use location::Location;

pub(crate) use list::ListingCounts;
pub(crate) use walk::Details;

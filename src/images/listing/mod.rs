//! The files of a location: patterns, braces, folders, and partition columns from folder names.

mod braces;
pub(crate) mod list;
mod location;
pub(crate) mod partitions;
mod walk;

pub use location::Location;

pub(crate) use list::ListingCounts;
pub(crate) use walk::Details;

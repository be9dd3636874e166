//! The files of a location: patterns, braces, folders, and partition columns from folder names.

mod braces;
mod content;
mod home;
pub(crate) mod list;
mod location;
mod nearest;
mod others;
pub(crate) mod partitions;
mod unlisted;
mod walk;

pub use location::Location;

pub(crate) use content::Content;
pub(crate) use home::expand_home;
pub(crate) use list::ListingCounts;
pub(crate) use unlisted::{REASONS, Unlisted, metric_of};
pub(crate) use walk::Details;

//! What can be wrong with a query, a file for each kind of cause.

mod columns;
mod decode;
mod filters;
mod memory;
mod padding;
mod reading;
mod sizes;
mod texts;
mod twins;

pub(super) use columns::image_column;
pub(super) use decode::smaller_images;
pub(super) use filters::filter_below;
pub(super) use memory::{exhausted_memory, refused_memory};
pub(super) use padding::padded_batches;
pub(super) use reading::{row_groups, slow_source};
pub(super) use sizes::{Candidate, sizes};
pub(super) use texts::text_of_lists;
pub(super) use twins::twins;

//! The files of a statement: where they belong, what they can hold, and a store that keeps them apart until they are
//! complete.

mod columns;
mod context;
mod local;
mod metrics;
mod remote;
mod store;
mod target;
mod upload;

pub(crate) use columns::nested_as_json;
pub(in crate::write) use columns::{unwritable, with_json_texts};
pub(in crate::write) use context::{forget_listings, one_file, with_store};
pub(in crate::write) use local::remove_hidden;
pub(in crate::write) use metrics::SinkMetrics;
pub(in crate::write) use store::{Discarded, StagedStore, count_files};
pub(crate) use target::MODE;
pub(in crate::write) use target::{Kind, Mode, Target, counted};

//! Planning of inference: calls become logical nodes, and these become operators.
//!
//! ```text
//!  SQL ─► logical plan with classify(…) ── ExtractInference (analyzer) ─► Infer nodes ── DataFusion's optimizer,
//!         PruneInference, LiftInference ─► InferPlanner (physical) ─► InferExec over InferExchangeExec
//! ```
//!
//! Planning loads no model; it only needs a model's sizes.

mod bind;
pub(crate) mod extract;
mod field_names;
mod image_batches;
mod keep_order;
mod lift;
mod node;
mod planner;
mod prune;
mod row_groups;

pub use bind::BindInference;
pub use extract::ExtractInference;
pub use image_batches::ImageBatches;
pub use lift::LiftInference;
pub use node::{InferCall, InferNode};
pub use planner::{InferPlanner, SeequelQueryPlanner};

#[cfg(feature = "cluster")]
pub(crate) use image_batches::{contains, is_bytes};
pub(crate) use keep_order::KeepOrder;
pub(crate) use node::as_infer;
pub(crate) use planner::{morsel_rows, plan_inference};
pub use prune::PruneInference;
pub use row_groups::RowGroups;

pub(crate) use bind::unbound;
pub(crate) use field_names::{FieldNames, UnknownField};

//! Tasks: resolving a model's task and output, and converting the output to predictions.
//!
//! | file | functions |
//! |---|---|
//! | `classification.rs`, `labels.rs` | `classify`, `classify_top_k` |
//! | `embedding.rs` | `embed` |
//! | `detection/` | `detect` |
//! | `predict.rs` | `predict` |
//!
//! `task.rs` defines the tasks, `evidence.rs` finds that of a graph; `output.rs` chooses the output for a task.

mod classification;
pub mod detection;
mod embedding;
mod evidence;
pub(crate) mod labels;
mod output;
mod predict;
mod task;

pub use embedding::EmbeddingSpec;
pub use labels::{Background, Labels};
pub use output::{Activation, OutputSpec};
pub use task::{Task, UnknownTask};

pub(crate) use classification::{Class, best_class, confidences, sigmoid, top_classes};
pub(crate) use labels::FoundLabels;
pub(crate) use predict::{field_shape, field_type};

//! Tasks: what a model's output means, how it is resolved from the graph, and how it becomes predictions.
//!
//! | file | functions |
//! |---|---|
//! | `classification.rs`, `labels.rs` | `classify`, `classify_top_k` |
//! | `embedding.rs` | `embed` |
//! | `detection/` | `detect` |
//! | `predict.rs` | `predict` |
//!
//! `task.rs` names the tasks; `output.rs` chooses the output that fits one.

mod classification;
pub mod detection;
mod embedding;
pub(crate) mod labels;
mod output;
mod predict;
mod task;

pub use embedding::EmbeddingSpec;
pub use labels::{Background, Labels};
pub use output::{Activation, OutputSpec};
pub use task::Task;

pub(crate) use classification::{Class, best_class, confidences, sigmoid, top_classes};
pub(crate) use labels::FoundLabels;
pub(crate) use predict::field_type;

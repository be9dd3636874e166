//! Inference functions: markers that type-check in every clause, one function per file.

mod call;
mod classify;
mod classify_top_k;
mod detect;
mod embed;
mod function;
mod image_error;
mod marker;
mod models;
mod predict;
mod signatures;

pub use call::{Call, Request};
pub use classify::{classification_fields, classification_type};
pub use classify_top_k::{ranked_class_fields, ranked_classes_type};
pub use detect::{box_fields, detection_fields, detections_type};
pub use embed::embedding_type;
pub use marker::{Inference, model_position};
pub use models::Models;

//! The resolved and checked specification of a model: plain data, no ONNX Runtime.
//!
//! ```text
//!  settings (layers) ─┐
//!  ONNX graph ────────┼─ resolve ─► ModelSpec: inputs, task, output, labels, resources
//!  labels files ──────┘
//! ```

mod assumed;
mod model_spec;
mod resolve;
mod resources;

pub use assumed::Assumptions;
pub use model_spec::ModelSpec;
pub use resources::{Device, Precision, Resources, UnknownDevice};

pub(crate) use resources::numbered;

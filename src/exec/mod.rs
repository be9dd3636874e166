//! Execution of inference: the exchange that cuts and hands out rows, and the operator that runs models on them.
//!
//! ```text
//!  input ─► InferExchangeExec ─► InferExec: decode_infer ─┬─► Lane (model A) ─┐
//!           morsels, bounded     one morsel a worker      └─► Lane (model B) ─┴─► rows + answers
//! ```

mod agenda;
mod answer;
mod columns;
mod decode_infer;
pub(crate) mod exchange;
mod failures;
mod fallback;
mod infer;
mod lane;
mod metrics;
mod running;
mod worker;
mod worker_memory;

pub use exchange::{InferExchangeExec, MorselRows};
pub use infer::{InferExec, Morsels, PhysicalCall};
pub use running::wait_for_inference;

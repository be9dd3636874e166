//! Execution of inference: the exchange that distributes rows, and the operator that runs models on them.
//!
//! ```text
//!  input ─► InferExchangeExec ─► InferExec: decode_infer ─┬─► Batcher of model A ─┐
//!           morsels, bounded     one morsel a worker      └─► Batcher of model B ─┴─► rows + predictions
//! ```

mod batcher;
mod columns;
mod decode_infer;
pub(crate) mod exchange;
mod failures;
mod fallback;
mod infer;
mod inference_plan;
mod metrics;
mod output_column;
mod prediction;
mod query_cancellation;
mod running;
mod worker;
mod worker_memory;

pub use exchange::{InferExchangeExec, MorselRows};
pub use infer::{InferExec, Morsels, PhysicalCall};
pub use running::cancel_inference;

pub(crate) use query_cancellation::QueryCancellation;

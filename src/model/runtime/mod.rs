//! Running models: the ONNX Runtime library, providers, sessions, and the size of the session pool.
//!
//! `session.rs` is the only file that uses `ort`.

mod cancellation;
mod model;
mod pool;
mod session;
mod sizing;

pub use model::Model;
pub use session::{DISABLE_TELEMETRY, Provider, Runtime};
pub use sizing::Sizing;

pub(crate) use cancellation::{Cancellation, WeakCancellation};
pub(crate) use model::RunTimes;
pub(crate) use session::Batch;

//! Running models: the ONNX Runtime library, providers, sessions and their pool, and how many of them a machine gets.
//!
//! `session.rs` is the only file that names `ort`.

mod cancellation;
mod model;
mod pool;
mod session;
mod sizing;

pub use model::Model;
pub use session::{Provider, Runtime};
pub use sizing::Sizing;

pub(crate) use cancellation::Cancellation;
pub(crate) use model::RunTimes;
pub(crate) use session::Batch;

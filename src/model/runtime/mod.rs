//! Running models: the ONNX Runtime library, providers, sessions, and the size of the session pool.
//!
//! ```text
//!  builds.rs ─► library.rs ─ Runtime ─┐
//!  providers/ ─ Provider ─────────────┼─► session.rs ─ Session ─► pool.rs ─► model.rs ─ Model
//!  values.rs, memory.rs ──────────────┘     tuning/ ─── presets.rs, sizing.rs ─┘
//! ```
//!
//! The only folder that uses `ort`.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the only folder that uses ort")]

mod assignment;
mod builds;
mod devices;
mod library;
mod log;
mod memory;
mod model;
mod pool;
mod presets;
mod probe;
mod providers;
mod run;
mod session;
mod sizing;
mod tuning;
mod values;

pub use devices::Device;
pub use library::{DISABLE_TELEMETRY, Runtime};
pub use model::Model;
pub use providers::Provider;
pub use sizing::Sizing;
pub use tuning::{Choice, Trial, Tuning, TuningKey, Twin, Variant};

pub(crate) use providers::Machine;
pub(crate) use run::{CancelOnDrop, Cancellation, RunError, RunHistogram, RunTimes, WeakCancellation};
pub(crate) use session::Batch;
pub(crate) use tuning::{OPEN, Tunings};
pub(crate) use values::too_many_elements;

//! Models: from a `CREATE MODEL` statement to predictions.
//!
//! [`ModelSpec::resolve`] resolves a statement to a [`ModelSpec`] without ONNX Runtime. A model that can't run is
//! rejected here, with an error that names the wrong option or file, rather than during a query:
//!
//! ```text
//!  CREATE MODEL vit FROM 'vit/' OPTIONS (labels 'labels.txt', …)
//!                    │                 │
//!        files       ▼                 ▼            settings: strongest layer first
//!  vit/onnx/model.onnx                 OPTIONS ───────────────┐
//!  vit/seequel.json ───────────────────────────────────────── ┤
//!  vit/preprocessor_config.json ── hugging_face, timm ─────── ┤
//!  vit/config.json ─────────────── hugging_face, timm ─────── ┤
//!          │                                                  ▼
//!          └─ proto ─ graph ─ fixed values ──────────► input, output, labels, resources ──► spec
//!                                                     every option resolved once,
//!                                                     checked against the graph
//! ```
//!
//! A [`Model`] then runs:
//!
//! ```text
//!  RgbImage ─ preprocess ─► tensor ─ pool: a session ─► numbers ─ classification, detection ─► predictions
//! ```

pub mod input;
pub mod onnx;
pub mod runtime;
pub mod settings;
pub mod spec;
pub mod tensor;

mod describe;
mod devices;
mod ensemble;
pub(crate) mod fetch;
#[cfg(test)]
mod formats;
mod predictor;
mod registry;
#[cfg(test)]
mod testing;

pub use ensemble::{Combine, CreateEnsemble, Ensemble};
pub use input::{ImageSpec, InputSpec, Preprocessing};
pub use predictor::Predictor;
pub use registry::ModelRegistry;
pub use runtime::Model;
pub use settings::CreateModel;
pub use spec::ModelSpec;
pub use tensor::{Preprocessor, Tensor, TensorData};

pub(crate) use ensemble::ENSEMBLE_OPTIONS;
pub(crate) use settings::MODEL_OPTIONS;

#[cfg(test)]
pub(crate) use testing::{Folder, Onnx, options};

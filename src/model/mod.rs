//! Models: from the words of `CREATE MODEL` to numbers in a tensor.
//!
//! How a statement becomes a [`ModelSpec`], without ONNX Runtime and without guessing:
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
//!          └─ proto ─ graph ─ what the file fixes ──► input, output, labels, resources ──► spec
//!                                                     every option resolved once,
//!                                                     checked against the graph
//! ```
//!
//! and how a [`Model`] runs:
//!
//! ```text
//!  RgbImage ─ preprocess ─► tensor ─ pool: a session of onnx ─► numbers ─ classification, detection ─► predictions
//! ```
//!
//! [`ModelSpec::resolve`] does all of the former. A model that could not run is refused there, with an error that names the
//! option or file to blame, and not at the millionth image.

pub mod input;
pub mod onnx;
pub mod runtime;
pub mod settings;
pub mod spec;
pub mod tensor;

mod describe;
mod ensemble;
mod fetch;
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

#[cfg(test)]
pub(crate) use testing::{Folder, Onnx, options};

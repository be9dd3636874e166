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
//!  vit/preprocessor_config.json ── hugging_face ───────────── ┤
//!  vit/config.json ─────────────── hugging_face ───────────── ┤
//!          │                                                  ▼
//!          └─ proto ─ graph ─ what the file fixes ──► input, output, labels, resources ──► spec
//!                                                     every option settled once,
//!                                                     checked against the graph
//! ```
//!
//! [`ModelSpec::resolve`] does all of it. A model that could not run is refused there, with an error that names the
//! option or file at fault, and not at the millionth image.

mod files;
mod graph;
mod hugging_face;
mod input;
mod keyword;
mod labels;
mod output;
mod pixels;
mod proto;
mod resolve;
mod resources;
mod settings;
mod sources;
mod spec;
#[cfg(test)]
mod testing;
mod values;

pub use graph::{Dim, Graph, Port};
pub use keyword::UnknownKeyword;
pub use labels::Labels;
pub use resources::{Device, Precision, Resources, UnknownDevice};
pub use settings::{ResolvedSetting, Source};
pub use spec::{
    Activation, Channels, Element, InputSpec, Interpolation, Layout, ModelSpec, OutputSpec, Preprocessing,
    Resize, Task,
};

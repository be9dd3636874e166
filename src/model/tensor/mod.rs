//! Tensors: images and numbers as inputs of a model, and its outputs.
//!
//! ```text
//!  RgbImage ─ preprocess ─► ImageTensor ─┐
//!  columns ─ row_numbers ─► Numbers ─────┴─► run ─► BatchOutput
//! ```

mod batch_output;
mod geometry;
mod image_tensor;
mod page_lock;
mod preprocess;
mod row_numbers;

pub use image_tensor::{Tensor, TensorData};
pub use preprocess::Preprocessor;

pub(crate) use batch_output::BatchOutput;
pub(crate) use geometry::{Placement, least_scale};
pub(crate) use image_tensor::with_values;
pub(crate) use page_lock::PageLocker;
pub(crate) use row_numbers::{Numbers, RowNumbers};

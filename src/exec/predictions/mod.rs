//! From a model's outputs to a column: the call that a column belongs to, the prediction for each row, and the column of
//! a call's predictions.
//!
//! ```text
//!  BatchOutput ─ Postprocess ─► Prediction, one a row ─ column ─► Arrow column of the function's return type
//! ```

mod call;
mod columns;
mod image_function;
mod output_column;
mod prediction;

pub use call::PhysicalCall;
pub(in crate::exec) use call::{Found, bound};
pub(crate) use columns::column;
pub(in crate::exec) use image_function::FunctionColumn;
pub(crate) use prediction::{Postprocess, Prediction, Value};

//! Inputs of a model: one image, numbers from columns, or both; image preprocessing; the assignment of arguments.

mod image;
mod model_input;
mod numbers;
mod pixels;
mod preprocessing;

pub use image::{Channels, InputSpec, Layout};
pub use model_input::{ImageSpec, ModelInput};
pub use numbers::NumbersSpec;
pub use preprocessing::{Interpolation, Preprocessing, Resize};

pub(crate) use model_input::{Assignment, MAX_BATCH, assign, fixed_batch};
pub(crate) use numbers::item_type;
pub(crate) use pixels::channel_order;

//! The settings of one model, in layers from OPTIONS and the files beside it; and parsers for single values.

mod create_model;
mod files;
mod hugging_face;
mod keyword;
mod layers;
mod sources;
mod timm;
mod values;

pub use create_model::CreateModel;
pub use keyword::UnknownKeyword;
pub use layers::{ResolvedSetting, Source};

pub(crate) use files::{MAX_MODEL_BYTES, MAX_SIDE_BYTES, locate, read_bounded, side_folders};
pub(crate) use keyword::keywords;
pub(crate) use layers::{HEAD, KEYS as MODEL_OPTIONS, Settings};
pub(crate) use sources::push_layers;
pub(crate) use values::{PerChannel, Size, channels, count, keyword, number, share, size, text};

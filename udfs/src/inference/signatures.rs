//! Signatures of the inference functions, which start every error about a call.

pub(crate) const CLASSIFY: &str = "classify(image [, model])";
pub(crate) const CLASSIFY_TOP_K: &str = "classify_top_k(image, k [, model])";
pub(crate) const DETECT: &str = "detect(image [, model])";
pub(crate) const EMBED: &str = "embed(image [, model])";
pub(crate) const IMAGE_ERROR: &str = "image_error(image [, model])";
pub(crate) const PREDICT: &str = "predict(model, input, …)";

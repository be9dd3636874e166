//! Session settings under `inference.`, set by `SET inference.… = …`.

use datafusion::common::config::ConfigExtension;
use datafusion::common::extensions_options;

extensions_options! {
    /// Settings of inference that hold for a whole session.
    pub struct InferenceOptions {
        /// Model of calls that name none, such as `classify(image)`.
        pub default_model: String, default = "efficientnet_lite0".to_string()
        /// What a row that can't be decoded or inferred does: `null` gives it an error and goes on, `fail` stops the query.
        pub on_error: String, default = "null".to_string()
        /// Images of more pixels (width × height) than this are refused before they are decoded.
        pub max_image_pixels: u64, default = 100_000_000
    }
}

impl ConfigExtension for InferenceOptions {
    const PREFIX: &'static str = "inference";
}

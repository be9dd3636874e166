//! Session settings under `inference.`: `SET inference.default_model = 'resnet'`, `SHOW inference.default_model`.

use std::any::Any;
use std::fmt::{self, Display};
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::config_err;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};

/// Lets a type travel among the settings that a query is planned with, under a prefix. It has no entries: it is no setting
/// to be seen or changed.
macro_rules! unlisted_setting {
    ($type:ty, $prefix:literal) => {
        impl datafusion::common::config::ConfigExtension for $type {
            const PREFIX: &'static str = $prefix;
        }

        impl datafusion::common::config::ExtensionOptions for $type {
            fn as_any(&self) -> &dyn std::any::Any {
                self
            }

            fn as_any_mut(&mut self) -> &mut dyn std::any::Any {
                self
            }

            fn cloned(&self) -> Box<dyn datafusion::common::config::ExtensionOptions> {
                Box::new(self.clone())
            }

            fn set(&mut self, key: &str, _value: &str) -> datafusion::error::Result<()> {
                datafusion::common::config_err!("unknown setting {}.{key}", $prefix)
            }

            fn entries(&self) -> Vec<datafusion::common::config::ConfigEntry> {
                vec![]
            }
        }
    };
}
pub(crate) use unlisted_setting;

/// Inference settings of a session.
#[derive(Debug, Clone)]
pub struct InferenceOptions {
    /// Model for calls that name none, such as `classify(image)`.
    pub default_model: String,
    /// How to handle a row that can't be decoded or inferred.
    pub on_error: OnError,
    /// Images with more pixels (width × height) are rejected before memory is allocated for them.
    pub max_image_pixels: u64,
}

/// How a query handles a row that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The row's prediction is an error and the query continues.
    Null,
    /// The query fails with an error that names the row.
    Fail,
}

impl InferenceOptions {
    /// The session's settings, or the defaults if Seequel was not added to the session.
    #[must_use]
    pub fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

impl Default for InferenceOptions {
    fn default() -> Self {
        Self {
            default_model: "efficientnet_lite0".to_owned(),
            on_error: OnError::Null,
            // 300 MB of RGB: larger than any camera image except stitched panoramas.
            max_image_pixels: 100_000_000,
        }
    }
}

impl ConfigExtension for InferenceOptions {
    const PREFIX: &'static str = "inference";
}

// DataFusion's `extensions_options!` would list the keys without their prefix, and `SHOW` would not find them.
impl ExtensionOptions for InferenceOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match key {
            "default_model" => value.clone_into(&mut self.default_model),
            "on_error" => self.on_error = value.parse()?,
            "max_image_pixels" => self.max_image_pixels = parse_pixels(value)?,
            _ => {
                return config_err!(
                    "unknown setting inference.{key}; the settings are default_model, on_error and max_image_pixels"
                );
            }
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let Self { default_model, on_error, max_image_pixels } = self;
        let entry = |key: &str, value: String, description| ConfigEntry {
            key: format!("{}.{key}", Self::PREFIX),
            value: Some(value),
            description,
        };
        vec![
            entry(
                "default_model",
                default_model.clone(),
                "Model of calls that name none, such as classify(image)",
            ),
            entry(
                "on_error",
                on_error.to_string(),
                "null: a row that can't be decoded or inferred gets an error, and the query continues; fail: the query fails",
            ),
            entry(
                "max_image_pixels",
                max_image_pixels.to_string(),
                "Images of more pixels (width × height) are refused before they are decoded",
            ),
        ]
    }
}

impl Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Fail => "fail",
        })
    }
}

impl FromStr for OnError {
    type Err = DataFusionError;

    fn from_str(value: &str) -> Result<Self> {
        match value.to_ascii_lowercase().as_str() {
            "null" => Ok(Self::Null),
            "fail" => Ok(Self::Fail),
            _ => config_err!("inference.on_error is 'null' or 'fail', not '{value}'"),
        }
    }
}

fn parse_pixels(value: &str) -> Result<u64> {
    match value.parse() {
        Ok(pixels) if pixels > 0 => Ok(pixels),
        _ => config_err!("inference.max_image_pixels is a number of pixels above 0, not '{value}'"),
    }
}

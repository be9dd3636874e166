//! Session settings under `inference.`: `SET inference.default_model = 'resnet'`, `SHOW inference.default_model`.

use std::any::Any;
use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::Duration;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::config_err;
use datafusion::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use itertools::Itertools;

use crate::bounds::Bounds;

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

/// Says that rows have names where models run, whatever else asks for them: their processes may die of one.
#[cfg(feature = "cluster")]
#[derive(Debug, Clone)]
pub(crate) struct NamedRows;

#[cfg(feature = "cluster")]
unlisted_setting!(NamedRows, "inference_named_rows");

/// Inference settings of a session.
#[derive(Debug, Clone)]
pub struct InferenceOptions {
    /// Model for calls that name none, such as `classify(image)`.
    pub default_model: String,
    /// How to handle a row that can't be decoded or inferred.
    pub on_error: OnError,
    /// Failed rows that a query may have; one more fails it.
    pub max_errors: Option<u64>,
    /// The share of a query's rows that may fail, 0 to 1, once it has inferred 100; a larger one fails it.
    pub max_error_ratio: Option<f64>,
    /// The longest that a model may run on a batch; a longer run is ended, and the rows at fault fail.
    pub timeout: Option<Duration>,
    /// How large files, images and models may be.
    pub bounds: Bounds,
}

/// How a query handles a row that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The row's prediction is an error and the query continues.
    Null,
    /// The row is left out of the result and the query continues.
    Skip,
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
            max_errors: None,
            max_error_ratio: None,
            timeout: None,
            bounds: Bounds::default(),
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
            "max_errors" => self.max_errors = parse_limit(value, "max_errors", "a number of rows", |_| true)?,
            "max_error_ratio" => {
                let is_share = |share: &f64| (0.0..=1.0).contains(share);
                self.max_error_ratio =
                    parse_limit(value, "max_error_ratio", "a share from 0 to 1", is_share)?;
            }
            "timeout" => self.timeout = parse_seconds(value)?,
            bound if self.bounds.set(bound, value)? => {}
            _ => {
                let entries = self.entries();
                let names = entries.iter().filter_map(|entry| entry.key.split_once('.'));
                let names = names.map(|(_, name)| name).join(", ");
                return config_err!("unknown setting inference.{key}; the settings are {names}");
            }
        }
        Ok(())
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let Self { default_model, on_error, max_errors, max_error_ratio, timeout, mut bounds } = self.clone();
        let entry = |key: &str, value: String, description| ConfigEntry {
            key: format!("{}.{key}", Self::PREFIX),
            value: Some(value),
            description,
        };
        let mut entries = vec![
            entry("default_model", default_model, "Model of calls that name none, such as classify(image)"),
            entry(
                "on_error",
                on_error.to_string(),
                "null: a row that can't be decoded or inferred gets an error, and the query continues; skip: it is left out; fail: the query fails",
            ),
            entry(
                "max_errors",
                or_none(max_errors.as_ref()),
                "Failed rows that a query may have: one more fails it",
            ),
            entry(
                "max_error_ratio",
                or_none(max_error_ratio.as_ref()),
                "Share of a query's rows that may fail, 0 to 1: a larger one fails it, after at least 100 rows",
            ),
            entry(
                "timeout",
                or_none(timeout.map(|timeout| timeout.as_secs_f64()).as_ref()),
                "Seconds that a model may run on a batch: a longer run is ended, and the rows at fault fail",
            ),
        ];
        let bounds = bounds.all();
        entries
            .extend(bounds.iter().map(|bound| entry(bound.name, bound.value.to_string(), bound.description)));
        entries
    }
}

impl Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Skip => "skip",
            Self::Fail => "fail",
        })
    }
}

impl FromStr for OnError {
    type Err = DataFusionError;

    fn from_str(value: &str) -> Result<Self> {
        match value.to_ascii_lowercase().as_str() {
            "null" => Ok(Self::Null),
            "skip" => Ok(Self::Skip),
            "fail" => Ok(Self::Fail),
            _ => config_err!("inference.on_error is 'null', 'skip' or 'fail', not '{value}'"),
        }
    }
}

/// The largest time limit, about three years.
const MAX_SECONDS: f64 = 1e8;

/// Text of a limit that may be absent.
const NONE: &str = "none";

fn or_none(limit: Option<&impl Display>) -> String {
    limit.map_or_else(|| NONE.to_owned(), ToString::to_string)
}

fn parse_limit<T: FromStr>(
    value: &str,
    setting: &str,
    kind: &str,
    is_valid: impl FnOnce(&T) -> bool,
) -> Result<Option<T>> {
    if value.eq_ignore_ascii_case(NONE) {
        return Ok(None);
    }
    match value.parse().ok().filter(is_valid) {
        Some(limit) => Ok(Some(limit)),
        None => config_err!("inference.{setting} is {kind} or '{NONE}', not '{value}'"),
    }
}

/// A time limit in seconds; 0 is none.
fn parse_seconds(value: &str) -> Result<Option<Duration>> {
    let is_valid = |seconds: &f64| (0.0..=MAX_SECONDS).contains(seconds);
    let seconds: Option<f64> = parse_limit(value, "timeout", "a number of seconds", is_valid)?;
    Ok(seconds.filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64))
}

//! The OPTIONS of `CREATE MODEL … AS QUANTIZED`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::str::FromStr;

use crate::model::settings::keywords;
use crate::{Error, Result};

/// Every key.
pub(crate) const QUANTIZE_OPTIONS: [&str; 5] =
    ["calibration", "exclude", "keep", "min_agreement", "per_channel"];

keywords! {
    /// How the ranges of activations are found.
    pub(super) enum Calibration {
        /// The range that changes the numbers least when they are rounded: the mean of the squares of the differences.
        LeastSquares = "mse",
        /// The lowest and the highest number.
        MinMax = "minmax",
        /// All but a hundred-thousandth of the numbers at each end.
        Percentile = "percentile",
        /// The range with the least Kullback-Leibler divergence.
        Entropy = "entropy",
        /// None: each run finds the ranges of what `MatMul` and `Gemm` multiply, and other nodes stay in float32.
        None = "none",
    }
}

/// Default share of the images kept aside on which the models must agree. Fifty images and their mirror images tell it
/// to about two points: at 0.98, one more that differs by chance would leave half of the nodes in float32.
const MIN_AGREEMENT: f64 = 0.96;

/// How to quantize.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct QuantizeOptions {
    pub(super) calibration: Calibration,
    /// Names of nodes, or of their outputs, that stay in float32.
    pub(super) exclude: BTreeSet<String>,
    /// Whether weights have a scale for each output channel.
    pub(super) per_channel: bool,
    /// Share of the images kept aside, 0 to 1, on which the model must agree with its original.
    pub(super) min_agreement: f64,
    /// Where to write a copy of the ONNX file.
    pub(super) keep: Option<PathBuf>,
}

impl QuantizeOptions {
    /// # Errors
    /// [`Error::Option`]: a key that is unknown, or a value that is malformed.
    pub(super) fn of(model: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let options: BTreeMap<_, _> =
            options.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.as_str())).collect();
        let invalid = |option: &str, reason: String| Error::Option {
            model: model.to_owned(),
            option: option.to_owned(),
            reason,
        };
        if let Some(key) = options.keys().find(|key| !QUANTIZE_OPTIONS.contains(&key.as_str())) {
            let reason = format!(
                "a quantized model has the options {}, and all others from its original",
                QUANTIZE_OPTIONS.join(", ")
            );
            return Err(invalid(key, reason));
        }
        let calibration =
            options.get("calibration").map_or(Ok(Calibration::LeastSquares), |value| value.parse());
        let exclude = options.get("exclude").copied().unwrap_or_default();
        Ok(Self {
            calibration: calibration.map_err(|error| invalid("calibration", format!("{error}")))?,
            exclude: exclude
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            per_channel: parse(&options, "per_channel", true)
                .map_err(|value| invalid("per_channel", format!("'{value}' is neither true nor false")))?,
            min_agreement: parse(&options, "min_agreement", MIN_AGREEMENT)
                .and_then(
                    |share| if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(share.to_string()) },
                )
                .map_err(|value| invalid("min_agreement", format!("'{value}' is not a share from 0 to 1")))?,
            keep: options.get("keep").map(PathBuf::from),
        })
    }
}

fn parse<T: FromStr>(options: &BTreeMap<String, &str>, key: &str, default: T) -> Result<T, String> {
    options.get(key).map_or(Ok(default), |value| value.parse().map_err(|_| (*value).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<QuantizeOptions> {
        let options = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        QuantizeOptions::of("twin", &options.collect())
    }

    #[test]
    fn values_are_checked() -> Result<()> {
        let options = of(&[("Exclude", " a, b/c ,"), ("min_agreement", "0.9"), ("per_channel", "false")])?;
        assert_eq!(options.exclude, ["a", "b/c"].map(str::to_owned).into());
        assert!(!options.per_channel && options.calibration == Calibration::LeastSquares);
        let errors = [
            of(&[("calibration", "best")]),
            of(&[("min_agreement", "98")]),
            of(&[("per_channel", "yes")]),
            of(&[("labels", "a.txt")]),
        ];
        let errors = errors.map(|result| result.err().map(|error| error.to_string()).unwrap_or_default());
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'twin': option 'calibration': 'best' is not one of mse, minmax, percentile, entropy, none
        model 'twin': option 'min_agreement': '98' is not a share from 0 to 1
        model 'twin': option 'per_channel': 'yes' is neither true nor false
        model 'twin': option 'labels': a quantized model has the options calibration, exclude, keep, min_agreement, per_channel, and all others from its original
        ");
        Ok(())
    }
}

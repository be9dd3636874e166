//! What is known of a quantized model: a file beside it, which `DESCRIBE MODEL` reads.

use std::path::Path;

use serde_json::{Value, json};

use super::attempt::Twin;
use super::options::QuantizeOptions;
use crate::model::ModelSpec;
use crate::model::settings::{MAX_SIDE_BYTES, read_bounded};

/// File name of the record, beside `model.onnx`.
pub(super) const RECORD: &str = "quantized.json";

/// The figures and the origin of a quantized model, as JSON.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record(Value);

/// What was measured.
#[derive(Debug)]
pub(super) struct Figures<'a> {
    pub(super) twin: &'a Twin,
    /// Images that ranges were found on, and those that predictions were compared on.
    pub(super) images: [usize; 2],
    /// Of the original's file, and of the twin's.
    pub(super) bytes: [u64; 2],
    /// Throughput in multiples of the original's.
    pub(super) speed_ratio: f64,
}

impl Record {
    pub(super) fn new(source: &ModelSpec, options: &QuantizeOptions, figures: &Figures<'_>) -> Self {
        let Figures { twin, images, bytes, speed_ratio } = figures;
        let Twin { model: _, agreement, integer_nodes, left_out } = twin;
        Self(json!({
            "source": source.name,
            "source_sha256": source.sha256,
            "calibration": options.calibration.to_string(),
            "per_channel": options.per_channel,
            "calibration_images": images[0],
            "compared_images": images[1],
            "agreement": agreement.share,
            "largest_confidence_difference": agreement.confidence_difference,
            "median_cosine": agreement.cosine,
            "source_bytes": bytes[0],
            "bytes": bytes[1],
            "speed_ratio": speed_ratio,
            "integer_nodes": integer_nodes[0],
            "weighted_nodes": integer_nodes[1],
            "left_in_float32": left_out,
        }))
    }

    pub(super) fn json(&self) -> &Value {
        &self.0
    }

    /// Whether Seequel wrote a quantized model into `folder`.
    pub(crate) fn is_in(folder: &Path) -> bool {
        folder.join(RECORD).exists()
    }

    /// The record beside a model's file, if the model was quantized by Seequel.
    pub(crate) fn beside(file: &Path) -> Option<Self> {
        let bytes = read_bounded(&file.with_file_name(RECORD), MAX_SIDE_BYTES).ok()?;
        serde_json::from_slice(&bytes).ok().map(Self)
    }

    /// Whether the model was made of `source`.
    pub(crate) fn is_of(&self, source: &ModelSpec) -> bool {
        self.0["source_sha256"] == source.sha256.as_str()
    }

    /// The most important figures, in a line.
    pub(crate) fn summary(&self) -> String {
        let wanted = ["agreement", "speed", "integer nodes"];
        let lines = self.lines().into_iter().filter(|(what, _)| wanted.contains(what));
        lines.map(|(what, value)| format!("{what} {value}")).collect::<Vec<_>>().join("; ")
    }

    /// Lines of `DESCRIBE MODEL`: what, and its value. Keys that are missing have no line.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let text = |key: &str| self.0[key].as_str();
        let number = |key: &str| self.0[key].as_f64();
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let left_out = self.0["left_in_float32"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let lines = [
            ("quantized from", text("source").map(str::to_owned)),
            (
                "calibration",
                text("calibration")
                    .zip(number("calibration_images"))
                    .map(|(calibration, images)| format!("{calibration}, {images} images")),
            ),
            (
                "agreement",
                number("agreement").zip(number("compared_images")).map(|(share, images)| {
                    format!("{} on {images} images kept aside and their mirror images", percent(share))
                }),
            ),
            (
                "confidences",
                number("largest_confidence_difference").map(|most| format!("differ by at most {most:.3}")),
            ),
            ("cosine", number("median_cosine").map(|cosine| format!("{cosine:.4}, the median"))),
            (
                "size",
                number("bytes").zip(number("source_bytes")).map(|(bytes, source)| {
                    format!("{:.1} MB; the original has {:.1} MB", bytes / 1e6, source / 1e6)
                }),
            ),
            (
                "speed",
                number("speed_ratio").map(|ratio| format!("{ratio:.2} × the original, by one session")),
            ),
            (
                "integer nodes",
                number("integer_nodes")
                    .zip(number("weighted_nodes"))
                    .map(|(integer, all)| format!("{integer} of {all} with weights")),
            ),
            (
                "left in float32",
                Some(left_out.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty()),
            ),
        ];
        lines.into_iter().filter_map(|(what, value)| Some((what, value?))).collect()
    }
}

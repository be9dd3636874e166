//! What TUNE measured, in a file of the home that people can read: `tuning.json`.
//!
//! ```text
//!  TUNE ── put ──► home/tuning.json ── those that fit ──► Model: what `auto` means
//! ```
//!
//! A measurement holds for the same graph, runtime and machine, and for models whose options leave the same open; with
//! any other, `auto` is what it is without TUNE.

mod file;
mod json;

use std::path::PathBuf;

use crate::model::spec::Resources;

pub(crate) use file::Tunings;

/// The device and the precision of a [`TuningKey`] that holds for models which leave them open.
pub(crate) const OPEN: &str = "auto";

/// What a measurement depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TuningKey {
    /// Digest of the model's file.
    pub sha256: String,
    /// Version of ONNX Runtime.
    pub runtime: String,
    /// The models that it is for: those on this device, or `auto` for those that leave it open.
    pub device: String,
    /// Those of them that compute in this precision, or `auto` for those that leave it open.
    pub precision: String,
    /// The hardware of the device and the number of cores.
    pub machine: String,
}

/// Batch size, sessions, threads a session, and morsels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    /// Rows per batch.
    pub batch_size: usize,
    /// Sessions.
    pub concurrency: usize,
    /// Threads per session.
    pub num_cpus: usize,
    /// Most rows of a morsel; `None` for as many as the batch size leads to.
    pub morsel_rows: Option<usize>,
}

impl Choice {
    /// `options` with these sizes, but for the morsel, which is no option.
    pub(super) fn given_to(self, options: &Resources) -> Resources {
        Resources {
            batch_size: Some(self.batch_size),
            concurrency: Some((self.concurrency, self.concurrency)),
            num_cpus: Some(self.num_cpus),
            ..options.clone()
        }
    }
}

/// Where a model computes, and in which precision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variant {
    /// The device, as the option `device` names it.
    pub device: String,
    /// The precision, as the option `precision` names it.
    pub precision: String,
}

/// A quantized model that computes in place of its original.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Its name at the time.
    pub name: String,
    /// Its file.
    pub file: PathBuf,
    /// The digest of that.
    pub sha256: String,
}

/// The outcome of TUNE for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuning {
    /// Name of the model at the time.
    pub model: String,
    /// What it holds for.
    pub key: TuningKey,
    /// `throughput` or `latency`.
    pub metric: String,
    /// The fastest.
    pub chosen: Choice,
    /// Where the fastest runs.
    pub variant: Variant,
    /// The quantized model that it runs, if the precision is that of one.
    pub twin: Option<Twin>,
    /// Share of the predictions, 0 to 1, that are those of the model in float32 on the CPU, if it was measured.
    pub agreement: Option<f64>,
    /// What `auto` was without TUNE.
    pub default: Choice,
    /// Performance in multiples of the default's, with the ends of an interval that holds it in 95 of 100 cases.
    pub gain: [f64; 3],
    /// Seconds since 1970.
    pub at: u64,
    /// All that was tried, in order; empty if it is in another outcome of the same TUNE.
    pub trials: Vec<Trial>,
}

/// One configuration, and what was measured of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// The device and the precision.
    pub variant: Variant,
    /// Batch size, sessions and threads; `None` if the model can't run on the device or in the precision at all.
    pub choice: Option<Choice>,
    /// As in [`Tuning`].
    pub agreement: Option<f64>,
    /// Number of measurements.
    pub runs: usize,
    /// Rows a second, with the ends of an interval that holds them in 95 of 100 cases; `None` if none succeeded.
    pub rate: Option<[f64; 3]>,
    /// Seconds that half of the batches take at most, and 95 of 100.
    pub latency: Option<[f64; 2]>,
    /// Bytes of the sessions.
    pub memory_bytes: Option<u64>,
    /// Share of the time in which the device computed, 0 to 1, if its driver tells.
    pub device_use: Option<f64>,
    /// `chosen`, `default`, `slower`, or why it can't be chosen.
    pub outcome: String,
}

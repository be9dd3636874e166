//! Batch size, sessions and threads of a model: from the options, or else chosen for the device.

use std::thread::available_parallelism;

use super::providers::Provider;
use super::tuning::Choice;
use crate::model::input::NumbersSpec;
use crate::model::onnx::fixed_length;
use crate::model::spec::ModelSpec;

/// Default images per batch on a GPU: enough to fill it, few enough to leave room for another batch.
const GPU_BATCH_ROWS: usize = 32;

/// Batches for a GPU that are decoded, or being decoded, while the sessions compute. Measured with EfficientNet-Lite0 on
/// an H100 with 16 cores, images per second compared to 2 batches: 4 give 1.19, 8 give 1.29.
const BATCHES_AHEAD: usize = 8;

/// Bytes of weights per image of a batch, so that reading them once per run costs little compared to computing.
const WEIGHT_BYTES_PER_IMAGE: u64 = 12 << 20;

/// Maximum default images per batch on a CPU, since activations grow with the batch.
const CPU_BATCH_ROWS: u64 = 8;

/// Maximum default rows per batch of a model without an image: the fixed cost of a run is then small.
const NUMBERS_BATCH_ROWS: usize = 1024;

/// Default count of input and output numbers per run of a model without an image: one megabyte of float32, which also
/// limits the size of intermediate results.
const NUMBERS_PER_RUN: usize = 1 << 18;

/// The resources of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Maximum rows per run.
    pub batch_rows: usize,
    /// Fewest rows worth a separate run when the last rows are distributed among workers.
    pub least_rows: usize,
    /// Maximum sessions in the pool.
    pub sessions: usize,
    /// Threads per session.
    pub threads: usize,
    /// Threads that run the sessions, each with a batch of its own; also the operator's partitions.
    pub workers: usize,
    /// Threads that decode images for all workers, side by side; `None` if each worker decodes its own.
    pub decode_threads: Option<usize>,
}

impl Sizing {
    /// Sizes `spec` for this machine's cores; `tuned` is what TUNE chose for a model that leaves all to `auto`.
    ///
    /// On a CPU, one single-threaded session per core is fastest, since threads never wait for each other. Small models
    /// run one image at a time, whose tensor stays in the core's cache. Large ones run a few at a time, since each run
    /// reads all weights from memory; see `cpu_batch_rows` below. A worker alternates between decoding and inference,
    /// so one worker per thread keeps all cores busy without oversubscription.
    ///
    /// On a GPU all cores decode, together for one batch after the other, since a batch is many images and the GPU waits
    /// for it. A worker takes a batch through decoding and inference, and there are more of them than sessions.
    #[must_use]
    pub fn new(spec: &ModelSpec, provider: Provider, tuned: Option<Choice>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let resources = &spec.resources;
        let threads = resources.num_cpus.or_else(|| tuned.map(|tuned| tuned.num_cpus)).unwrap_or(1);
        let device_sessions = provider.kind().device_sessions();
        let on_gpu = device_sessions.is_some();
        let (auto_batch, auto_sessions) = match device_sessions {
            Some(device_sessions) => {
                // A share of 0.5 means two sessions per device.
                let sessions = resources.num_gpus.map(|share| (1.0 / share).floor().max(1.0) as usize);
                (GPU_BATCH_ROWS, sessions.unwrap_or(device_sessions))
            }
            None => {
                let weights = std::fs::metadata(&spec.file).map_or(0, |file| file.len());
                (cpu_batch_rows(weights), (cores / threads).max(1))
            }
        };
        let auto_sessions = tuned.map_or(auto_sessions, |tuned| tuned.concurrency);
        let sessions = resources.concurrency.map_or(auto_sessions, |(_, most)| most);
        let auto_batch =
            if spec.image().is_some() { auto_batch } else { numbers_batch_rows(spec, auto_batch) };
        let auto_batch = tuned.map_or(auto_batch, |tuned| tuned.batch_size);
        let batch_rows = spec.fixed_batch.or(resources.batch_size).unwrap_or(auto_batch);
        Self {
            batch_rows,
            least_rows: if on_gpu { batch_rows } else { spec.fixed_batch.unwrap_or(1) },
            sessions,
            threads,
            workers: if on_gpu { sessions + BATCHES_AHEAD } else { sessions * threads },
            decode_threads: on_gpu.then_some(cores),
        }
    }
}

/// Rows per batch of a model without an image; `auto_batch` if an input or output has dynamic row lengths.
fn numbers_batch_rows(spec: &ModelSpec, auto_batch: usize) -> usize {
    let inputs = spec.numbers().map(NumbersSpec::row_length);
    let outputs = spec.outputs.iter().map(fixed_length);
    let numbers = inputs.chain(outputs).try_fold(1, |sum: usize, length| Some(sum.saturating_add(length?)));
    numbers.map_or(auto_batch, |numbers| (NUMBERS_PER_RUN / numbers).clamp(1, NUMBERS_BATCH_ROWS))
}

/// Images per batch on a CPU for a model of `weights` bytes: a power of two, at most 8.
///
/// Measured on two cores, images per second at batches of 1, 2, 4 and 8: EfficientNet-Lite0 (19 MB) 245, 242, 238, 236;
/// ResNet-50 (102 MB) 37.1, 38.9, 40.1, 41.1. `make bench` measures both.
fn cpu_batch_rows(weights: u64) -> usize {
    let images = (weights / WEIGHT_BYTES_PER_IMAGE).clamp(1, CPU_BATCH_ROWS);
    1 << images.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, Onnx};

    fn sizing(options: &[(&str, &str)], provider: Provider) -> Sizing {
        Sizing::new(&Folder::classifier().unwrap().resolve(options).unwrap(), provider, None)
    }

    #[test]
    fn cpu_gets_one_session_per_core_and_single_images() {
        let cores = available_parallelism().unwrap().get();
        let auto = sizing(&[], Provider::CPU);
        assert_eq!(
            auto,
            Sizing {
                batch_rows: 1,
                least_rows: 1,
                sessions: cores,
                threads: 1,
                workers: cores,
                decode_threads: None
            }
        );
    }

    #[test]
    fn large_models_get_batches() {
        assert_eq!([1 << 10, 19 << 20, 25 << 20, 102 << 20, 2 << 30].map(cpu_batch_rows), [1, 1, 2, 8, 8]);
    }

    #[test]
    fn number_batches_shrink_with_the_row_length() {
        let batch = |input: &str, output: &str| {
            let onnx = Onnx::new().input("x", "float32", input).node("Gemm", &["x"], "y");
            let folder = Folder::with(&onnx.output("y", "float32", output)).unwrap();
            Sizing::new(&folder.resolve(&[]).unwrap(), Provider::CPU, None).batch_rows
        };
        assert_eq!(batch("b,4", "b,3"), 1024);
        assert_eq!(batch("b,512", "b,511"), 256);
        assert_eq!(batch("b,128", "b,3,512,512"), 1);
        assert_eq!(batch("b,n", "b,768"), 1);
    }

    #[test]
    fn options_override_the_defaults() {
        let options = [("batch_size", "6"), ("concurrency", "1..3"), ("num_cpus", "2")];
        let given = sizing(&options, Provider::CPU);
        let expected = Sizing {
            batch_rows: 6,
            least_rows: 1,
            sessions: 3,
            threads: 2,
            workers: 6,
            decode_threads: None,
        };
        assert_eq!(given, expected);
    }

    #[test]
    fn gpu_gets_full_batches_decoded_ahead_on_all_cores() {
        let cores = available_parallelism().unwrap().get();
        let expected = Sizing {
            batch_rows: 32,
            least_rows: 32,
            sessions: 2,
            threads: 1,
            workers: 10,
            decode_threads: Some(cores),
        };
        assert_eq!(sizing(&[], Provider::cuda(0)), expected);
        assert_eq!(sizing(&[("num_gpus", "0.25")], Provider::cuda(0)).sessions, 4);
    }

    #[test]
    fn what_tune_chose_is_the_default_and_options_override_it() {
        let spec = |options: &[(&str, &str)]| Folder::classifier().unwrap().resolve(options).unwrap();
        let tuned = Some(Choice { batch_size: 4, concurrency: 1, num_cpus: 2 });
        let auto = Sizing::new(&spec(&[]), Provider::CPU, tuned);
        assert_eq!((auto.batch_rows, auto.sessions, auto.threads, auto.workers), (4, 1, 2, 2));
        assert_eq!(Sizing::new(&spec(&[("batch_size", "3")]), Provider::CPU, tuned).batch_rows, 3);
    }
}

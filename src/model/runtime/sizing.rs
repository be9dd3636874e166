//! How many sessions a model gets, on how many threads, with what batch: the options, or what the device is best at.

use std::thread::available_parallelism;

use super::session::Provider;
use crate::model::input::NumbersSpec;
use crate::model::onnx::fixed_length;
use crate::model::spec::ModelSpec;

/// Images in a batch on a GPU when the model does not say: enough to fill it, little enough to fit beside another.
const GPU_BATCH_ROWS: usize = 32;

/// Bytes of weights for each image of a batch: reading them once a run then costs little beside computing.
const WEIGHT_BYTES_AN_IMAGE: u64 = 12 << 20;

/// Images in a batch on a processor when the model does not say, at most: activations grow with them.
const CPU_BATCH_ROWS: u64 = 8;

/// Rows in a batch of a model that takes numbers alone, at most: a run's own cost is then little beside theirs.
const NUMBERS_BATCH_ROWS: usize = 1024;

/// Numbers that a model without an image takes and gives in one run when it does not say how many rows: a megabyte, and a
/// limit to what it computes between them.
const NUMBERS_A_RUN: usize = 1 << 18;

/// Sessions on a GPU when the model does not say: one computes while the next batch is copied in.
const GPU_SESSIONS: usize = 2;

/// The resources of one model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Images in one run of the model, at most.
    pub batch_rows: usize,
    /// Images that are worth a run of their own when the last ones are shared out among workers.
    pub least_rows: usize,
    /// Sessions in the pool, at most.
    pub sessions: usize,
    /// Threads that one session computes on.
    pub threads: usize,
    /// Threads that decode images and feed the sessions; partitions of the operator.
    pub workers: usize,
}

impl Sizing {
    /// Sizes `spec` for this machine's cores.
    ///
    /// On a CPU the best is one session a core, each on one thread: nothing is then waited for. Small models run image by
    /// image, whose tensor stays in the core's cache. Large ones run on a few, for each run reads all weights from memory:
    /// see `cpu_batch_rows` below. A worker decodes and runs in turn, so as many workers as threads keep
    /// the cores busy and no busier. On a GPU decoding is what all cores are needed for.
    #[must_use]
    pub fn new(spec: &ModelSpec, provider: Provider) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        let resources = &spec.resources;
        let threads = resources.num_cpus.unwrap_or(1);
        let on_gpu = matches!(provider, Provider::Cuda(_));
        let (auto_batch, auto_sessions) = if on_gpu {
            // A share of 0.5 puts two sessions on a device.
            let share = resources.num_gpus.map(|share| (1.0 / share).floor().max(1.0) as usize);
            (GPU_BATCH_ROWS, share.unwrap_or(GPU_SESSIONS))
        } else {
            let weights = std::fs::metadata(&spec.file).map_or(0, |file| file.len());
            (cpu_batch_rows(weights), (cores / threads).max(1))
        };
        let sessions = resources.concurrency.map_or(auto_sessions, |(_, most)| most);
        let auto_batch =
            if spec.image().is_some() { auto_batch } else { numbers_batch_rows(spec, auto_batch) };
        let batch_rows = spec.fixed_batch.or(resources.batch_size).unwrap_or(auto_batch);
        Self {
            batch_rows,
            least_rows: if on_gpu { batch_rows } else { spec.fixed_batch.unwrap_or(1) },
            sessions,
            threads,
            workers: if on_gpu { cores.max(sessions) } else { sessions * threads },
        }
    }
}

/// Rows in a batch of a model that takes numbers alone; `auto_batch` where the graph leaves open how many that are.
fn numbers_batch_rows(spec: &ModelSpec, auto_batch: usize) -> usize {
    let taken = spec.numbers().map(NumbersSpec::row_length);
    let given = spec.outputs.iter().map(fixed_length);
    let numbers = taken.chain(given).try_fold(1, |sum: usize, length| Some(sum.saturating_add(length?)));
    numbers.map_or(auto_batch, |numbers| (NUMBERS_A_RUN / numbers).clamp(1, NUMBERS_BATCH_ROWS))
}

/// Images in a batch on a CPU for a model of so many bytes: a power of two, up to 8.
///
/// Measured on two cores, images a second at batches of 1, 2, 4 and 8: EfficientNet-Lite0 (19 MB) 245, 242, 238, 236;
/// ResNet-50 (102 MB) 37.1, 38.9, 40.1, 41.1. `make bench` measures both.
fn cpu_batch_rows(weights: u64) -> usize {
    let images = (weights / WEIGHT_BYTES_AN_IMAGE).clamp(1, CPU_BATCH_ROWS);
    1 << images.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, Onnx};

    fn sizing(options: &[(&str, &str)], provider: Provider) -> Sizing {
        Sizing::new(&Folder::classifier().unwrap().resolve(options).unwrap(), provider)
    }

    #[test]
    fn a_processor_gets_a_session_a_core_and_single_images() {
        let cores = available_parallelism().unwrap().get();
        let auto = sizing(&[], Provider::Cpu);
        assert_eq!(
            auto,
            Sizing { batch_rows: 1, least_rows: 1, sessions: cores, threads: 1, workers: cores }
        );
    }

    #[test]
    fn large_models_get_batches() {
        assert_eq!([1 << 10, 19 << 20, 25 << 20, 102 << 20, 2 << 30].map(cpu_batch_rows), [1, 1, 2, 8, 8]);
    }

    #[test]
    fn numbers_go_by_the_thousand_unless_they_are_many() {
        let batch = |input: &str, output: &str| {
            let onnx = Onnx::new().input("x", "float32", input).node("Gemm", &["x"], "y");
            let folder = Folder::with(&onnx.output("y", "float32", output)).unwrap();
            Sizing::new(&folder.resolve(&[]).unwrap(), Provider::Cpu).batch_rows
        };
        assert_eq!(batch("b,4", "b,3"), 1024);
        assert_eq!(batch("b,512", "b,511"), 256);
        assert_eq!(batch("b,128", "b,3,512,512"), 1);
        assert_eq!(batch("b,n", "b,768"), 1);
    }

    #[test]
    fn options_bind() {
        let options = [("batch_size", "6"), ("concurrency", "1..3"), ("num_cpus", "2")];
        let given = sizing(&options, Provider::Cpu);
        assert_eq!(given, Sizing { batch_rows: 6, least_rows: 1, sessions: 3, threads: 2, workers: 6 });
    }

    #[test]
    fn a_gpu_gets_full_batches_and_every_core_to_decode() {
        let cores = available_parallelism().unwrap().get();
        let auto = sizing(&[], Provider::Cuda(0));
        assert_eq!(
            (auto.batch_rows, auto.least_rows, auto.sessions, auto.workers),
            (32, 32, 2, cores.max(2))
        );
        assert_eq!(sizing(&[("num_gpus", "0.25")], Provider::Cuda(0)).sessions, 4);
    }
}

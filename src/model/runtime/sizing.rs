//! Batch size, sessions and threads of a model: from the options, or else chosen for the device.

use super::providers::{Machine, Provider};
use super::tuning::Choice;
use crate::model::input::NumbersSpec;
use crate::model::onnx::fixed_length;
use crate::model::spec::{ModelSpec, Precision, Resources};

/// Default images per batch on a GPU: enough to fill it, few enough to leave room for another batch.
const GPU_BATCH_ROWS: usize = 32;

/// Batches for each GPU that are decoded, or being decoded, while the sessions compute. Measured with EfficientNet-Lite0 on
/// an H100 with 16 cores, images per second compared to 2 batches: 4 give 1.19, 8 give 1.29.
const BATCHES_AHEAD: usize = 8;

/// Bytes of weights per image of a batch on a CPU, and maximum default images for them.
const WEIGHT_BYTES_PER_IMAGE: u64 = 24 << 20;
const WEIGHT_BATCH_ROWS: u64 = 4;

/// Bytes of dense weights per image of a batch, so that reading them once per run costs little compared to computing.
const DENSE_BYTES_PER_IMAGE: u64 = 12 << 20;

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
    /// Most rows of a morsel, if TUNE has chosen that.
    pub morsel_rows: Option<usize>,
    /// Fewest rows worth a separate run when the last rows are distributed among workers.
    pub least_rows: usize,
    /// Devices that the sessions are divided among.
    pub devices: usize,
    /// Maximum sessions in the pool.
    pub sessions: usize,
    /// Threads per session.
    pub threads: usize,
    /// Threads that run the sessions, each with a batch of its own; also the operator's partitions.
    pub workers: usize,
    /// Threads that decode images for all workers, side by side; `None` if each worker decodes its own.
    pub decode_threads: Option<usize>,
}

/// What of a model decides its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ModelFacts {
    /// Bytes of its file and of weights beside it.
    pub(super) weight_bytes: u64,
    /// Bytes of those that each row is multiplied with once.
    pub(super) dense_bytes: u64,
    /// Whether it computes on integers, as its option `precision` says.
    pub(super) on_integers: bool,
    /// The only batch size that the graph accepts, if it is fixed.
    pub(super) fixed_batch: Option<usize>,
    pub(super) row: Row,
}

/// A row of a model's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// An image.
    Image,
    /// This many numbers, outputs included; `None` if an input or output is of any length.
    Numbers(Option<usize>),
}

impl ModelFacts {
    pub(super) fn of(spec: &ModelSpec) -> Self {
        let row = if spec.image().is_some() {
            Row::Image
        } else {
            let inputs = spec.numbers().map(NumbersSpec::row_length);
            let mut lengths = inputs.chain(spec.outputs.iter().map(fixed_length));
            Row::Numbers(lengths.try_fold(0, |sum: usize, length| Some(sum.saturating_add(length?))))
        };
        let graph = std::fs::metadata(&spec.file).map_or(0, |file| file.len());
        Self {
            weight_bytes: graph + spec.external_bytes,
            dense_bytes: spec.dense_bytes,
            on_integers: spec.resources.precision == Precision::Int8,
            fixed_batch: spec.fixed_batch,
            row,
        }
    }
}

impl Sizing {
    /// Sizes a model for the cores of `machine` and the devices of `provider`; an option that is given is kept.
    ///
    /// On a CPU, one single-threaded session per core is fastest, since threads never wait for each other. Small models
    /// run one image at a time, whose tensor stays in the core's cache. Large ones run a few at a time, since each run
    /// reads all weights from memory; see `cpu_batch_rows` below. A worker alternates between decoding and inference,
    /// so one worker per thread keeps all cores busy without oversubscription.
    ///
    /// On GPUs all cores decode, together for one batch after the other, since a batch is many images and a GPU waits
    /// for it. A worker takes a batch through decoding and inference, and there are more of them than sessions.
    #[must_use]
    pub(super) fn new(
        machine: &Machine,
        model: &ModelFacts,
        options: &Resources,
        provider: Provider,
    ) -> Self {
        let cores = machine.cores;
        let threads = options.num_cpus.unwrap_or(1);
        let device_sessions = provider.kind().device_sessions();
        let on_gpu = device_sessions.is_some();
        let (auto_batch, auto_sessions) = match device_sessions {
            Some(device_sessions) => {
                // A share of 0.5 means two sessions per device.
                let sessions = options.num_gpus.map(|share| (1.0 / share).floor().max(1.0) as usize);
                (GPU_BATCH_ROWS, sessions.unwrap_or(device_sessions) * provider.count())
            }
            None => (cpu_batch_rows(model), (cores / threads).max(1)),
        };
        let sessions = options.concurrency.map_or(auto_sessions, |(_, most)| most);
        let auto_batch = match model.row {
            Row::Numbers(Some(numbers)) => (NUMBERS_PER_RUN / numbers.max(1)).clamp(1, NUMBERS_BATCH_ROWS),
            Row::Image | Row::Numbers(None) => auto_batch,
        };
        let batch_rows = model.fixed_batch.or(options.batch_size).unwrap_or(auto_batch);
        Self {
            batch_rows,
            morsel_rows: None,
            least_rows: if on_gpu { batch_rows } else { model.fixed_batch.unwrap_or(1) },
            devices: provider.count(),
            sessions,
            threads,
            workers: if on_gpu { sessions + BATCHES_AHEAD * provider.count() } else { sessions * threads },
            decode_threads: on_gpu.then_some(cores),
        }
    }

    /// What of it may be tuned.
    pub(crate) fn choice(&self) -> Choice {
        let Self { batch_rows, morsel_rows, sessions, threads, .. } = *self;
        Choice { batch_size: batch_rows, concurrency: sessions, num_cpus: threads, morsel_rows }
    }
}

/// Images per batch on a CPU, a power of two: few, at most 4, by the weights; on integers at least 2, since activations then take
/// a quarter of the memory; with large dense layers, which read their weights for one product an image, more.
///
/// Measured on two cores, images per second at batches of 1, 2, 4 and 8. On an Intel: EfficientNet-Lite0 (19 MB) 270, 268, 260,
/// 248; ViT-S/16 (88 MB) 32.7, 33.1, 31.0, 28.1; ResNet-50 (102 MB) 42.7, 43.8, 42.0, 41.9, and at 2, 4 and 8 by turns 41.0,
/// 42.1, 41.6. On an AMD: 184, 192, 187, 178; 19.1, 19.3, 19.1, 19.0; 25.0, 25.5, 25.3, 24.6 (`make bench-tuning`). An AlexNet
/// (244 MB, nearly all dense) is fastest at 16. Twins on integers, with VNNI, compared to a batch of 1: Lite0 1.05 at 2 and 1.06
/// at 4; Lite2 1.02 and 0.93; ResNet-50 0.97 and 0.91.
fn cpu_batch_rows(model: &ModelFacts) -> usize {
    let dense = (model.dense_bytes / DENSE_BYTES_PER_IMAGE).min(CPU_BATCH_ROWS);
    let all = (model.weight_bytes / WEIGHT_BYTES_PER_IMAGE).min(WEIGHT_BATCH_ROWS);
    let least = if model.on_integers { 2 } else { 1 };
    1 << dense.max(all).max(least).ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, Onnx};

    fn sizing(model: ModelFacts, options: &[(&str, &str)], provider: Provider) -> Sizing {
        let machine = Machine { cores: 6, ..Machine::without_gpus() };
        let options = Folder::classifier().unwrap().resolve(options).unwrap().resources;
        Sizing::new(&machine, &model, &options, provider)
    }

    const IMAGES: ModelFacts = ModelFacts {
        weight_bytes: 1 << 10,
        dense_bytes: 0,
        on_integers: false,
        fixed_batch: None,
        row: Row::Image,
    };

    #[test]
    fn large_models_get_batches() {
        let rows = |weight_bytes| cpu_batch_rows(&ModelFacts { weight_bytes, ..IMAGES });
        assert_eq!([1 << 10, 19 << 20, 48 << 20, 88 << 20, 102 << 20, 2 << 30].map(rows), [1, 1, 2, 2, 4, 4]);
        let on_integers =
            |weight_bytes| cpu_batch_rows(&ModelFacts { weight_bytes, on_integers: true, ..IMAGES });
        assert_eq!([5 << 20, 52 << 20].map(on_integers), [2, 2]);
    }

    #[test]
    fn models_with_large_dense_layers_get_larger_ones() {
        let rows = |dense_bytes| {
            cpu_batch_rows(&ModelFacts { weight_bytes: 1 << 20 | dense_bytes, dense_bytes, ..IMAGES })
        };
        assert_eq!([5 << 20, 24 << 20, 50 << 20, 234 << 20].map(rows), [1, 2, 4, 8]);
    }

    #[test]
    fn dense_weights_are_those_of_gemm() {
        let facts = |onnx: Onnx| {
            let onnx = onnx.output("y", "float32", "b,4");
            ModelFacts::of(&Folder::with(&onnx).unwrap().resolve(&[]).unwrap())
        };
        let input = || Onnx::new().input("x", "float32", "b,3").constant("w", &[3, 4], &[0.5; 12]);
        assert_eq!(facts(input().node("Gemm", &["x", "w"], "y")).dense_bytes, 48);
        assert_eq!(facts(input().node("MatMul", &["x", "w"], "y")).dense_bytes, 0);
        let quantized = input().node("DequantizeLinear", &["w", "s"], "d").node("Gemm", &["x", "d"], "y");
        assert_eq!(facts(quantized).dense_bytes, 48);
    }

    #[test]
    fn weights_beside_the_graph_count() {
        let folder =
            Folder::with(&Onnx::classifier("b,3,224,224", 2).weight_in_file("w", "weights")).unwrap();
        let auto = |bytes: u64| {
            std::fs::File::create(folder.path().join("weights")).unwrap().set_len(bytes).unwrap();
            sizing(ModelFacts::of(&folder.resolve(&[]).unwrap()), &[], Provider::CPU).batch_rows
        };
        assert_eq!([1 << 20, 102 << 20].map(auto), [1, 4]);
    }

    #[test]
    fn number_batches_shrink_with_the_row_length() {
        let batch = |input: &str, output: &str| {
            let onnx = Onnx::new().input("x", "float32", input).node("Gemm", &["x"], "y");
            let folder = Folder::with(&onnx.output("y", "float32", output)).unwrap();
            sizing(ModelFacts::of(&folder.resolve(&[]).unwrap()), &[], Provider::CPU).batch_rows
        };
        assert_eq!(batch("b,4", "b,3"), 1024);
        assert_eq!(batch("b,512", "b,511"), 256);
        assert_eq!(batch("b,128", "b,3,512,512"), 1);
        assert_eq!(batch("b,n", "b,768"), 1);
    }

    #[test]
    fn options_override_the_defaults() {
        let options = [("batch_size", "8"), ("concurrency", "1..3"), ("num_cpus", "2")];
        let expected = Sizing {
            batch_rows: 8,
            morsel_rows: None,
            least_rows: 1,
            devices: 1,
            sessions: 3,
            threads: 2,
            workers: 6,
            decode_threads: None,
        };
        assert_eq!(sizing(IMAGES, &options, Provider::CPU), expected);
        assert_eq!(sizing(IMAGES, &[("num_cpus", "4")], Provider::CPU).sessions, 1);
        let gpu = sizing(IMAGES, &options, Provider::cuda(1));
        assert_eq!((gpu.least_rows, gpu.workers, gpu.decode_threads), (8, 11, Some(6)));
    }

    #[test]
    fn a_batch_that_the_graph_fixes_is_never_divided() {
        let fixed = ModelFacts { fixed_batch: Some(4), ..IMAGES };
        let sizing = sizing(fixed, &[], Provider::CPU);
        assert_eq!((sizing.batch_rows, sizing.least_rows), (4, 4));
    }
}

//! What inference needs besides inputs and models.

use std::time::Duration;

use datafusion::execution::memory_pool::MemoryReservation;
use parking_lot::Mutex;
use rayon::ThreadPool;

use super::batcher::BatchBuffers;
use super::metrics::InferMetrics;
use super::worker_memory::WorkerMemory;
use crate::model::runtime::Cancellation;

/// The limits, metrics and memory of one worker.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) max_image_pixels: u64,
    pub(crate) metrics: &'a InferMetrics,
    pub(crate) reservation: &'a MemoryReservation,
    pub(crate) memory: &'a WorkerMemory<Vec<BatchBuffers>>,
    pub(crate) cancellation: &'a Cancellation,
    /// The batch size that was found to be faster than the model's own, or is tried.
    pub(crate) batch: Option<usize>,
    /// Gets the row and the decoding time of each image, if there is a record of them.
    pub(crate) decoded: Option<&'a Mutex<Vec<(usize, Duration)>>>,
    /// Threads that decode a morsel's images; `None` if the caller's own does.
    pub(crate) decoders: Option<&'a ThreadPool>,
}

//! What inference needs besides inputs and models.

use rayon::ThreadPool;

use super::adapt::BatchSize;
use super::batcher::BatchBuffers;
use super::metrics::{InferMetrics, Observed};
use super::worker_memory::{Reservation, WorkerMemory};
use crate::bounds::Bounds;
use crate::model::runtime::Cancellation;

/// The limits, metrics and memory of one worker.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) bounds: Bounds,
    pub(crate) metrics: &'a InferMetrics,
    pub(crate) reservation: &'a Reservation,
    pub(crate) memory: &'a WorkerMemory<Vec<BatchBuffers>>,
    pub(crate) cancellation: &'a Cancellation,
    /// For each of the plan's models, the batch size that was found to be faster than its own, or is tried.
    pub(crate) batches: Vec<Option<BatchSize>>,
    /// Is told of each image that is decoded, if there is a record of them.
    pub(crate) observed: Option<&'a Observed<'a>>,
    /// Threads that decode a morsel's images; `None` if the caller's own does.
    pub(crate) decoders: Option<&'a ThreadPool>,
}

impl Context<'_> {
    /// The batch size for the plan's model at `position`, if it is not the model's own.
    pub(crate) fn batch(&self, position: usize) -> Option<BatchSize> {
        self.batches.get(position).copied().flatten()
    }
}

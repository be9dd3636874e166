//! What inference needs besides inputs and models.

use datafusion::error::Result;
use rayon::ThreadPool;

use super::batcher::{BatchBuffers, Batcher};
use super::guard::InHand;
use super::worker_memory::{Reservation, WorkerMemory};
use crate::bounds::Bounds;
use crate::exec::adapt::BatchSize;
use crate::exec::metrics::{InferMetrics, Observed};
use crate::failures::Failure;
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
    /// The rows that are worked on, if the process may die of one.
    pub(crate) in_hand: Option<&'a InHand<'a>>,
    /// Threads that decode a morsel's images; `None` if the caller's own does.
    pub(crate) decoders: Option<&'a ThreadPool>,
}

impl Context<'_> {
    /// The batch size for the plan's model at `position`, if it is not the model's own.
    pub(crate) fn batch(&self, position: usize) -> Option<BatchSize> {
        self.batches.get(position).copied().flatten()
    }

    /// Notes that work on a row begins.
    ///
    /// # Errors
    /// A name that can't be shown.
    pub(crate) fn take(&self, row: usize) -> Result<()> {
        self.in_hand.map_or(Ok(()), |in_hand| in_hand.take(row))
    }

    /// Notes that no row is worked on, if the models have run on all that were taken.
    pub(crate) fn put_down(&self, batchers: &[Batcher<'_>]) {
        if let Some(in_hand) = self.in_hand.filter(|_| batchers.iter().all(|batcher| batcher.filled() == 0)) {
            in_hand.put_down();
        }
    }

    /// Why a row is not to be touched.
    pub(crate) fn untouched(&self, row: usize) -> Option<Failure> {
        self.in_hand?.failure(row)
    }
}

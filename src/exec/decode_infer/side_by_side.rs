//! Decodes the images of a batch side by side, on all cores, for a device that waits for the whole batch.
//!
//! ```text
//!                    ┌─ core: decode, resize, normalise ─► slot 0 ─┐
//!  rows of a morsel ─┼─ core: …                         ─► slot 1 ─┼─► Batcher: closes gaps of failed rows, runs
//!                    └─ core: …                         ─► slot 2 ─┘
//! ```
//!
//! While one worker's batch runs on the device, the cores decode another worker's.

use std::ops::Range;
use std::sync::{Arc, Weak};

use datafusion::error::{DataFusionError, Result};
use parking_lot::Mutex;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::{ThreadPool, ThreadPoolBuilder};
use seequel_pixels::Target;
use seequel_udfs::ImageArray;

use super::batcher::{BatchBuffers, Batcher};
use super::context::Context;
use super::decode_row::decode_row;
use super::inference_plan::ModelPlan;
use super::worker_memory::{Held, Lent};
use crate::clock::Clock;
use crate::exec::failures::ImageFailures;
use crate::failures::{Failure, Stage};
use crate::model::tensor::{Placement, Preprocessor};

/// The threads that decode for an operator's workers. The first worker starts them, and they end with the last.
#[derive(Debug)]
pub(crate) struct Decoders {
    threads: usize,
    pool: Mutex<Weak<ThreadPool>>,
}

impl Decoders {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads, pool: Mutex::new(Weak::new()) }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    /// The threads, which run as long as anyone keeps them.
    ///
    /// # Errors
    /// If the system refuses more threads.
    pub(crate) fn start(&self) -> Result<Arc<ThreadPool>> {
        let mut current = self.pool.lock();
        if let Some(pool) = current.upgrade() {
            return Ok(pool);
        }
        let pool = ThreadPoolBuilder::new()
            .num_threads(self.threads)
            .thread_name(|number| format!("decode-{number}"))
            .build()
            .map_err(|error| DataFusionError::External(Box::new(error)))?;
        let pool = Arc::new(pool);
        *current = Arc::downgrade(&pool);
        Ok(pool)
    }
}

/// What became of a row's image for one model.
#[derive(Debug)]
enum Prepared {
    /// The image is NULL.
    Null,
    /// It is in its slot.
    Written(Placement),
    Failed(Failure),
}

/// What became of a row for each model, and why it has no image, if it has none.
type PreparedRow = (Vec<Prepared>, Option<Failure>);

fn failed(stage: Stage, reason: &str) -> Prepared {
    Prepared::Failed(Failure::new(stage, reason))
}

/// Decodes `rows` rows on the threads of `decoders`, as many at once as the models' tensors have room for, and gives them
/// to `batchers`. `clock` is that of the thread that waits for them.
///
/// # Errors
/// Those of running a model; cancellation.
pub(crate) fn decode_side_by_side(
    images: &ImageArray<'_>,
    rows: usize,
    plans: &[ModelPlan],
    batchers: &mut [Batcher<'_>],
    held: &Held<'_, Vec<BatchBuffers>>,
    context: &Context<'_>,
    (clock, decoders): (&Clock, &ThreadPool),
) -> Result<ImageFailures> {
    let (mut next, mut failures) = (0, ImageFailures::new());
    while next < rows {
        context.cancellation.check()?;
        let room = batchers.iter().map(Batcher::room).min().unwrap_or(rows).max(1);
        let chunk = next..rows.min(next + room);
        let first_slots: Vec<_> = batchers.iter().map(Batcher::filled).collect();
        chunk.clone().try_for_each(|row| context.take(row))?;
        let prepared = {
            let job = Job { images, plans, lent: held.lend(), context };
            let slots = slots(batchers, chunk.len());
            let _waiting = clock.during(&context.metrics.decode_wait_time);
            decoders.install(|| job.prepare(chunk.clone(), slots))?
        };
        for (position, (row, (prepared, failure))) in chunk.clone().zip(prepared).enumerate() {
            failures.extend(failure.map(|failure| (row, failure)));
            for ((batcher, first), prepared) in batchers.iter_mut().zip(&first_slots).zip(prepared) {
                match prepared {
                    Prepared::Null => {}
                    Prepared::Written(placement) => batcher.push_written(row, first + position, placement)?,
                    Prepared::Failed(failure) => batcher.fail(row, &failure),
                }
            }
        }
        context.put_down(batchers);
        next = chunk.end;
    }
    Ok(failures)
}

/// The free slots of all models for `rows` rows: for each row, a slot of each model.
fn slots<'a>(batchers: &'a mut [Batcher<'_>], rows: usize) -> Vec<Vec<Option<Target<'a>>>> {
    let mut free: Vec<_> = batchers.iter_mut().map(|batcher| batcher.free_slots().into_iter()).collect();
    (0..rows).map(|_| free.iter_mut().map(Iterator::next).collect()).collect()
}

/// What the decoding of a batch needs on each thread.
struct Job<'a> {
    images: &'a ImageArray<'a>,
    plans: &'a [ModelPlan],
    lent: Lent<'a, Vec<BatchBuffers>>,
    context: &'a Context<'a>,
}

impl Job<'_> {
    /// Decodes `rows`; returns for each what became of it.
    fn prepare(&self, rows: Range<usize>, slots: Vec<Vec<Option<Target<'_>>>>) -> Result<Vec<PreparedRow>> {
        let preprocessors = || {
            let images = self.plans.iter().map(|plan| plan.model.spec().image());
            images.map(|image| image.map(Preprocessor::new)).collect::<Vec<_>>()
        };
        rows.into_par_iter()
            .zip(slots)
            .map_init(preprocessors, |preprocessors, (row, slots)| {
                self.prepare_row(row, slots, preprocessors)
            })
            .collect()
    }

    fn prepare_row(
        &self,
        row: usize,
        mut slots: Vec<Option<Target<'_>>>,
        preprocessors: &mut [Option<Preprocessor>],
    ) -> Result<PreparedRow> {
        self.context.cancellation.check()?;
        if let Some(failure) = self.context.untouched(row) {
            let failed = self.plans.iter().map(|_| Prepared::Failed(failure.clone()));
            return Ok((failed.collect(), Some(failure)));
        }
        let Some(bytes) = self.images.get(row) else {
            let reason = self.images.reason(row);
            let missing = || reason.map_or(Prepared::Null, |reason| failed(Stage::Read, reason));
            let failure = reason.map(|reason| Failure::new(Stage::Read, reason));
            return Ok((self.plans.iter().map(|_| missing()).collect(), failure));
        };
        let mut all: Vec<_> = self.plans.iter().map(|_| Prepared::Null).collect();
        let clock = Clock::start(&self.context.metrics.decode_time);
        let failure =
            decode_row(row, bytes, self.plans, &self.lent.pixels(), self.context, &clock, |model, image| {
                let spec = self.plans[model].model.spec().image();
                let prepared = match (image, spec, &mut preprocessors[model], slots[model].take()) {
                    (Ok(image), Some(spec), Some(preprocessor), Some(slot)) => {
                        let _preprocessing = clock.next(&self.context.metrics.preprocess_time);
                        match preprocessor.write_to(image, slot) {
                            Ok(()) => Prepared::Written(Placement::new(spec, image)),
                            Err(reason) => failed(Stage::Preprocess, &reason),
                        }
                    }
                    (Ok(_), ..) => failed(Stage::Preprocess, "the model takes no image"),
                    (Err(reason), ..) => failed(Stage::Decode, &reason.to_string()),
                };
                all[model] = prepared;
                Ok(())
            })?;
        Ok((all, failure))
    }
}

//! Trials of changes: the operator that infers, on some of the query's rows, which are in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use super::measured::Measured;
use crate::Result;
use crate::exec::{InferExchangeExec, InferExec, PhysicalCall};
use crate::model::Predictor;
use crate::model::runtime::Model;
use crate::plan::plan_inference;
use crate::tune::Rows;

/// Rows to try changes on, as few as are read in the time, and as have the bytes.
const MOST_ROWS: usize = 64;
const MOST_BYTES: usize = 128 << 20;
const MOST_TIME: Duration = Duration::from_secs(3);

/// How long a turn of a trial takes.
const TURN: Duration = Duration::from_millis(400);

/// Turns of each change, each beside one of the operator as it is.
const TURNS: usize = 3;

/// A change that gains less in its first turn gets no other.
const HOPELESS: f64 = 1.02;

/// An operator, and rows for it.
pub(in crate::advise) struct Trials<'a> {
    pub(in crate::advise) context: &'a SessionContext,
    pub(in crate::advise) infer: &'a InferExec,
    pub(in crate::advise) schema: SchemaRef,
    pub(in crate::advise) batches: Vec<RecordBatch>,
    partitions: usize,
    /// Rows a second of the query, to begin with.
    rate: f64,
}

/// The operator, changed.
pub(in crate::advise) struct Change {
    pub(in crate::advise) calls: Vec<PhysicalCall>,
    pub(in crate::advise) batches: Vec<RecordBatch>,
    pub(in crate::advise) partitions: usize,
}

impl<'a> Trials<'a> {
    /// Trials for `infer`, an operator of the query that ran; `None` if it gets no rows.
    ///
    /// # Errors
    /// Those of the query.
    pub(in crate::advise) async fn new(
        context: &'a SessionContext,
        measured: &Measured,
        infer: &'a InferExec,
    ) -> Result<Option<Self>> {
        let input = &infer.input;
        let below = match input.downcast_ref::<InferExchangeExec>() {
            Some(_) => input.children().first().map_or_else(|| Arc::clone(input), |below| Arc::clone(below)),
            None => Arc::clone(input),
        };
        // Of its own, so that the accounts of the run stay what they are.
        let below = reset_plan_states(below)?;
        let schema = below.schema();
        let (mut batches, mut rows, mut bytes, started) = (vec![], 0, 0, Instant::now());
        let mut stream = execute_stream(below, context.task_ctx())?;
        while let Some(batch) = stream.next().await.transpose()? {
            let batch = batch.slice(0, batch.num_rows().min(MOST_ROWS - rows));
            rows += batch.num_rows();
            bytes += batch.get_array_memory_size();
            batches.push(batch);
            if rows >= MOST_ROWS || bytes >= MOST_BYTES || started.elapsed() >= MOST_TIME {
                break;
            }
        }
        let partitions = context.state_ref().read().config().target_partitions();
        let rate = measured.rate();
        Ok((rows > 0).then_some(Self { context, infer, schema, batches, partitions, rate }))
    }

    /// The operator as it is.
    pub(in crate::advise) fn unchanged(&self) -> Change {
        let (calls, batches) = (self.infer.calls.clone(), self.batches.clone());
        Change { calls, batches, partitions: self.partitions }
    }

    /// The operator with `other` in the place of `model`.
    pub(in crate::advise) fn with_model(&self, model: &Arc<Model>, other: &Arc<Model>) -> Change {
        let replaced = |call: &PhysicalCall| {
            let predictor = match &call.predictor {
                Predictor::Model(own) if own == model => Predictor::Model(Arc::clone(other)),
                predictor => predictor.clone(),
            };
            PhysicalCall { predictor, ..call.clone() }
        };
        Change { calls: self.infer.calls.iter().map(replaced).collect(), ..self.unchanged() }
    }

    /// The throughput of each change in multiples of the operator's as it is; 0 if it fails.
    ///
    /// # Errors
    /// Those of the operator as it is.
    pub(in crate::advise) async fn compare(&self, changes: &[Change]) -> Result<Vec<f64>> {
        let unchanged = self.unchanged();
        let mut rate = self.rate(&unchanged, self.rate).await?;
        let mut ratios = vec![vec![]; changes.len()];
        // Loads sessions.
        for change in changes {
            let _ = self.run(change, 1).await;
        }
        for turn in 0..TURNS {
            for (change, ratios) in changes.iter().zip(&mut ratios) {
                if turn > 0 && median(ratios) < HOPELESS {
                    continue;
                }
                // Before and after, so that a machine that gets slower or faster favours neither.
                let before = self.rate(&unchanged, rate).await?;
                let changed = self.rate(change, rate).await.unwrap_or(0.0);
                rate = self.rate(&unchanged, rate).await?;
                ratios.push(2.0 * changed / (before + rate));
            }
        }
        Ok(ratios.iter().map(|ratios| median(ratios)).collect())
    }

    /// Rows a second in one turn, for which `guess` is a guess.
    async fn rate(&self, change: &Change, guess: f64) -> Result<f64> {
        let rows = |rate: f64| ((rate * TURN.as_secs_f64()) as usize).max(1);
        let (rate, time) = self.run(change, rows(guess)).await?;
        if time > TURN / 3 { Ok(rate) } else { Ok(self.run(change, rows(rate)).await?.0) }
    }

    /// Runs on `rows` rows or more, whole batches for each worker.
    async fn run(&self, change: &Change, rows: usize) -> Result<(f64, Duration)> {
        let batch = batch_rows(&change.calls);
        let rows = rows.next_multiple_of(batch.max(1));
        let source = Rows::new(change.schema(&self.schema), &change.batches, 32.max(batch)).repeated(rows)?;
        let plan = plan_inference(source, change.calls.clone(), None, change.partitions)?;
        let started = Instant::now();
        let stream = execute_stream(Arc::new(plan), self.context.task_ctx())?;
        let done = stream.try_fold(0, |done, batch| async move { Ok(done + batch.num_rows()) }).await?;
        let time = started.elapsed();
        Ok((done as f64 / time.as_secs_f64().max(1e-9), time))
    }
}

impl Change {
    fn schema(&self, schema: &SchemaRef) -> SchemaRef {
        self.batches.first().map_or_else(|| Arc::clone(schema), RecordBatch::schema)
    }
}

/// Rows of a batch for each session of the operator's models.
fn batch_rows(calls: &[PhysicalCall]) -> usize {
    let models = calls.iter().flat_map(|call| call.predictor.members());
    let rows =
        models.filter_map(|model| model.sizing().ok()).map(|sizing| sizing.batch_rows * sizing.sessions);
    rows.max().unwrap_or(1)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

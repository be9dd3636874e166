//! One measurement: a model with a configuration runs over some rows, in the operators of a query.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr, execute_stream};
use datafusion::prelude::SessionContext;
use futures::TryStreamExt;
use parking_lot::Mutex;
use seequel_udfs::{Request, check_image_type};
use tokio::time::timeout;

use super::interval::mean;
use super::rows::Rows;
use crate::exec::PhysicalCall;
use crate::model::Predictor;
use crate::model::runtime::{Choice, Model};
use crate::plan::plan_inference;
use crate::tasks::Task;
use crate::{Error, Result};

/// How often a run that was much too short is repeated with more rows: its start and end would count too much.
const MOST_GUESSES: usize = 4;

/// The first column that can hold images.
pub(super) fn image_column(schema: &Schema) -> Option<usize> {
    schema.fields().iter().position(|field| check_image_type("USING", field.data_type()).is_ok())
}

/// How often the device is looked at: drivers average over a sixth of a second to a second.
const LOOK_AT_DEVICE: Duration = Duration::from_millis(200);

/// What every trial of a model does.
pub(super) struct Workload<'a, F> {
    context: &'a SessionContext,
    rows: &'a Rows,
    request: Request,
    /// Positions of the columns that the model gets.
    columns: Vec<usize>,
    schema: Arc<Schema>,
    observe: Mutex<F>,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Rows a second.
    pub(super) rate: f64,
    pub(super) time: Duration,
    /// Share of the rows without a prediction, 0 to 1.
    pub(super) failed: f64,
    /// Whether batches were tried again row by row.
    pub(super) is_refused: bool,
    /// Share of the time in which the device computed, 0 to 1, if its driver tells.
    pub(super) device_use: Option<f64>,
}

impl<'a, F: FnMut(&Arc<dyn ExecutionPlan>)> Workload<'a, F> {
    /// The call that the task of `model` is about, on rows of `schema`. `observe` gets each plan before it runs.
    ///
    /// # Errors
    /// Columns that the model can't take.
    pub(super) fn new(
        context: &'a SessionContext,
        model: &Arc<Model>,
        rows: &'a Rows,
        schema: Arc<Schema>,
        observe: F,
    ) -> Result<Self> {
        let spec = model.spec();
        let request = match spec.task {
            Task::ImageClassification => Request::Classify,
            Task::ObjectDetection => Request::Detect,
            Task::FeatureExtraction => Request::Embed,
            Task::Other(_) => Request::Predict,
        };
        let columns = if spec.numbers().next().is_some() {
            (0..schema.fields().len()).collect()
        } else {
            image_column(&schema).into_iter().collect()
        };
        let workload = Self { context, rows, request, columns, schema, observe: Mutex::new(observe) };
        if workload.columns.is_empty() {
            let reason =
                "the query of USING has no column of images; SELECT image FROM images LIMIT 200".to_owned();
            return Err(Error::Model { model: spec.name.clone(), reason });
        }
        workload.call(model)?;
        Ok(workload)
    }

    fn call(&self, model: &Arc<Model>) -> Result<PhysicalCall> {
        let predictor = Predictor::Model(Arc::clone(model));
        let fields = self.columns.iter().map(|column| self.schema.field(*column));
        let types: Vec<_> = fields.map(|field| field.data_type().clone()).collect();
        let data_type = predictor.prediction_type(self.request, &types)?;
        let inputs = self.columns.iter().map(|column| {
            Arc::new(Column::new(self.schema.field(*column).name(), *column)) as Arc<dyn PhysicalExpr>
        });
        Ok(PhysicalCall {
            field: Arc::new(Field::new("prediction", data_type, true)),
            request: self.request,
            inputs: inputs.collect(),
            predictor,
        })
    }

    /// Loads the sessions of `model`, unless they are, and lets them run.
    ///
    /// # Errors
    /// A model that can't be loaded.
    pub(super) async fn warm(&self, model: &Arc<Model>, choice: Choice) -> Result<()> {
        // A worker may take the batches of another one, and leave its session unloaded.
        for _ in 0..3 {
            if model.loaded_sessions() >= choice.concurrency {
                break;
            }
            self.run(model, choice.batch_size * choice.concurrency).await?;
        }
        Ok(())
    }

    /// Measures `model`, which has the configuration `choice`, for about as long as `time` at `rate` rows a second.
    ///
    /// # Errors
    /// A model that can't be loaded, memory that is refused.
    pub(super) async fn measure(
        &self,
        model: &Arc<Model>,
        choice: Choice,
        time: Duration,
        rate: f64,
    ) -> Result<Measured> {
        let round = choice.batch_size * choice.concurrency;
        let rows = |rate: f64| ((time.as_secs_f64() * rate) as usize).max(1).next_multiple_of(round);
        let mut measured = self.run(model, rows(rate)).await?;
        for _ in 0..MOST_GUESSES {
            if measured.time > time / 2 {
                break;
            }
            measured = self.run(model, rows(measured.rate)).await?;
        }
        Ok(measured)
    }

    async fn run(&self, model: &Arc<Model>, rows: usize) -> Result<Measured> {
        let partitions = self.context.state_ref().read().config().target_partitions();
        let plan = plan_inference(self.rows.repeated(rows)?, vec![self.call(model)?], None, partitions)?;
        let plan: Arc<dyn ExecutionPlan> = Arc::new(plan);
        (self.observe.lock())(&plan);
        let started = Instant::now();
        let stream = execute_stream(Arc::clone(&plan), self.context.task_ctx())?;
        let done = stream.try_fold(0, |done, batch| async move { Ok(done + batch.num_rows()) });
        let (done, device_use) = with_device_use(model, done).await;
        let (done, time) = (done?, started.elapsed());
        let count =
            |name| plan.metrics().and_then(|all| all.sum_by_name(name)).map_or(0, |value| value.as_usize());
        Ok(Measured {
            rate: done as f64 / time.as_secs_f64().max(1e-9),
            time,
            failed: count("failed_rows") as f64 / rows as f64,
            is_refused: count("retried_batches") > 0 || is_bounded(model)?,
            device_use,
        })
    }
}

/// Whether a run before, such as the one that loads the sessions, found that the device refuses the model's batches.
fn is_bounded(model: &Model) -> Result<bool> {
    let rows = model.sizing()?.batch_rows;
    Ok(model.bound()?.rows().is_some_and(|most| most < rows))
}

/// Awaits `work`, and looks at times how busy the device of `model` is.
async fn with_device_use<T>(model: &Model, work: impl Future<Output = T>) -> (T, Option<f64>) {
    let mut seen = vec![];
    let mut work = pin!(work);
    loop {
        match timeout(LOOK_AT_DEVICE, work.as_mut()).await {
            Ok(done) => return (done, mean(&seen)),
            Err(_) => seen.extend(model.device_use()),
        }
    }
}

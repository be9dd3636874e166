//! Plans the logical `Infer` node as operators: the exchange, and inference above it.
//!
//! ```text
//!  Infer                 InferExec, one partition per worker        if the input's rows have an order:
//!    input       ──►       InferExchangeExec, morsels                 InferExec, several morsels in flight
//!                            input                                      input
//! ```
//!
//! The number of workers is what the models' pools can use, but for models on the CPU no more than the session's
//! `target_partitions`, nor for those on a GPU more threads that decode for them. An exchange loses the order of rows. If the input has one (from ORDER BY in a subquery), its partitions are kept
//! instead, and each works on several morsels at once, in order.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{Result, internal_err};
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, PhysicalExpr};
use datafusion::physical_planner::{DefaultPhysicalPlanner, ExtensionPlanner, PhysicalPlanner};
use itertools::Itertools;
use seequel_udfs::Request;

use super::node::InferNode;
use crate::exec::exchange::{InferExchangeExec, MorselRows};
use crate::exec::{InferExec, Morsels, PhysicalCall, RowRecord};
use crate::failures::QueryFailures;
#[cfg(feature = "cluster")]
use crate::images::scan::Dealing;
use crate::model::Predictor;
use crate::model::onnx::Port;

/// Rows that morsels may grow to in a long query, to try larger batches than the first: TUNE tries no larger ones either.
const GROWN_ROWS: usize = 32;

/// Minimum rows of a morsel: enough that forwarding it is cheap compared to inference, few enough that partitions
/// finish at about the same time and LIMIT stops early.
pub(super) const MORSEL_ROWS: usize = 8;

/// Bytes of a morsel's outputs that `predict` returns, unless a single row has more. The numbers of several rows are
/// copied once more, into one column.
const OUTPUT_BYTES: usize = 4 << 20;

/// Plans `Infer` nodes; all other nodes are planned by DataFusion.
#[derive(Debug, Default)]
pub struct InferPlanner {}

#[async_trait]
impl ExtensionPlanner for InferPlanner {
    async fn plan_extension(
        &self,
        planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        planning_context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(infer) = node.as_any().downcast_ref::<InferNode>() else {
            return Ok(None);
        };
        let ([logical_input], [input]) = (logical_inputs, physical_inputs) else {
            return internal_err!("Infer has one input");
        };
        let physical = |expr: &Expr| {
            planner.create_physical_expr(expr, logical_input.schema(), session, planning_context)
        };
        let calls = infer.calls().iter().map(|(column, call)| {
            Ok(PhysicalCall {
                field: infer.prediction_field(column)?,
                request: call.request,
                inputs: call.inputs.iter().map(physical).collect::<Result<_>>()?,
                predictor: call.predictor.clone(),
            })
        });
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let row = infer.row().map(physical).transpose()?;
        #[cfg(feature = "cluster")]
        if Dealing::of(session.config_options()).is_some() {
            let inference = plan_tasks(Arc::clone(input), calls, row)?;
            return Ok(Some(Arc::new(inference.in_query(session.config_options()))));
        }
        let target_partitions = session.config().target_partitions();
        let inference = plan_inference(Arc::clone(input), calls, row, target_partitions)?;
        Ok(Some(Arc::new(inference.in_query(session.config_options()))))
    }
}

/// Inference of `calls` over each partition of `input`, for tasks of a cluster: whatever passes rows from one partition to
/// another would pass them from one machine to another. The machine that runs a task plans what is below it, by
/// [`plan_inference`].
#[cfg(feature = "cluster")]
fn plan_tasks(
    input: Arc<dyn ExecutionPlan>,
    calls: Vec<PhysicalCall>,
    row: Option<Arc<dyn PhysicalExpr>>,
) -> Result<InferExec> {
    InferExec::try_new(input, calls, row, Morsels::Ordered { rows: MORSEL_ROWS, in_flight: 1 }, None)
}

/// Inference of `calls` over `input`, above an exchange if the rows may be reordered.
pub(crate) fn plan_inference(
    input: Arc<dyn ExecutionPlan>,
    calls: Vec<PhysicalCall>,
    row: Option<Arc<dyn PhysicalExpr>>,
    target_partitions: usize,
) -> Result<InferExec> {
    let any_image = calls.iter().any(|call| call.predictor.takes_image());
    let (mut workers, mut batch_rows, mut least) = (1, 1, 1);
    let mut decode_threads = None;
    if calls.iter().all(|call| call.predictor == Predictor::Decoder) {
        workers = target_partitions;
    }
    let models: Vec<_> = calls.iter().flat_map(|call| call.predictor.members()).unique().collect();
    for model in &models {
        let sizing = model.sizing()?;
        match sizing.decode_threads {
            Some(threads) => {
                workers = workers.max(sizing.workers);
                decode_threads = Some(threads.min(target_partitions));
            }
            None => workers = workers.max(sizing.workers.min(target_partitions)),
        }
        // Rows of numbers are small, so models without images use the batch sizes of those with images.
        if model.spec().image().is_some() || !any_image {
            batch_rows = batch_rows.max(sizing.batch_rows);
            least = least.max(sizing.least_rows);
        }
    }
    // What suits one model may not suit several, which share a morsel.
    let tuned = if let [only] = models.as_slice() { only.sizing()?.morsel_rows } else { None };
    let rows = tuned.unwrap_or_else(|| morsel_rows(batch_rows)).next_multiple_of(batch_rows);
    let most = (OUTPUT_BYTES / output_bytes(&calls).max(1)).max(least);
    let rows = rows.min(most);
    if input.output_ordering().is_some() {
        let in_flight = workers.div_ceil(input.output_partitioning().partition_count().max(1));
        let morsels = Morsels::Ordered { rows, in_flight };
        return InferExec::try_new(input, calls, row, morsels, decode_threads);
    }
    let exchange = InferExchangeExec::new(input, workers, MorselRows { most: rows, least });
    let exchange = Arc::new(exchange.growing_to(rows.max(GROWN_ROWS.min(most))));
    InferExec::try_new(exchange, calls, row, Morsels::Exchanged, decode_threads)
}

/// Rows of a morsel for a batch size, unless others are tuned: whole batches.
pub(crate) fn morsel_rows(batch_rows: usize) -> usize {
    batch_rows * MORSEL_ROWS.div_ceil(batch_rows)
}

/// Bytes of a row of all outputs that are returned unchanged.
fn output_bytes(calls: &[PhysicalCall]) -> usize {
    let predicting = calls.iter().filter(|call| call.request == Request::Predict);
    let outputs =
        predicting.flat_map(|call| call.predictor.members()).flat_map(|model| &model.spec().outputs);
    outputs.map(Port::row_bytes).fold(0, usize::saturating_add)
}

/// DataFusion's planner, extended by [`InferPlanner`]. Each plan counts failed rows for itself.
#[derive(Debug, Default)]
pub struct SeequelQueryPlanner {}

#[async_trait]
impl QueryPlanner for SeequelQueryPlanner {
    async fn create_physical_plan(
        &self,
        logical_plan: &LogicalPlan,
        session: &dyn Session,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let planner =
            DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(InferPlanner::default())]);
        match session.as_any().downcast_ref::<SessionState>() {
            Some(state) => planner.create_physical_plan(logical_plan, &counting_failures(state)).await,
            None => planner.create_physical_plan(logical_plan, session).await,
        }
    }
}

/// The session with the failed rows of a query among its settings, where operators and expressions find them.
fn counting_failures(session: &SessionState) -> SessionState {
    let mut state = session.clone();
    let record = RowRecord::of(state.config_options());
    let failures = record.map(|record| QueryFailures::observed_by(Arc::new(record))).unwrap_or_default();
    state.config_mut().options_mut().extensions.insert(failures);
    // Expressions get their settings from here.
    state.execution_props_mut().config_options = Some(Arc::clone(state.config_options()));
    state
}

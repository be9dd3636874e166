//! Sessions: loading a model's graph, and running batches.

use std::path::Path;
use std::sync::Arc;

use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use parking_lot::Mutex;

use super::assignment::Assignment;
use super::library::Runtime;
use super::log::with_reason;
use super::memory::Arenas;
use super::providers::Provider;
use super::run::{Cancellation, LimitedRun, RunError};
use super::values::{batch_output, image_input, numbers_input};
use crate::model::spec::ModelSpec;
use crate::model::tensor::{BatchOutput, Numbers, PageLocker, Tensor};
use crate::{Error, Result};

/// A loaded model. The pool ensures that one thread uses it at a time.
pub(crate) struct Session {
    session: ort::session::Session,
    /// Name of the input that takes images, if any.
    image: Option<String>,
    /// Names of the inputs that take numbers.
    numbers: Vec<String>,
    fixed_batch: Option<usize>,
    /// Run options for each set of outputs requested so far. Queries rarely request more than two sets of outputs of
    /// the same model.
    selections: Vec<(Vec<String>, Arc<SelectedOutputs>)>,
    arenas: Arc<Arenas>,
    assignment: Option<Assignment>,
    /// For the memory of batches, if they are copied to a device.
    page_locker: Option<PageLocker>,
}

/// Run options that select some outputs, and that another thread can use to terminate the run.
struct SelectedOutputs(RunOptions<HasSelectedOutputs>);

// SAFETY: ort does not implement `Sync` because two runs could write the same preallocated outputs at once. Nothing is
// preallocated here, and only the session's thread runs with these options. Other threads only terminate the run, which
// sets an atomic flag; `RunOptionsSetTerminate` is meant to be called from other threads.
#[expect(unsafe_code, reason = "see above: no outputs are preallocated")]
unsafe impl Sync for SelectedOutputs {}

/// What to do about a graph with other operators than ONNX's and the runtime's.
const NO_CUSTOM_OPERATORS: &str =
    "; libraries of custom operators are not loaded, so export the model with ONNX's own operators";

/// Rows for one run of a model.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) rows: usize,
    /// The images, if the model takes any: a tensor and the first slot to use.
    pub(crate) images: Option<(&'a Tensor, usize)>,
    /// For each input that takes numbers, in the order of the graph, the numbers of each row, all of the same shape.
    pub(crate) numbers: Vec<&'a [Numbers]>,
    /// Numbers that an output may have for a row.
    pub(crate) max_output_elements: u64,
}

/// Weights prepacked for the kernels, created by the first session of a model and shared by all.
#[derive(Debug, Default)]
pub(crate) struct SharedWeights(Mutex<Option<PrepackedWeights>>);

impl SharedWeights {
    /// Leaves the weights to the sessions that use them, so that the last of these frees them.
    pub(crate) fn forget(&self) {
        *self.0.lock() = None;
    }
}

/// Writes a model's graph to `to` as ONNX Runtime simplifies it.
pub(super) fn simplify(runtime: &Runtime, spec: &ModelSpec, to: &Path) -> Result<()> {
    SessionBuilder::new(&runtime.environment()?)
        .and_then(|builder| Ok(builder.with_optimization_level(GraphOptimizationLevel::Level1)?))
        .and_then(|builder| Ok(builder.with_optimized_model_path(to)?))
        .and_then(|mut builder| builder.commit_from_file(&spec.file))
        .map(|_| ())
        .map_err(|error| Error::Model {
            model: spec.name.clone(),
            reason: format!(
                "ONNX Runtime can't simplify {} and write the result to {}: {error}",
                spec.file.display(),
                to.display()
            ),
        })
}

impl Session {
    /// Loads the model's file for `provider`, to compute on `threads` threads, always on `fixed_batch` rows if it is
    /// given. Blocks until it is loaded.
    pub(crate) fn load(
        runtime: &Runtime,
        spec: &ModelSpec,
        provider: Provider,
        threads: usize,
        fixed_batch: Option<usize>,
        weights: &SharedWeights,
    ) -> Result<Self> {
        let opened = runtime.opened()?;
        let load_error = |reason: String| {
            let is_custom = reason.contains("is not a registered function/op");
            let advice = if is_custom { NO_CUSTOM_OPERATORS } else { "" };
            let file = spec.file.display();
            let reason = format!("ONNX Runtime can't load {file} on {provider}: {reason}{advice}");
            Error::Model { model: spec.name.clone(), reason }
        };
        let cache = runtime.cache();
        let shared = weights.0.lock().get_or_insert_with(PrepackedWeights::new).clone();
        let is_divided = provider != Provider::CPU;
        let load = || {
            SessionBuilder::new(&opened.environment)
                .and_then(|builder| Ok(builder.with_intra_threads(threads)?))
                .and_then(|builder| Ok(builder.with_intra_op_spinning(threads > 1)?))
                .and_then(|builder| Ok(builder.with_prepacked_weights(&shared)?))
                .and_then(|builder| if is_divided { Assignment::record(builder) } else { Ok(builder) })
                .and_then(|builder| {
                    provider.register(builder, opened.folder(), &spec.resources, threads, &cache)
                })
                .and_then(|mut builder| builder.commit_from_file(&spec.file))
        };
        let session = with_reason(load).map_err(load_error)?;
        let image = spec.image().map(|image| image.input.name.clone());
        let numbers = spec.numbers().map(|numbers| numbers.port.name.clone()).collect();
        let arenas = with_reason(|| Arenas::of(&session, provider)).map_err(load_error)?;
        let assignment = with_reason(|| is_divided.then(|| Assignment::of(&session, spec.nodes)).transpose());
        Ok(Self {
            session,
            image,
            numbers,
            fixed_batch,
            selections: vec![],
            arenas: Arc::new(arenas),
            assignment: assignment.map_err(load_error)?,
            page_locker: provider.page_locker(),
        })
    }

    /// How the graph's nodes are divided; `None` on the CPU.
    pub(crate) fn assignment(&self) -> Option<&Assignment> {
        self.assignment.as_ref()
    }

    /// The session's memory, which can be measured while another thread runs the session.
    pub(crate) fn arenas(&self) -> &Arc<Arenas> {
        &self.arenas
    }

    /// Runs the rows of `batch` and returns the named outputs, without computing others.
    ///
    /// A model whose batch is fixed always runs on a full batch; outputs of the padding rows are dropped.
    ///
    /// Cancellation and its time limit end the run early: ONNX Runtime checks the flag before each node of the graph.
    pub(crate) fn run(
        &mut self,
        batch: &Batch<'_>,
        outputs: &[String],
        cancellation: &Cancellation,
    ) -> Result<Vec<BatchOutput>, RunError> {
        let selection = self.selection(outputs).map_err(|error| RunError::of(error.to_string()))?;
        let options = Arc::clone(&self.selections[selection].1);
        let terminate = {
            let options = Arc::clone(&options);
            move || match options.0.terminate() {
                Ok(()) => {}
                Err(error) => tracing::warn!("a run can't be cancelled: {error}"),
            }
        };
        let limited =
            cancellation.limit(terminate.clone()).map_err(|error| RunError::of(error.to_string()))?;
        let result = match cancellation.register(terminate) {
            Ok(_running) => self.run_with(batch, outputs, &options.0),
            Err(cancelled) => Err(RunError::Unusable(cancelled.to_string())),
        };
        let exceeded = limited.and_then(LimitedRun::end);
        if cancellation.is_cancelled() || exceeded.is_some() {
            // These options may have the terminate flag set, which would end the next run.
            self.selections.swap_remove(selection);
        }
        result.map_err(|error| exceeded.map_or(error, RunError::TimedOut))
    }

    fn run_with(
        &mut self,
        batch: &Batch<'_>,
        outputs: &[String],
        options: &RunOptions<HasSelectedOutputs>,
    ) -> Result<Vec<BatchOutput>, RunError> {
        let describe = |error: ort::Error| RunError::of(error.to_string());
        let rows = self.fixed_batch.unwrap_or(batch.rows);
        let numbers = batch.numbers.iter().map(|input| Numbers::batched(input, rows));
        let numbers = numbers.collect::<Result<Vec<_>, _>>().map_err(RunError::Unusable)?;
        let mut inputs = Vec::with_capacity(1 + numbers.len());
        if let (Some(name), Some((tensor, first))) = (&self.image, batch.images) {
            // A single row may be a copy of one that failed with others, and is not used again.
            if let Some(locker) = self.page_locker.as_ref().filter(|_| batch.rows > 1) {
                tensor.lock_pages(locker);
            }
            inputs.push((name.as_str(), image_input(tensor, first, rows).map_err(describe)?));
        }
        for (name, numbers) in self.numbers.iter().zip(&numbers) {
            inputs.push((name.as_str(), numbers_input(numbers).map_err(describe)?));
        }
        let computed =
            with_reason(|| self.session.run_with_options(inputs, options)).map_err(RunError::of)?;
        let output = |name: &String| match computed.get(name) {
            Some(value) => batch_output(name, value, rows, batch.max_output_elements),
            None => Err(format!("the model gave no output '{name}'")),
        };
        outputs.iter().map(output).collect::<Result<_, _>>().map_err(RunError::Unusable)
    }

    /// The position in `selections` of the run options for `outputs`, added if missing.
    fn selection(&mut self, outputs: &[String]) -> ort::Result<usize> {
        if let Some(known) = self.selections.iter().position(|(names, _)| names == outputs) {
            return Ok(known);
        }
        let selector = outputs.iter().fold(OutputSelector::no_default(), |all, name| all.with(name.as_str()));
        self.selections
            .push((outputs.to_vec(), Arc::new(SelectedOutputs(RunOptions::new()?.with_outputs(selector)))));
        Ok(self.selections.len() - 1)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("image", &self.image).finish_non_exhaustive()
    }
}

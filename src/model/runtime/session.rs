//! ONNX Runtime: finding the library, loading sessions, running batches. The only file that uses `ort`.
//!
//! The library is opened at run time, with the first model that is loaded, so that the program starts, plans and runs
//! plain SQL without it. It is searched for in `ORT_DYLIB_PATH`, the `lib` folder of Seequel's home, `./.seequel/lib`,
//! and the search path of the system's loader.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the only file that uses ort")]

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array,
    Int64Array, StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use half::f16;
use ort::AsPointer;
use ort::environment::Environment;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, SessionInputValue};
use ort::value::{DynValue, TensorElementType, TensorRef, ValueType};
use parking_lot::Mutex;

use super::cancellation::Cancellation;
use crate::model::spec::ModelSpec;
use crate::model::tensor::{BatchOutput, Numbers, Tensor, with_values};
use crate::{Error, Result};

/// File name of the ONNX Runtime library.
const LIBRARY: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// Environment variable with the path of the library.
const LIBRARY_PATH: &str = "ORT_DYLIB_PATH";

/// Environment variable that turns off the telemetry of ONNX Runtime if it is `1` when the library is opened.
///
/// Without it, ONNX Runtime 1.29 and later keep a device identifier in the user's cache folder and report the process
/// to Microsoft. The library opens ONNX Runtime with the first model that is loaded. Setting a variable while other
/// threads run is unsound, so the library can't do it itself; it logs a warning if the variable is missing. Set it
/// where the process is started, or first in `main`:
///
/// ```no_run
/// fn main() -> std::io::Result<()> {
///     // SAFETY: no other thread has been started that could read the environment.
///     unsafe { std::env::set_var(seequel::model::runtime::DISABLE_TELEMETRY, "1") };
///     tokio::runtime::Runtime::new()?.block_on(async {
///         // engines, sessions and queries
///     });
///     Ok(())
/// }
/// ```
///
/// `#[tokio::main]` starts threads before the body of `main`, so it must not be used on that `main`.
pub const DISABLE_TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";

/// The ONNX Runtime of the process. Global, because the library can be opened only once.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The installed ONNX Runtime, opened on first use.
#[derive(Debug, Clone)]
pub struct Runtime {
    home: PathBuf,
}

/// Where a session computes, with `auto` resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provider {
    /// The CPU.
    Cpu,
    /// The CUDA device with this number.
    Cuda(u32),
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Runtime {
    /// A runtime that looks for its library in `home/lib`, after `ORT_DYLIB_PATH`.
    #[must_use]
    pub fn new(home: &Path) -> Self {
        Self { home: home.to_owned() }
    }

    /// Whether the library is open, or found outside the search path of the system's loader. Does not open it.
    #[must_use]
    pub fn is_installed(&self) -> bool {
        ENVIRONMENT.lock().is_some() || self.library().is_some()
    }

    /// Whether both this program and the runtime are built for CUDA. Opens the library.
    ///
    /// # Errors
    /// [`Error::Runtime`] if the library is missing or unusable.
    pub fn has_cuda(&self) -> Result<bool> {
        self.environment()?;
        #[cfg(feature = "cuda")]
        {
            use ort::ep::ExecutionProvider;
            ort::ep::CUDA::is_available().map_err(|error| Error::Runtime(error.to_string()))
        }
        #[cfg(not(feature = "cuda"))]
        Ok(false)
    }

    /// Whether the machine has an NVIDIA device, from the device files of its driver.
    #[must_use]
    pub fn sees_gpu() -> bool {
        ["/dev/nvidiactl", "/dev/dxg"].iter().any(|file| Path::new(file).exists())
    }

    fn environment(&self) -> Result<Environment> {
        let mut environment = ENVIRONMENT.lock();
        if let Some(environment) = environment.as_ref() {
            return Ok(environment.clone());
        }
        if std::env::var_os(DISABLE_TELEMETRY).is_none() {
            tracing::warn!(
                "ONNX Runtime may report this process to Microsoft; {DISABLE_TELEMETRY}=1 in its environment prevents that"
            );
        }
        let library = self.library();
        let opened = ort::init_from(library.as_deref().unwrap_or_else(|| LIBRARY.as_ref()))
            .map_err(|error| match library.filter(|file| file.exists()) {
                Some(file) => unusable(&file, &error.to_string()),
                None => self.not_installed(&error.to_string()),
            })?
            .with_name("seequel")
            .with_telemetry(false)
            .build()
            .map_err(|error| Error::Runtime(format!("ONNX Runtime does not start: {error}")))?;
        Ok(environment.insert(opened).clone())
    }

    /// The path of the library, the first that exists; `None` leaves the search to the system's loader.
    fn library(&self) -> Option<PathBuf> {
        if let Some(path) = std::env::var_os(LIBRARY_PATH) {
            return Some(path.into());
        }
        [self.home.join("lib"), PathBuf::from(".seequel/lib")]
            .iter()
            .map(|folder| folder.join(LIBRARY))
            .find(|file| file.exists())
            .and_then(|file| std::path::absolute(file).ok())
    }

    fn not_installed(&self, reason: &str) -> Error {
        let places = match std::env::var_os(LIBRARY_PATH) {
            Some(file) => format!("{LIBRARY_PATH}, which names {}", file.display()),
            None => format!("{}, .seequel/lib and the system's folders", self.home.join("lib").display()),
        };
        Error::Runtime(format!(
            "ONNX Runtime could not be opened, and models need it. `make setup` in Seequel's folder installs it; \
             a library you have is used when {LIBRARY_PATH} names its file. (Looked in {places}: {reason})"
        ))
    }
}

/// The error of a file that exists but is not the library.
fn unusable(file: &Path, reason: &str) -> Error {
    Error::Runtime(format!(
        "'{}' is not a usable ONNX Runtime library: {reason}. Delete the file and run `make setup` in Seequel's \
         folder, or set {LIBRARY_PATH} to the path of another",
        file.display()
    ))
}

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
}

/// Run options that select some outputs, and that another thread can use to terminate the run.
struct SelectedOutputs(RunOptions<HasSelectedOutputs>);

// SAFETY: ort does not implement `Sync` because two runs could write the same preallocated outputs at once. Nothing is
// preallocated here, and only the session's thread runs with these options. Other threads only terminate the run, which
// sets an atomic flag; `RunOptionsSetTerminate` is meant to be called from other threads.
#[expect(unsafe_code, reason = "see above: no outputs are preallocated")]
unsafe impl Sync for SelectedOutputs {}

/// Rows for one run of a model.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    pub(crate) rows: usize,
    /// The images, if the model takes any: a tensor and the first slot to use.
    pub(crate) images: Option<(&'a Tensor, usize)>,
    /// For each input that takes numbers, in the order of the graph, the numbers of each row, all of the same shape.
    pub(crate) numbers: Vec<&'a [Numbers]>,
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

impl Session {
    /// Loads the model's file for `provider`, to compute on `threads` threads. Blocks until it is loaded.
    pub(crate) fn load(
        runtime: &Runtime,
        spec: &ModelSpec,
        provider: Provider,
        threads: usize,
        weights: &SharedWeights,
    ) -> Result<Self> {
        let environment = runtime.environment()?;
        let load_error = |error: ort::Error| Error::Model {
            model: spec.name.clone(),
            reason: format!("ONNX Runtime can't load {} on {provider}: {error}", spec.file.display()),
        };
        let shared = weights.0.lock().get_or_insert_with(PrepackedWeights::new).clone();
        let session = SessionBuilder::new(&environment)
            .and_then(|builder| Ok(builder.with_intra_threads(threads)?))
            .and_then(|builder| Ok(builder.with_intra_op_spinning(threads > 1)?))
            .and_then(|builder| Ok(builder.with_prepacked_weights(&shared)?))
            .and_then(|builder| with_provider(builder, provider, spec))
            .and_then(|mut builder| builder.commit_from_file(&spec.file))
            .map_err(load_error)?;
        let image = spec.image().map(|image| image.input.name.clone());
        let numbers = spec.numbers().map(|numbers| numbers.port.name.clone()).collect();
        let arenas = Arc::new(Arenas::of(&session, provider).map_err(load_error)?);
        Ok(Self { session, image, numbers, fixed_batch: spec.fixed_batch, selections: vec![], arenas })
    }

    /// The session's memory, which can be measured while another thread runs the session.
    pub(crate) fn arenas(&self) -> &Arc<Arenas> {
        &self.arenas
    }

    /// Runs the rows of `batch` and returns the named outputs, without computing others.
    ///
    /// A model with a fixed batch always runs on a full batch; outputs of the padding rows are dropped.
    ///
    /// Cancellation ends the run early: ONNX Runtime checks the flag before each node of the graph.
    pub(crate) fn run(
        &mut self,
        batch: &Batch<'_>,
        outputs: &[String],
        cancellation: &Cancellation,
    ) -> Result<Vec<BatchOutput>, String> {
        let selection = self.selection(outputs).map_err(|error| error.to_string())?;
        let options = Arc::clone(&self.selections[selection].1);
        let terminate = {
            let options = Arc::clone(&options);
            move || match options.0.terminate() {
                Ok(()) => {}
                Err(error) => tracing::warn!("a run can't be cancelled: {error}"),
            }
        };
        let result = match cancellation.register(terminate) {
            Ok(_running) => self.run_with(batch, outputs, &options.0),
            Err(cancelled) => Err(cancelled.to_string()),
        };
        if cancellation.is_cancelled() {
            // These options may have the terminate flag set, which would end the next run.
            self.selections.swap_remove(selection);
        }
        result
    }

    fn run_with(
        &mut self,
        batch: &Batch<'_>,
        outputs: &[String],
        options: &RunOptions<HasSelectedOutputs>,
    ) -> Result<Vec<BatchOutput>, String> {
        let describe = |error: ort::Error| error.to_string();
        let rows = self.fixed_batch.unwrap_or(batch.rows);
        let numbers = batch.numbers.iter().map(|input| Numbers::batched(input, rows));
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let mut inputs = Vec::with_capacity(1 + numbers.len());
        if let (Some(name), Some((tensor, first))) = (&self.image, batch.images) {
            inputs.push((name.as_str(), image_input(tensor, first, rows).map_err(describe)?));
        }
        for (name, numbers) in self.numbers.iter().zip(&numbers) {
            inputs.push((name.as_str(), numbers_input(numbers).map_err(describe)?));
        }
        let computed = self.session.run_with_options(inputs, options).map_err(describe)?;
        let output = |name: &String| match computed.get(name) {
            Some(value) => batch_output(name, value, rows),
            None => Err(format!("the model gave no output '{name}'")),
        };
        outputs.iter().map(output).collect()
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

/// The memory that a session has taken for tensors: weights, except those that are prepacked, and the intermediate
/// results of its runs, which it keeps for the next run.
pub(crate) struct Arenas(Mutex<Vec<Allocator>>);

impl Arenas {
    fn of(session: &ort::session::Session, provider: Provider) -> ort::Result<Self> {
        let mut devices = vec![(AllocationDevice::CPU, 0)];
        if let Provider::Cuda(number) = provider {
            devices.push((AllocationDevice::CUDA, number.cast_signed()));
        }
        let arena = |(device, number)| {
            let place = MemoryInfo::new(device, number, AllocatorType::Device, MemoryType::Default)?;
            Allocator::new(session, place)
        };
        Ok(Self(Mutex::new(devices.into_iter().map(arena).collect::<ort::Result<_>>()?)))
    }

    /// The bytes that are taken from the system or the device.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.lock().iter().filter_map(allocated_bytes).sum()
    }
}

/// The bytes that an allocator has taken; `None` if it does not count them.
fn allocated_bytes(allocator: &Allocator) -> Option<u64> {
    let api = ort::api();
    let mut statistics = ptr::null_mut();
    // SAFETY: the allocator is valid. After success `statistics` is too, until it is released, and so are the strings
    // in it, which end with a NUL.
    #[expect(unsafe_code, reason = "ort has no function for an allocator's statistics")]
    unsafe {
        ort::Error::result_from_status((api.AllocatorGetStats)(allocator.ptr(), &raw mut statistics)).ok()?;
        let value = (api.GetKeyValue)(statistics, c"TotalAllocated".as_ptr());
        let bytes = (!value.is_null()).then(|| CStr::from_ptr(value).to_str().ok()?.parse().ok()).flatten();
        (api.ReleaseKeyValuePairs)(statistics);
        bytes
    }
}

/// The `batch` images of `tensor` from slot `first` on, without a copy.
fn image_input(tensor: &Tensor, first: usize, batch: usize) -> ort::Result<SessionInputValue<'_>> {
    let shape = tensor.shape(batch);
    let values = tensor.image_len() * first..tensor.image_len() * (first + batch);
    Ok(with_values!(tensor.data(), data => TensorRef::from_array_view((shape, &data[values]))?.into()))
}

/// The numbers of a batch, without a copy except for booleans.
fn numbers_input(numbers: &Numbers) -> ort::Result<SessionInputValue<'_>> {
    let Numbers { values, shape } = numbers;
    macro_rules! view {
        ($type:ty) => {
            TensorRef::from_array_view((shape.clone(), values.as_primitive::<$type>().values().as_ref()))?
                .into()
        };
    }
    Ok(match values.data_type() {
        DataType::Float16 => view!(Float16Type),
        DataType::Float64 => view!(Float64Type),
        DataType::UInt8 => view!(UInt8Type),
        DataType::UInt16 => view!(UInt16Type),
        DataType::UInt32 => view!(UInt32Type),
        DataType::UInt64 => view!(UInt64Type),
        DataType::Int8 => view!(Int8Type),
        DataType::Int16 => view!(Int16Type),
        DataType::Int32 => view!(Int32Type),
        DataType::Int64 => view!(Int64Type),
        DataType::Boolean => {
            let values: Vec<bool> = values.as_boolean().values().iter().collect();
            ort::value::Tensor::from_array((shape.clone(), values))?.into()
        }
        _ => view!(Float32Type),
    })
}

/// Copies an output's numbers.
fn batch_output(name: &str, value: &DynValue, batch: usize) -> Result<BatchOutput, String> {
    let describe = |error: ort::Error| error.to_string();
    let ValueType::Tensor { ty, shape, .. } = value.dtype() else {
        return Err(format!("output '{name}' is not a tensor"));
    };
    let shape: Vec<_> = shape.iter().map(|length| usize::try_from(*length).unwrap_or(0)).collect();
    macro_rules! numbers {
        ($array:ty, $number:ty) => {
            Arc::new(<$array>::from(value.try_extract_tensor::<$number>().map_err(describe)?.1.to_vec()))
                as ArrayRef
        };
    }
    let numbers = match ty {
        TensorElementType::Float32 => numbers!(Float32Array, f32),
        TensorElementType::Float16 => {
            let (_, halves) = value.try_extract_tensor::<f16>().map_err(describe)?;
            Arc::new(Float32Array::from_iter_values(halves.iter().map(|half| half.to_f32())))
        }
        TensorElementType::Float64 => numbers!(Float64Array, f64),
        TensorElementType::Uint8 => numbers!(UInt8Array, u8),
        TensorElementType::Int8 => numbers!(Int8Array, i8),
        TensorElementType::Int32 => numbers!(Int32Array, i32),
        TensorElementType::Int64 => numbers!(Int64Array, i64),
        TensorElementType::Int16 => numbers!(Int16Array, i16),
        TensorElementType::Uint16 => numbers!(UInt16Array, u16),
        TensorElementType::Uint32 => numbers!(UInt32Array, u32),
        TensorElementType::Uint64 => numbers!(UInt64Array, u64),
        TensorElementType::Bool => numbers!(BooleanArray, bool),
        TensorElementType::String => {
            Arc::new(StringArray::from(value.try_extract_strings().map_err(describe)?.1))
        }
        other => return Err(format!("output '{name}' is of type {other}, which SQL has no type for")),
    };
    BatchOutput::new(name, &shape, numbers, batch)
}

#[cfg(feature = "cuda")]
fn with_provider(
    builder: SessionBuilder,
    provider: Provider,
    spec: &ModelSpec,
) -> ort::Result<SessionBuilder> {
    use ort::ep::ArbitrarilyConfigurableExecutionProvider;
    match provider {
        Provider::Cpu => Ok(builder),
        Provider::Cuda(number) => {
            // The exhaustive search, ort's default, takes seconds for each new batch size.
            let mut cuda = ort::ep::CUDA::default()
                .with_device_id(number.cast_signed())
                .with_conv_algorithm_search(ort::ep::cuda::ConvAlgorithmSearch::Heuristic)
                .with_arena_extend_strategy(ort::ep::ArenaExtendStrategy::SameAsRequested);
            for (key, value) in &spec.resources.provider_options {
                cuda = cuda.with_arbitrary_config(key, value);
            }
            Ok(builder.with_execution_providers([cuda.build().error_on_failure()])?)
        }
    }
}

#[cfg(not(feature = "cuda"))]
fn with_provider(builder: SessionBuilder, _: Provider, _: &ModelSpec) -> ort::Result<SessionBuilder> {
    Ok(builder)
}

impl std::fmt::Debug for Arenas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arenas").field("bytes", &self.bytes()).finish()
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("image", &self.image).finish_non_exhaustive()
    }
}

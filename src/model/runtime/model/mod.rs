//! A registered model: its specification, its provider and its pool of sessions.
//!
//! Where it runs, and in what sizes, is decided once, when it is first asked: see `placement.rs`.

mod batch_bound;
mod placement;
mod run;

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::batch_bound::BatchBound;
use self::placement::Placed;
use super::library::Runtime;
use super::memory::Arenas;
use super::probe::{Refusal, probe};
use super::providers::{Machine, Provider};
use super::run::RunHistogram;
use super::session::{Session, SharedWeights, simplify};
use super::sizing::Sizing;
use super::tuning::{Choice, Tuning};
#[cfg(feature = "cluster")]
use crate::model::fetch::digest_of;
use crate::model::spec::{ModelSpec, Precision};
use crate::{Error, Result};

/// A registered model. Sessions are loaded lazily: creating a model loads none.
///
/// Two models are equal if they are the same registration. Replacing a model creates another one; queries planned with
/// the old one finish with it.
#[derive(Debug)]
pub struct Model {
    spec: ModelSpec,
    /// Number of the registration, unique in the process.
    id: u64,
    runtime: Runtime,
    /// Whether the last rows of a query are not divided among workers in smaller batches: a short trial would measure
    /// those instead.
    in_whole_batches: bool,
    /// Most rows of a morsel, if that is tried out.
    morsel_rows: Option<usize>,
    /// As it was when the model first asked.
    machine: OnceLock<Machine>,
    placed: OnceLock<Placed>,
    weights: SharedWeights,
    /// SHA-256 of each file of external weights, once another machine needs them.
    #[cfg(feature = "cluster")]
    weight_digests: OnceLock<Vec<String>>,
    inferred_rows: AtomicU64,
    /// Each run that succeeded, of all queries.
    runs: RunHistogram,
}

impl Model {
    /// Creates a model that runs on `runtime`.
    #[must_use]
    pub fn new(spec: ModelSpec, runtime: Runtime) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            spec,
            id: NEXT_ID.fetch_add(1, Relaxed),
            runtime,
            in_whole_batches: false,
            morsel_rows: None,
            machine: OnceLock::new(),
            placed: OnceLock::new(),
            weights: SharedWeights::default(),
            #[cfg(feature = "cluster")]
            weight_digests: OnceLock::new(),
            inferred_rows: AtomicU64::new(0),
            runs: RunHistogram::default(),
        }
    }

    /// The resolved specification.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// SHA-256 of each file of external weights, in lower-case hex. Reads them the first time.
    ///
    /// # Errors
    /// A file that can't be read.
    #[cfg(feature = "cluster")]
    pub(crate) fn weight_digests(&self) -> std::io::Result<&[String]> {
        if let Some(known) = self.weight_digests.get() {
            return Ok(known);
        }
        let digests = self.spec.weight_files.iter().map(|file| digest_of(file));
        let digests = digests.collect::<std::io::Result<_>>()?;
        Ok(self.weight_digests.get_or_init(|| digests))
    }

    /// The same model from another file with the same inputs and outputs, to be tried out. It has a pool of its own.
    pub(crate) fn with_file(&self, file: PathBuf) -> Self {
        Self::new(
            ModelSpec { file, weight_files: vec![], external_bytes: 0, ..self.spec.clone() },
            self.runtime.clone(),
        )
    }

    /// Writes the graph as ONNX Runtime simplifies it for any provider: constants folded, normalisations merged into
    /// convolutions, nodes without effect removed. It still has ONNX's own operators.
    ///
    /// # Errors
    /// A graph that can't be loaded, a file that can't be written.
    pub(crate) fn simplify(&self, to: &Path) -> Result<()> {
        simplify(&self.runtime, &self.spec, to)
    }

    /// Checks what is known before a session is loaded: that the runtime is recent enough and has the device, that the
    /// device computes in the precision and, by a session of a tiny graph, that it can be used with these options. The
    /// CPU always can. Without a runtime nothing is known. Blocks while the device is opened.
    ///
    /// # Errors
    /// [`Error::Runtime`], or [`Error::Option`] with what would help.
    pub fn check(&self) -> Result<()> {
        self.runtime.check_version()?;
        let provider = self.provider()?;
        if provider == Provider::CPU || !self.runtime.is_installed()? {
            return Ok(());
        }
        provider.each().try_for_each(|device| self.check_device(device))
    }

    fn check_device(&self, device: Provider) -> Result<()> {
        match probe(&self.runtime, device, &self.spec.resources)? {
            Ok(()) => Ok(()),
            Err(Refusal::Options(reason)) => {
                Err(self.error("provider_options", format!("refused by {device}: {reason}")))
            }
            Err(Refusal::Device(reason)) => {
                let needs = device.kind().needs().map(|needs| format!(". {needs}")).unwrap_or_default();
                Err(self.error("device", format!("'{device}' can't be used: {reason}{needs}")))
            }
        }
    }

    /// The nodes that the device leaves to the CPU, such as `3 of 120 nodes (2.5 %): NonMaxSuppression, 2 Resize`.
    /// Known once a session has been loaded; `None` for a model that runs on the CPU.
    #[must_use]
    pub fn left_to_cpu(&self) -> Option<String> {
        self.placed.get()?.assignment.get().map(ToString::to_string)
    }

    /// As [`Self::left_to_cpu`], for which it loads a session if none has been. The session stays for the next query.
    /// Blocks, except for a model that runs on the CPU.
    ///
    /// # Errors
    /// [`Error::Model`] if the session can't be loaded.
    pub fn assign(&self) -> Result<Option<String>> {
        let placed = self.placed()?;
        let is_known = placed.provider == Provider::CPU || placed.assignment.get().is_some();
        if !is_known && self.runtime.is_installed()? {
            placed.pool.take_seat(|| Ok::<_, Error>(()))?.session(|device| self.load(placed, device))?;
        }
        Ok(self.left_to_cpu())
    }

    /// Loads a session unless one has been loaded. Blocks.
    ///
    /// # Errors
    /// [`Error::Model`] if the session can't be loaded.
    pub(crate) fn load_first(&self) -> Result<()> {
        if self.loaded_sessions() == 0 {
            let placed = self.placed()?;
            let mut seat = placed.pool.take_seat(|| Ok::<_, Error>(()))?;
            seat.session(|device| self.load(placed, device))?;
        }
        Ok(())
    }

    /// Loads all sessions of the pool, except those for which there is no room because others use it. Blocks.
    ///
    /// # Errors
    /// [`Error::Model`] if a session can't be loaded.
    pub(crate) fn load_all(&self) -> Result<()> {
        let placed = self.placed()?;
        let mut seats = vec![];
        while seats.len() < placed.sizing.sessions {
            // Ends the wait for a seat, if there is one.
            let Ok(mut seat) = placed.pool.take_seat(|| Err(())) else { break };
            seat.session(|device| self.load(placed, device))?;
            seats.push(seat);
        }
        Ok(())
    }

    /// Loads sessions until there are `sessions`, or as many as the pool has if these are fewer, one after the other. Those that
    /// are loaded can be used meanwhile. Blocks.
    ///
    /// # Errors
    /// [`Error::Model`] if a session can't be loaded.
    #[cfg(feature = "cluster")]
    pub(crate) fn warm(&self, sessions: usize) -> Result<()> {
        let placed = self.placed()?;
        while self.loaded_sessions() < sessions
            && let Some(mut seat) = placed.pool.take_empty_seat()
        {
            seat.session(|device| self.load(placed, device))?;
        }
        Ok(())
    }

    /// Rows inferred since the model was registered, over all queries of the process.
    #[must_use]
    pub fn inferred_rows(&self) -> u64 {
        self.inferred_rows.load(Relaxed)
    }

    /// The time that a share of the runs took at most, such as half of them with 0.5; `None` before the first run.
    #[must_use]
    pub fn run_time(&self, share: f64) -> Option<Duration> {
        self.runs.quantile(share)
    }

    /// The times of the runs, to two digits, and how many took as long.
    #[cfg(feature = "dashboard")]
    pub(crate) fn run_times(&self) -> Vec<(Duration, u64)> {
        self.runs.recorded()
    }

    /// Frees the model's sessions: those that are idle at once, those that queries use when the query's worker releases
    /// them. The model stays registered, and sessions are loaded again when they are next needed.
    pub fn unload(&self) {
        if let Some(placed) = self.placed.get() {
            self.weights.forget();
            placed.pool.unload();
        }
    }

    /// The number of loaded sessions, at most [`Sizing::sessions`].
    #[must_use]
    pub fn loaded_sessions(&self) -> usize {
        self.loaded().len()
    }

    /// The bytes that the loaded sessions have taken, in memory and on a GPU: for weights, except those that ONNX
    /// Runtime has rearranged for its kernels, and for intermediate results.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.loaded().iter().map(|arenas| arenas.bytes()).sum()
    }

    /// The share of the last moments in which the model's device computed, for whatever process, 0 to 1; `None` if its
    /// driver does not tell.
    #[must_use]
    pub fn device_use(&self) -> Option<f64> {
        self.placed.get()?.provider.device_use()
    }

    fn loaded(&self) -> Vec<Arc<Arenas>> {
        self.placed.get().map_or_else(Vec::new, |placed| placed.pool.loaded())
    }

    /// Where the model runs. Queries the available providers of ONNX Runtime, if it is installed.
    ///
    /// # Errors
    /// [`Error::Option`] if the runtime does not have the requested `device`.
    pub fn provider(&self) -> Result<Provider> {
        Ok(self.placed()?.provider)
    }

    /// Batch size, sessions and threads. Loads nothing.
    ///
    /// # Errors
    /// See [`Self::provider`].
    pub fn sizing(&self) -> Result<Sizing> {
        Ok(self.placed()?.sizing)
    }

    /// The precision that the device computes in.
    ///
    /// # Errors
    /// See [`Self::provider`].
    pub fn precision(&self) -> Result<Precision> {
        Ok(self.placed()?.spec.resources.precision.resolved())
    }

    /// What TUNE chose, without its trials, if the model uses that.
    #[must_use]
    pub fn tuning(&self) -> Option<&Tuning> {
        self.placed().ok()?.tuning.as_ref()
    }

    /// Whether a query may try other batch sizes than the one that it was planned with: on the CPU, if neither an option
    /// nor TUNE has chosen it.
    pub(crate) fn may_adapt(&self) -> Result<bool> {
        let placed = self.placed()?;
        let is_free = placed.fixed_batch.is_none() && self.spec.resources.batch_size.is_none();
        Ok(is_free && placed.tuning.is_none() && placed.provider == Provider::CPU)
    }

    /// The rows of every run, if the graph or the provider fixes them: smaller batches are padded.
    pub(crate) fn fixed_batch(&self) -> Result<Option<usize>> {
        Ok(self.placed()?.fixed_batch)
    }

    /// The largest batch that the device takes, learned from those that it refused.
    pub(crate) fn bound(&self) -> Result<&BatchBound> {
        Ok(&self.placed()?.bound)
    }

    /// A session on the device at a position among those of the model.
    fn load(&self, placed: &Placed, device: usize) -> Result<Session> {
        let Placed { provider, spec, sizing, fixed_batch, .. } = placed;
        let provider = provider.each().nth(device).unwrap_or(*provider);
        let session =
            Session::load(&self.runtime, spec, provider, sizing.threads, *fixed_batch, &self.weights)?;
        if let Some(assignment) = session.assignment() {
            placed.assignment.get_or_init(|| assignment.clone());
        }
        Ok(session)
    }

    /// The same model with this batch size, sessions, threads and morsel, and a pool of its own.
    pub(crate) fn with_choice(&self, choice: Choice) -> Self {
        let resources = choice.given_to(&self.spec.resources);
        let spec = ModelSpec { resources, ..self.spec.clone() };
        Self { morsel_rows: choice.morsel_rows, ..Self::new(spec, self.runtime.clone()) }
    }

    /// The model, before it is used, so that the last rows of a query are not divided into smaller batches.
    pub(crate) fn in_whole_batches(self) -> Self {
        Self { in_whole_batches: true, ..self }
    }

    /// The same model, sized anew.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.spec.clone(), self.runtime.clone())
    }

    fn error(&self, option: &str, reason: String) -> Error {
        Error::Option { model: self.spec.name.clone(), option: option.to_owned(), reason }
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Model {}

impl Hash for Model {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for Model {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.id.cmp(&other.id))
    }
}

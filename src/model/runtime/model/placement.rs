//! Where a model runs: the provider, the graph and the sizes, by its options, the machine and what TUNE chose.
//!
//! ```text
//!  device option, GPUs of the machine ─► untuned_provider ─┬────────────────────────────┬─► Placed: provider, spec, sizes
//!                                       tuning.json ───────┴─ if file, machine, … match ┘
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::Model;
use crate::Result;
use crate::model::runtime::assignment::Assignment;
use crate::model::runtime::library::Runtime;
use crate::model::runtime::pool::Pool;
use crate::model::runtime::providers::Provider;
use crate::model::runtime::sizing::Sizing;
use crate::model::runtime::tuning::{OPEN, Tuning, TuningKey, Tunings, Twin, Variant};
use crate::model::spec::{Device, ModelSpec, Precision, Resources};

/// State that depends on the device.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) provider: Provider,
    /// What runs there: the model's specification, unless TUNE chose another precision.
    pub(super) spec: ModelSpec,
    pub(super) sizing: Sizing,
    /// What TUNE chose, without its trials, if that is used.
    pub(super) tuning: Option<Tuning>,
    /// The rows of every run, if they are fixed.
    pub(super) fixed_batch: Option<usize>,
    pub(super) pool: Pool,
    /// Of the first session that was loaded, unless it runs on the CPU.
    pub(super) assignment: OnceLock<Assignment>,
}

impl Model {
    pub(super) fn placed(&self) -> Result<&Placed> {
        if let Some(placed) = self.placed.get() {
            return Ok(placed);
        }
        let default = self.untuned_provider()?;
        let (provider, spec, tuning) = match self.tuned(default) {
            Some((provider, spec, tuning)) => (provider, spec, Some(tuning)),
            None => (default, self.spec.clone(), None),
        };
        let mut sizing = Sizing::new(&spec, provider, tuning.as_ref().map(|tuning| tuning.chosen));
        if self.in_whole_batches {
            sizing.least_rows = sizing.batch_rows;
        }
        let fixes_batch = provider.kind().fixes_batch();
        let fixed_batch = spec.fixed_batch.or_else(|| fixes_batch.then_some(sizing.batch_rows));
        let (pool, assignment) = (Pool::new(sizing.sessions), OnceLock::new());
        let placed = Placed { provider, spec, sizing, tuning, fixed_batch, pool, assignment };
        Ok(self.placed.get_or_init(|| placed))
    }

    /// The same model on another device and in another precision, with the graph of its quantized `twin` if it is given,
    /// and a pool of its own.
    pub(crate) fn on(&self, device: &Device, precision: Precision, twin: Option<&ModelSpec>) -> Self {
        Self::new(self.spec_on(device, precision, twin), self.runtime.clone())
    }

    fn spec_on(&self, device: &Device, precision: Precision, twin: Option<&ModelSpec>) -> ModelSpec {
        let mut spec = self.spec.clone();
        // They are for the device that the model runs on otherwise.
        if Provider::of(device) != self.untuned_provider().ok() {
            spec.resources.provider_options.clear();
        }
        spec.resources.device = device.clone();
        spec.resources.precision = precision;
        if let Some(twin) = twin {
            spec.file.clone_from(&twin.file);
            (spec.nodes, spec.fixed_batch) = (twin.nodes, twin.fixed_batch);
        }
        spec
    }

    /// What a measurement of the speed of this model on `provider` depends on, for the models whose options are, or
    /// allow, `scope`; `None` if the version of ONNX Runtime is unknown.
    pub(crate) fn tuning_key(&self, provider: Provider, scope: Variant) -> Option<TuningKey> {
        Some(TuningKey {
            sha256: self.spec.sha256.clone(),
            runtime: self.runtime.version()?,
            device: scope.device,
            precision: scope.precision,
            machine: provider.machine(),
        })
    }

    /// What TUNE chose, if all is left to it: where to run, and what. `default` is where the model runs otherwise.
    fn tuned(&self, default: Provider) -> Option<(Provider, ModelSpec, Tuning)> {
        let Resources { device, batch_size, concurrency, num_cpus, num_gpus, precision, .. } =
            &self.spec.resources;
        let is_auto =
            batch_size.is_none() && concurrency.is_none() && num_cpus.is_none() && num_gpus.is_none();
        let tunings = Tunings::in_home(self.runtime.home());
        // Looks for the file first, since the key takes reading of the machine.
        if !is_auto || !tunings.exist() {
            return None;
        }
        let (own_device, own_precision) = (default.to_string(), precision.resolved().to_string());
        let is_open = |own: &str, open: bool, scope: &str| scope == own || open && scope == OPEN;
        let mut fitting = tunings.all();
        fitting.retain(|Tuning { key, .. }| {
            is_open(&own_device, *device == Device::Auto, &key.device)
                && is_open(&own_precision, *precision == Precision::Auto, &key.precision)
        });
        // The latest, and of one TUNE the widest.
        let width =
            |key: &TuningKey| [&key.device, &key.precision].iter().filter(|scope| **scope == OPEN).count();
        fitting.sort_by_key(|tuning| Reverse((tuning.at, width(&tuning.key))));
        fitting.into_iter().find_map(|tuning| self.as_tuned(default, tuning))
    }

    /// Where and what to run by `tuning`, if that holds here.
    fn as_tuned(&self, default: Provider, mut tuning: Tuning) -> Option<(Provider, ModelSpec, Tuning)> {
        let device = tuning.variant.device.parse().ok()?;
        let provider = Provider::of(&device)?;
        let scope = Variant { device: tuning.key.device.clone(), precision: tuning.key.precision.clone() };
        let is_same = self.tuning_key(provider, scope)? == tuning.key;
        if !is_same || provider != default && !self.may_use(provider).ok()? {
            return None;
        }
        let twin = match tuning.twin.as_ref().map(|twin| (twin, self.resolve(twin))) {
            None => None,
            Some((_, Some(found))) => Some(found),
            Some((Twin { name, file, .. }, None)) => {
                let (model, file) = (&self.spec.name, file.display());
                tracing::warn!("TUNE chose '{name}' for '{model}', but '{file}' is gone or has changed");
                return None;
            }
        };
        let spec = self.spec_on(&device, tuning.variant.precision.parse().ok()?, twin.as_ref());
        provider.check_precision(&spec.resources).ok()?;
        tuning.trials = vec![];
        Some((provider, spec, tuning))
    }

    /// The model of `twin`, if it is still what was measured.
    fn resolve(&self, twin: &Twin) -> Option<ModelSpec> {
        let found = ModelSpec::resolve(&twin.name, &twin.file, &BTreeMap::new()).ok()?;
        (found.sha256 == twin.sha256).then_some(found)
    }

    /// What [`Self::provider`] is without TUNE.
    pub(crate) fn untuned_provider(&self) -> Result<Provider> {
        let resources = &self.spec.resources;
        let provider = match &resources.device {
            Device::Auto => self.fastest_provider()?,
            Device::Named { name, number } => self.named_provider(name, *number)?,
        };
        provider.check_precision(resources).map_err(|reason| self.error("precision", reason))?;
        // The options of a model that runs anywhere are for the GPU that it may find.
        if resources.device != Device::Auto {
            let checked = provider.check_options(&resources.provider_options);
            checked.map_err(|reason| self.error("provider_options", reason))?;
        }
        Ok(provider)
    }

    /// Only what was measured to be fastest: a GPU that CUDA can use, or else the CPU provider.
    fn fastest_provider(&self) -> Result<Provider> {
        let cuda = Provider::cuda(0);
        Ok(if Runtime::sees_gpu() && self.may_use(cuda)? { cuda } else { Provider::CPU })
    }

    fn named_provider(&self, name: &str, number: Option<u32>) -> Result<Provider> {
        let provider = Provider::named(name, number).map_err(|reason| self.error("device", reason))?;
        if provider == Provider::CPU || self.may_use(provider)? {
            return Ok(provider);
        }
        let reason = self.runtime.lacks(provider.kind())?;
        Err(self.error("device", format!("'{provider}' {reason}")))
    }

    /// Whether the library has the provider. Without a library nothing can run, so that any may be named.
    fn may_use(&self, provider: Provider) -> Result<bool> {
        Ok(!self.runtime.is_installed()? || self.runtime.offers(provider.kind())?)
    }
}

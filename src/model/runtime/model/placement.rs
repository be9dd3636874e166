//! Where a model runs: the provider, the graph and the sizes, by its options, the machine and what TUNE chose.
//!
//! ```text
//!  options, machine, file ─► Preset ─┬────────────────────────────┬─► Placed: provider, spec, sizes
//!                      tuning.json ──┴─ if file, machine, … match ┘
//! ```

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use super::Model;
use super::batch_bound::BatchBound;
use crate::Result;
use crate::model::runtime::assignment::Assignment;
use crate::model::runtime::library::Runtime;
use crate::model::runtime::pool::Pool;
use crate::model::runtime::presets::Preset;
use crate::model::runtime::providers::{Machine, Provider};
use crate::model::runtime::sizing::{ModelFacts, Sizing};
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
    /// Learned from runs of the pool.
    pub(super) bound: BatchBound,
    /// How often a newly loaded session has failed since the last run that succeeded.
    pub(super) failed_sessions: AtomicUsize,
    /// For each input that takes numbers, the shape of a row that a session took.
    pub(super) shapes: OnceLock<Vec<Vec<usize>>>,
    /// Of the first session that was loaded, unless it runs on the CPU.
    pub(super) assignment: OnceLock<Assignment>,
}

impl Model {
    pub(super) fn placed(&self) -> Result<&Placed> {
        if let Some(placed) = self.placed.get() {
            return Ok(placed);
        }
        let untuned = self.untuned()?;
        let (preset, spec, tuning) = match self.tuned(untuned.provider) {
            Some((spec, tuning)) => {
                let options = tuning.chosen.given_to(&spec.resources);
                (self.preset(&spec, &options)?, spec, Some(tuning))
            }
            None => (untuned, self.spec.clone(), None),
        };
        Ok(self.placed.get_or_init(|| self.place(preset, spec, tuning)))
    }

    fn place(&self, preset: Preset, spec: ModelSpec, tuning: Option<Tuning>) -> Placed {
        let Preset { provider, mut sizing } = preset;
        sizing.morsel_rows = self.morsel_rows.or_else(|| tuning.as_ref()?.chosen.morsel_rows);
        if self.in_whole_batches {
            sizing.least_rows = sizing.batch_rows;
        }
        let fixes_batch = provider.kind().fixes_batch();
        let fixed_batch = spec.fixed_batch.or_else(|| fixes_batch.then_some(sizing.batch_rows));
        let (pool, assignment) = (Pool::new(sizing.sessions, sizing.devices), OnceLock::new());
        let (bound, failed_sessions) = (BatchBound::default(), AtomicUsize::new(0));
        let shapes = OnceLock::new();
        Placed {
            provider,
            spec,
            sizing,
            tuning,
            fixed_batch,
            pool,
            bound,
            failed_sessions,
            shapes,
            assignment,
        }
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
            spec.weight_files.clone_from(&twin.weight_files);
            (spec.external_bytes, spec.dense_bytes) = (twin.external_bytes, twin.dense_bytes);
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
            machine: provider.machine(Machine::cores()),
        })
    }

    /// What TUNE chose, if all is left to it: what to run, and where. `default` is where the model runs otherwise.
    fn tuned(&self, default: Provider) -> Option<(ModelSpec, Tuning)> {
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

    /// What to run by `tuning`, and where, if that holds here.
    fn as_tuned(&self, default: Provider, mut tuning: Tuning) -> Option<(ModelSpec, Tuning)> {
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
        provider.check_precision(&spec.resources, self.machine().ok()?).ok()?;
        tuning.trials = vec![];
        Some((spec, tuning))
    }

    /// The model of `twin`, if it is still what was measured.
    fn resolve(&self, twin: &Twin) -> Option<ModelSpec> {
        let found = ModelSpec::resolve(&twin.name, &twin.file, &BTreeMap::new()).ok()?;
        (found.sha256 == twin.sha256).then_some(found)
    }

    /// What [`Self::provider`] is without TUNE.
    pub(crate) fn untuned_provider(&self) -> Result<Provider> {
        Ok(self.untuned()?.provider)
    }

    /// What [`Self::sizing`] is without TUNE.
    pub(crate) fn untuned_sizing(&self) -> Result<Sizing> {
        Ok(self.untuned()?.sizing)
    }

    /// Where the model runs without TUNE, and in what sizes, after a check that it can.
    fn untuned(&self) -> Result<Preset> {
        let resources = &self.spec.resources;
        let preset = self.preset(&self.spec, resources)?;
        let provider = preset.provider;
        if resources.device != Device::Auto && provider != Provider::CPU && !self.may_use(provider)? {
            let reason = self.runtime.lacks(provider.kind())?;
            return Err(self.error("device", format!("'{provider}' {reason}")));
        }
        let checked = provider.check_precision(resources, self.machine()?);
        checked.map_err(|reason| self.error("precision", reason))?;
        // The options of a model that runs anywhere are for the GPU that it may find.
        if resources.device != Device::Auto {
            let checked = provider.check_options(&resources.provider_options);
            checked.map_err(|reason| self.error("provider_options", reason))?;
        }
        Ok(preset)
    }

    /// What `spec` starts with on this machine by `options`.
    fn preset(&self, spec: &ModelSpec, options: &Resources) -> Result<Preset> {
        let preset = Preset::new(self.machine()?, &ModelFacts::of(spec), options);
        preset.map_err(|reason| self.error("device", reason))
    }

    /// The machine, with its GPUs if the model may choose one.
    fn machine(&self) -> Result<&Machine> {
        if let Some(machine) = self.machine.get() {
            return Ok(machine);
        }
        let chooses = self.spec.resources.device == Device::Auto;
        let has_gpus = chooses && Runtime::sees_gpu() && self.may_use(Provider::cuda(0))?;
        let gpus = if has_gpus { Provider::gpus() } else { vec![] };
        Ok(self.machine.get_or_init(|| Machine { gpus, ..Machine::without_gpus() }))
    }

    /// Whether the library has the provider. Without a library nothing can run, so that any may be named.
    fn may_use(&self, provider: Provider) -> Result<bool> {
        Ok(!self.runtime.is_installed()? || self.runtime.offers(provider.kind())?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;

    use datafusion::arrow::array::Float32Array;

    use super::*;
    use crate::clock::Clock;
    use crate::model::runtime::run::{Cancellation, RunTimes};
    use crate::model::runtime::session::Batch;
    use crate::model::tensor::Numbers;
    use crate::model::testing::home;

    fn iris() -> Model {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models/iris.onnx");
        let spec = ModelSpec::resolve("iris", &file, &BTreeMap::new()).unwrap();
        Model::new(spec, Runtime::new(&home()))
    }

    /// What the model computes of a flower.
    fn computed(model: &Model, flower: u8) -> String {
        let values = [5.0, 3.0, 1.0, 0.1].map(|length| length + f32::from(flower));
        let numbers = [Numbers { values: Arc::new(Float32Array::from(values.to_vec())), shape: vec![4] }];
        let batch = Batch { rows: 1, images: None, numbers: vec![&numbers], max_output_elements: 100 };
        let outputs: Vec<_> = model.spec().outputs.iter().map(|output| output.name.clone()).collect();
        let computed =
            model.run(&batch, &outputs, &RunTimes::default(), &Clock::default(), &Cancellation::default());
        format!("{:?}", computed.unwrap().unwrap())
    }

    /// The CPU stands in for two devices; GPUs differ in what `Provider::register` does.
    #[test]
    fn sessions_are_spread_over_the_devices_and_freed_on_them() {
        let (alone, model) = (iris(), iris());
        let (provider, spec) = (Provider::cpus(2), model.spec.clone());
        let options = Resources { concurrency: Some((3, 3)), ..spec.resources.clone() };
        let facts = ModelFacts::of(&spec);
        let sizing = Sizing::new(model.machine().unwrap(), &facts, &options, provider);
        model.placed.set(model.place(Preset { provider, sizing }, spec, None)).unwrap();
        let pool = &model.placed().unwrap().pool;

        computed(&model, 0);
        computed(&model, 1);
        assert_eq!(pool.idle(), [1, 0], "one run at a time needs one session");
        model.load_all().unwrap();
        assert_eq!((pool.idle(), model.loaded_sessions()), (vec![2, 1], 3));
        let expected: Vec<_> = (0..40).map(|flower| computed(&alone, flower)).collect();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for (flower, expected) in (0..40).zip(&expected) {
                        assert_eq!(computed(&model, flower), *expected);
                    }
                });
            }
        });
        assert_eq!(pool.idle(), [2, 1]);
        model.unload();
        assert_eq!((pool.idle(), model.loaded_sessions()), (vec![0, 0], 0));
    }
}

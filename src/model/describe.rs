//! What `SHOW MODELS` and `DESCRIBE MODEL` return.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use itertools::Itertools;

use super::ensemble::{Combine, Ensemble};
use super::predictor::Predictor;
use super::registry::ModelRegistry;
use crate::Result;
use crate::model::input::ModelInput;
use crate::model::onnx::Port;
use crate::model::runtime::Model;
use crate::model::settings::Source;
use crate::model::spec::{ModelSpec, Precision};
use crate::quantize::Record;

impl ModelRegistry {
    /// `SHOW MODELS`: one row per model, with the error of a model that fails to load.
    ///
    /// # Errors
    /// Columns of unequal length, which is a bug.
    pub fn show(&self) -> Result<RecordBatch> {
        let names = self.names();
        let predictors: Vec<_> = names.iter().map(|name| self.predictor(name)).collect();
        let column = |describe: &dyn Fn(&Predictor) -> Option<String>| -> ArrayRef {
            let values = predictors.iter().map(|predictor| predictor.as_ref().ok().and_then(describe));
            Arc::new(values.collect::<StringArray>())
        };
        // For an ensemble, each column lists the distinct values of its members.
        let listed = |describe: &dyn Fn(&ModelSpec) -> String| {
            column(&|predictor| {
                Some(predictor.members().iter().map(|member| describe(member.spec())).unique().join(", "))
            })
        };
        let file = |predictor: &Predictor| match predictor {
            Predictor::Model(model) => Some(model.spec().file.display().to_string()),
            Predictor::Ensemble(_) | Predictor::Decoder => None,
        };
        let errors = predictors.iter().map(|predictor| predictor.as_ref().err().map(ToString::to_string));
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("name", Arc::new(StringArray::from_iter_values(&names)) as ArrayRef, false),
            ("task", listed(&|spec| spec.task.to_string()), true),
            ("input", listed(&|spec| spec.inputs.iter().map(ModelInput::display).join(" and ")), true),
            ("classes", listed(&|spec| spec.output.classes.to_string()), true),
            ("device", listed(&|spec| spec.resources.device.to_string()), true),
            ("file", column(&file), true),
            ("error", Arc::new(errors.collect::<StringArray>()), true),
        ]);
        Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
    }

    /// `DESCRIBE MODEL`: the graph's inputs and outputs, each setting that applies with its value and source, then the
    /// values derived for this machine. For an ensemble: its members, `combine` and the weights.
    ///
    /// A model on another device than the CPU is loaded, unless it has been: what its device leaves to the CPU is
    /// decided then, and is best known before a long query. Blocks meanwhile.
    ///
    /// # Errors
    /// See [`Self::predictor`].
    pub fn describe(&self, name: &str) -> Result<RecordBatch> {
        let lines = match self.predictor(name)? {
            Predictor::Model(model) => describe_model(&model)?,
            Predictor::Ensemble(ensemble) => describe_ensemble(&ensemble),
            Predictor::Decoder => vec![],
        };
        let (names, values, sources): (Vec<_>, Vec<_>, Vec<_>) = lines.into_iter().multiunzip();
        let column = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("setting", column(names)),
            ("value", column(values)),
            ("source", column(sources)),
        ]);
        Ok(batch.map_err(datafusion::error::DataFusionError::from)?)
    }
}

/// A line of `DESCRIBE MODEL`: setting, value, source.
type Line = (String, String, String);

fn describe_model(model: &Model) -> Result<Vec<Line>> {
    let (provider, sizing) = (model.provider()?, model.sizing()?);
    // A device that can't be used is an error of queries, and the rest of the description helps to mend it.
    let left_to_cpu = model.assign().unwrap_or_else(|error| Some(format!("unknown: {error}")));
    let tuning = model.tuning();
    let here = [
        ("runs on", Some(provider.to_string())),
        ("computes in", computes_in(model)?),
        ("left to the CPU", left_to_cpu),
        ("rows a batch", Some(rows_a_batch(model, sizing.batch_rows)?)),
        ("sessions", Some(sizing.sessions.to_string())),
        ("threads a session", Some(sizing.threads.to_string())),
    ];
    let spec = model.spec();
    let port = |name: &str, port: &Port| (name.to_owned(), port.to_string(), Source::Graph.to_string());
    let record = Record::beside(&spec.file).map(|record| record.lines()).unwrap_or_default();
    let record = record.into_iter().map(|(what, value)| (what.to_owned(), value, "quantization".to_owned()));
    let inputs = spec.graph_inputs.iter().map(|input| port("graph input", input));
    let outputs = spec.graph_outputs.iter().map(|output| port("graph output", output));
    let settings = spec.settings.iter();
    let settings = settings.map(|setting| (setting.name.to_owned(), setting.value.clone(), setting.origin()));
    let origin = |name| match name {
        "left to the CPU" => "this machine",
        "runs on" if model.untuned_provider().is_ok_and(|untuned| untuned == provider) => "this machine",
        _ if tuning.is_some() => "TUNE MODEL",
        _ => "this machine",
    };
    let here =
        here.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?, origin(name).to_owned())));
    Ok(inputs.chain(outputs).chain(settings).chain(record).chain(here).collect())
}

/// The rows of a batch, and to how many the device keeps them.
fn rows_a_batch(model: &Model, rows: usize) -> Result<String> {
    let bound = model.bound()?;
    Ok(match bound.rows() {
        Some(most) if most < rows => format!("{rows}, in runs of at most {bound}"),
        _ => rows.to_string(),
    })
}

/// The precision, and what was measured of it, of a model that leaves it open.
fn computes_in(model: &Model) -> Result<Option<String>> {
    if model.spec().resources.precision != Precision::Auto {
        return Ok(None);
    }
    let mut text = model.precision()?.to_string();
    if let Some(tuning) = model.tuning() {
        if let Some(twin) = &tuning.twin {
            // Writing to a String can't fail.
            let _ = write!(text, ", by '{}'", twin.name);
        }
        if let Some(agreement) = tuning.agreement {
            let _ = write!(text, ", agreement {:.1} %, measured", agreement * 100.0);
        }
    }
    Ok(Some(text))
}

fn describe_ensemble(ensemble: &Ensemble) -> Vec<Line> {
    let line = |name: &str, value: String| (name.to_owned(), value, Source::Options.to_string());
    let members = ensemble.members().iter().map(|member| line("member", member.spec().name.clone()));
    let weights = ensemble.weights().iter().map(f32::to_string).join(",");
    let weights = (ensemble.combine() == Combine::Weights).then(|| line("weights", weights));
    let combine = line("combine", ensemble.combine().to_string());
    members.chain([combine]).chain(weights).collect()
}

//! A call of an inference function as a column of the operator, and its description in EXPLAIN.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::physical_plan::PhysicalExpr;
use itertools::Itertools;
use seequel_udfs::Request;

use crate::model::Predictor;
use crate::model::runtime::Model;
use crate::model::spec::Precision;

/// One output column: a request to a model, and its inputs.
#[derive(Debug, Clone)]
pub struct PhysicalCall {
    /// Name and type of the column.
    pub field: FieldRef,
    /// What the model predicts.
    pub request: Request,
    /// The model's inputs: for an image Binary, LargeBinary, BinaryView, or a struct with such a field `bytes`; for
    /// other inputs numbers and lists of numbers.
    pub inputs: Vec<Arc<dyn PhysicalExpr>>,
    /// The model or ensemble that fills the column.
    pub predictor: Predictor,
}

impl fmt::Display for PhysicalCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described(|_| Found::default()))
    }
}

impl PhysicalCall {
    /// The call with where and how its models run; `found` gives what runs found out about the batch size.
    pub(in crate::exec) fn described(&self, found: impl Fn(&Model) -> Found) -> String {
        let Self { field, request, inputs, predictor } = self;
        let inputs = inputs.iter().map(ToString::to_string).collect::<Vec<_>>();
        let call = format!("{}={}", field.name(), request.display(&inputs, predictor.name()));
        match predictor {
            Predictor::Decoder => call,
            Predictor::Model(model) => format!("{call} {{{}}}", placed(model, &found(model))),
            Predictor::Ensemble(ensemble) => {
                let members = ensemble.members().iter().map(|model| {
                    let placed = placed(model, &found(model));
                    format!("{} {{{placed}}}", model.spec().name)
                });
                format!("{call} {{combine={}, {}}}", ensemble.combine(), members.format(", "))
            }
        }
    }
}

/// What the runs of a plan found out about a model's batch size.
#[derive(Debug, Default)]
pub(in crate::exec) struct Found {
    /// The size that is faster.
    pub(in crate::exec) faster: Option<usize>,
    /// The largest that the device takes, and why.
    pub(in crate::exec) bound: Option<String>,
}

/// The largest batch that the device takes, if it has refused one of the model's size.
pub(in crate::exec) fn bound(model: &Model) -> Option<String> {
    let (bound, sizing) = (model.bound().ok()?, model.sizing().ok()?);
    (bound.rows()? < sizing.batch_rows).then(|| bound.to_string())
}

/// The device, the precision unless it is float32, the batch size and concurrency of a model, or the error in resolving them.
fn placed(model: &Model, found: &Found) -> String {
    let described = || {
        let (provider, sizing) = (model.provider()?, model.sizing()?);
        let precision = match model.precision()? {
            Precision::F32 => String::new(),
            precision => format!("precision={precision}, "),
        };
        let tuned = if model.tuning().is_some() { ", tuned" } else { "" };
        let found = match found {
            Found { bound: Some(bound), .. } => format!("→{bound}"),
            Found { faster: Some(faster), .. } => format!("→{faster} (measured)"),
            Found { faster: None, bound: None } => String::new(),
        };
        let (rows, sessions) = (format!("{}{found}", sizing.batch_rows), sizing.sessions);
        Ok::<_, crate::Error>(format!(
            "device={provider}, {precision}batch_size={rows}, concurrency={sessions}{tuned}"
        ))
    };
    described().unwrap_or_else(|error| error.to_string())
}

//! The models of a query, as far as they decide its results.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan};
use seequel_udfs::Inference;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::model::fetch::{digest, hex};
use crate::model::runtime::Model;
use crate::model::{ModelRegistry, Predictor};
use crate::plan::as_infer;
use crate::resume::ModelRecord;

/// Settings that decide where and how fast a model runs.
const RESOURCES: [&str; 8] =
    ["batch_size", "concurrency", "device", "labels", "num_cpus", "num_gpus", "provider_options", "sha256"];

/// The models of a query.
#[derive(Debug, Clone, Default)]
pub(super) struct Models {
    pub(super) records: BTreeMap<String, ModelRecord>,
    /// External weight files, with their models' names.
    weights: Vec<(String, PathBuf)>,
}

/// The models of `query`.
///
/// # Errors
/// Calls that their functions don't take.
pub(super) fn models(query: &LogicalPlan, registry: &ModelRegistry) -> Result<Models> {
    let mut models = Models::default();
    query.apply(|node| {
        for (_, call) in as_infer(node).into_iter().flat_map(|infer| infer.calls()) {
            models.add(&call.predictor);
        }
        // Calls that stay in expressions.
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::ScalarFunction(function) = part
                    && let Some(marker) =
                        (function.func.inner().as_ref() as &dyn Any).downcast_ref::<Inference>()
                {
                    models.add(&registry.predictor(&marker.call(&function.args)?.0.model)?);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(models)
}

impl Models {
    fn add(&mut self, predictor: &Predictor) {
        for model in predictor.members() {
            self.add_model(model);
        }
        if let Predictor::Ensemble(ensemble) = predictor {
            let members: Vec<_> = ensemble.members().iter().map(|model| model.spec().name.as_str()).collect();
            let settings = [
                ("members", members.join(", ")),
                ("combine", ensemble.combine().to_string()),
                ("weights", format!("{:?}", ensemble.weights())),
            ];
            let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
            let record = ModelRecord { files: BTreeMap::new(), settings };
            self.records.insert(ensemble.name().to_owned(), record);
        }
    }

    fn add_model(&mut self, model: &Arc<Model>) {
        let spec = model.spec();
        let mut settings: BTreeMap<_, _> = spec
            .settings
            .iter()
            .filter(|setting| !RESOURCES.contains(&setting.name))
            .map(|setting| (setting.name.to_owned(), setting.value.clone()))
            .collect();
        let mut labels = Sha256::new();
        for class in 0..spec.labels.len() {
            labels.update(spec.labels.get(class).as_bytes());
            labels.update([0]);
        }
        settings.insert(
            "labels".to_owned(),
            format!("{} ({})", spec.labels.len(), short(&hex(&labels.finalize()))),
        );
        let files = BTreeMap::from([(file_name(&spec.file), spec.sha256.clone())]);
        if self.records.insert(spec.name.clone(), ModelRecord { files, settings }).is_none() {
            self.weights.extend(spec.weight_files.iter().map(|file| (spec.name.clone(), file.clone())));
        }
    }

    /// The models with the digests of their external weights. Reads these files.
    ///
    /// # Errors
    /// A file that can't be read.
    pub(super) async fn digested(mut self) -> Result<BTreeMap<String, ModelRecord>> {
        for (model, path) in self.weights {
            let digest = digest(&path).await;
            let digest = digest.map_err(|reason| Error::Model {
                model: model.clone(),
                reason: format!("'{}' {reason}", path.display()),
            })?;
            if let Some(record) = self.records.get_mut(&model) {
                record.files.insert(file_name(&path), digest);
            }
        }
        Ok(self.records)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Enough of a digest to tell it from another.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

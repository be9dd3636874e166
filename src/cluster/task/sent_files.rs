//! The files of a model, as a plan names them and a client offers them.

use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use seequel_cluster::OfferedFile;

use super::messages::SentFile;
use crate::Error;
use crate::exec::InferExec;
use crate::model::Predictor;
use crate::model::runtime::Model;

/// The file of a model, and those of its external weights.
///
/// # Errors
/// Files that are not there any more.
pub(in crate::cluster) fn sent_files(model: &Model) -> Result<Vec<SentFile>, Error> {
    let spec = model.spec();
    let error = |reason: String| Error::Model { model: spec.name.clone(), reason };
    let unreadable = |path: &Path, reason: io::Error| error(format!("'{}': {reason}", path.display()));
    let length = |path: &Path| {
        path.metadata().map(|metadata| metadata.len()).map_err(|reason| unreadable(path, reason))
    };
    let (bytes, sha256) = (length(&spec.file)?, spec.sha256.clone());
    let mut files = vec![SentFile { name: String::new(), bytes, sha256 }];
    let folder = spec.file.parent().unwrap_or_else(|| Path::new(""));
    let digests = model.weight_digests().map_err(|reason| error(format!("its weights: {reason}")))?;
    for (path, sha256) in spec.weight_files.iter().zip(digests) {
        let name = path.strip_prefix(folder).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
        if !is_inside(&name) {
            return Err(error(format!("its weights '{}' are outside its folder", path.display())));
        }
        files.push(SentFile { name, bytes: length(path)?, sha256: sha256.clone() });
    }
    Ok(files)
}

/// The files of the models that `predictor` runs, where they are on this machine.
///
/// # Errors
/// Files that are not there any more.
pub(in crate::cluster) fn files_of(predictor: &Predictor) -> Result<Vec<OfferedFile>> {
    let mut files = vec![];
    for model in predictor.members() {
        let spec = model.spec();
        let paths = std::iter::once(&spec.file).chain(&spec.weight_files);
        for (path, file) in paths.zip(sent_files(model)?) {
            files.push(OfferedFile { digest: file.sha256, path: path.clone() });
        }
    }
    Ok(files)
}

/// The files of the models of all operators of a plan.
///
/// # Errors
/// Files that are not there any more.
pub(in crate::cluster) fn offered_files(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<OfferedFile>> {
    let mut files = vec![];
    plan.apply(|node| {
        for call in node.downcast_ref::<InferExec>().map_or(&[][..], InferExec::calls) {
            files.extend(files_of(&call.predictor)?);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(files)
}

/// Whether a name of weights, relative to the folder of the model, stays in that folder.
pub(super) fn is_inside(name: &str) -> bool {
    !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
}

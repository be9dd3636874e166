//! Operators and functions of a task that tell which of its rows have failed, by their names.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;

use crate::cluster::task::InferTaskExec;
use crate::failures::QueryFailures;
use crate::images::scan::FetchImagesExec;
use crate::resume::Key;
use crate::write::{Namer, position_of, with_named_rows};

/// `plan` whose functions know the names of their rows. With `told`, all of it tells these failures of the rows that fail, and of
/// the keys of those that are left out; without, the failures that are among the settings of the task.
///
/// # Errors
/// A bug: operators that can't be put together again.
pub(super) fn rows_of(
    plan: Arc<dyn ExecutionPlan>,
    told: Option<(&QueryFailures, Key)>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let failures = told.map(|(failures, _)| failures);
    let named = plan.transform_up(|node| {
        if let (Some(fetch), Some(failures)) = (node.downcast_ref::<FetchImagesExec>(), failures) {
            return Ok(Transformed::yes(fetch.reporting(failures.clone())));
        }
        let Some(infer) = node.downcast_ref::<InferTaskExec>() else { return Ok(Transformed::no(node)) };
        let mut named = match Namer::of(infer.input(), failures) {
            Some(namer) => infer.map_inputs(|expr| namer.name(expr))?,
            None => infer.clone(),
        };
        if let Some((failures, key)) = &told {
            let key = key.columns().iter().map(|name| position_of(infer.input(), name)).collect();
            named = named.telling((*failures).clone(), key);
        }
        Ok(Transformed::yes(Arc::new(named) as _))
    })?;
    with_named_rows(named.data, failures)
}

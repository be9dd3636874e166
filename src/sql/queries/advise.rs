//! `ADVISE query`: plans the query, or a COPY whose files go nowhere, and asks for advice.

use std::path::{MAIN_SEPARATOR, Path};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::dml::CopyTo;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;

use super::query;
use crate::advise::{self, Advise};
use crate::model::ModelRegistry;
use crate::stores::apply_store_options;
use crate::write::{MODE, RESUMABLE};
use crate::{Error, Result};

/// Runs the statement's query and gives its findings. What COPY would write goes to a temporary folder, which is then
/// removed. `observe` gets the plans that run.
///
/// # Errors
/// Errors of the query; a statement that is no query.
pub(crate) async fn advise(
    ctx: &SessionContext,
    models: &Arc<ModelRegistry>,
    statement: Advise,
    observe: impl FnMut(&Arc<dyn ExecutionPlan>),
) -> Result<RecordBatch> {
    let Advise { query, rows } = statement;
    let plan = apply_store_options(ctx, query::plan(&ctx.state(), *query).await?)?;
    let discarded = tempfile::tempdir().map_err(|source| Error::Io { path: std::env::temp_dir(), source })?;
    let plan = match plan {
        LogicalPlan::Copy(copy) => LogicalPlan::Copy(into_folder(copy, discarded.path())),
        LogicalPlan::Ddl(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Statement(_) => {
            let reason = "ADVISE takes a query, or a COPY, whose files are written to a temporary folder";
            return Err(DataFusionError::Plan(reason.to_owned()).into());
        }
        plan => plan,
    };
    advise::advise(ctx, models, plan, rows, observe).await
}

/// The same COPY to a file of the same kind in `folder`.
fn into_folder(copy: CopyTo, folder: &Path) -> CopyTo {
    let written = copy.output_url.split(['?', '#']).next().unwrap_or_default();
    let name = written.rsplit(['/', MAIN_SEPARATOR]).next().unwrap_or_default();
    // As DataFusion does, a name with an extension is a file's, others are folders'.
    let is_file = copy.partition_by.is_empty() && Path::new(name).extension().is_some();
    let target = if is_file { folder.join(name) } else { folder.join("files").join("") };
    let mut options = copy.options;
    // Each of its runs has all rows to write.
    options.retain(|option, _| !RESUMABLE.contains(&option.as_str()));
    // It may be written more than once.
    options.insert(MODE.to_owned(), "overwrite".to_owned());
    CopyTo { output_url: target.display().to_string(), options, ..copy }
}

//! The analyzer rule that makes COPY and INSERT write with an `AtomicSink`.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::config::ConfigOptions;
use datafusion::datasource::file_format::{file_type_to_format, format_as_file_type};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::logical_expr::dml::{CopyTo, DmlStatement};
use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::optimizer::AnalyzerRule;

use super::failed::ErrorsOption;
use super::files::MODE;
use super::format::AtomicFormatFactory;
use super::insert::AtomicTable;
use super::parts::resumable;
use crate::Error;
use crate::model::ModelRegistry;

/// Makes `COPY` and `INSERT` into tables of files write everything or nothing, and takes the option `mode` of COPY.
#[derive(Debug)]
pub struct AtomicWrites {
    models: Arc<ModelRegistry>,
}

impl AtomicWrites {
    /// The rule for queries with `models`.
    #[must_use]
    pub fn new(models: Arc<ModelRegistry>) -> Self {
        Self { models }
    }

    fn copy(&self, mut copy: CopyTo, config: &ConfigOptions) -> Result<Transformed<LogicalPlan>> {
        let inner = file_type_to_format(&copy.file_type)?;
        if inner.is::<AtomicFormatFactory>() {
            return Ok(Transformed::no(LogicalPlan::Copy(copy)));
        }
        let resumable = resumable(&mut copy, &self.models, config)?;
        let mode = copy.options.remove(MODE).map(|mode| mode.parse()).transpose();
        let mode = mode.map_err(|reason| Error::Target { target: copy.output_url.clone(), reason })?;
        let errors = ErrorsOption::take(&mut copy)?;
        copy.file_type =
            format_as_file_type(Arc::new(AtomicFormatFactory { inner, mode, errors, resumable }));
        Ok(Transformed::yes(LogicalPlan::Copy(copy)))
    }
}

impl AnalyzerRule for AtomicWrites {
    fn name(&self) -> &'static str {
        "atomic_writes"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let analyzed = plan.transform_down(|node| match node {
            LogicalPlan::Copy(copy) => self.copy(copy, config),
            LogicalPlan::Dml(insert) if matches!(insert.op, WriteOp::Insert(_)) => Ok(atomic_insert(insert)),
            node => Ok(Transformed::no(node)),
        })?;
        Ok(analyzed.data)
    }
}

fn atomic_insert(mut insert: DmlStatement) -> Transformed<LogicalPlan> {
    let table = source_as_provider(&insert.target).ok();
    match table.as_ref().and_then(AtomicTable::new) {
        Some(table) => {
            insert.target = provider_as_source(Arc::new(table));
            Transformed::yes(LogicalPlan::Dml(insert))
        }
        None => Transformed::no(LogicalPlan::Dml(insert)),
    }
}

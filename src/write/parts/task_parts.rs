//! What a task of a cluster needs to know to write a part.

use std::num::NonZeroUsize;
use std::sync::Arc;

use datafusion::common::internal_datafusion_err;
use datafusion::datasource::sink::DataSinkExec;
use datafusion::error::Result;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use parking_lot::Mutex;

use crate::resume::{FinishedKeys, Key};
use crate::write::files::Target;

/// How the parts of a statement are written.
#[derive(Debug, Clone)]
pub(crate) struct TaskParts {
    /// The format's operator, of which only the sink is used.
    pub(in crate::write) writer: DataSinkExec,
    pub(in crate::write) target: Target,
    /// Positions of the key's columns.
    pub(crate) positions: Vec<usize>,
    /// Rows that a task should have at most.
    pub(crate) commit_rows: Option<NonZeroUsize>,
    /// The last that the client has begun.
    run: Arc<Mutex<Option<String>>>,
}

impl TaskParts {
    pub(in crate::write) fn new(
        writer: DataSinkExec,
        target: Target,
        positions: Vec<usize>,
        commit_rows: Option<NonZeroUsize>,
    ) -> Self {
        Self { writer, target, positions, commit_rows, run: Arc::default() }
    }

    /// Those of a plan that came from a client; `writer` is an operator of its format over any input.
    ///
    /// # Errors
    /// A location that is no URL, an operator that does not write.
    pub(crate) fn sent(
        writer: &Arc<dyn ExecutionPlan>,
        (written, url): (String, &str),
        positions: Vec<usize>,
        run: String,
    ) -> Result<Self> {
        let writer = writer.downcast_ref::<DataSinkExec>().cloned();
        let writer = writer.ok_or_else(|| internal_datafusion_err!("the operator of a format is no sink"))?;
        let target = Target::sent(written, url, "parquet".to_owned())?;
        Ok(Self { writer, target, positions, commit_rows: None, run: Arc::new(Mutex::new(Some(run))) })
    }

    /// The format's operator without its input.
    ///
    /// # Errors
    /// None in practice.
    pub(crate) fn writer(&self) -> Result<Arc<dyn ExecutionPlan>> {
        let empty = Arc::new(EmptyExec::new(Arc::clone(self.writer.sink().schema())));
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        Arc::new(self.writer.clone()).replace_children(vec![empty], options)
    }

    /// The location of the folder in the user's words, and as a URL.
    pub(crate) fn location(&self) -> (&str, String) {
        (self.target.written(), self.target.url().to_string())
    }

    /// The run, once the client has begun it.
    pub(crate) fn run(&self) -> Option<String> {
        self.run.lock().clone()
    }

    /// What is finished already, once the client has begun.
    pub(crate) fn finished(&self) -> Option<FinishedKeys> {
        Some(of_target(&self.target, self.run()?, self.key()))
    }

    /// Begins a run.
    pub(in crate::write) fn begin(&self, run: &str) {
        *self.run.lock() = Some(run.to_owned());
    }

    /// The key of the rows.
    pub(crate) fn key(&self) -> Key {
        if self.positions.len() == 1 { Key::Path } else { Key::Version }
    }
}

fn of_target(target: &Target, run: String, key: Key) -> FinishedKeys {
    let (written, url) = (target.written().to_owned(), target.url().clone());
    FinishedKeys { written, url, local: target.local_path(), run, key }
}

/// The finished keys of a folder, as a plan names them: its location in the user's words and as a URL, and the run.
///
/// # Errors
/// A location that is no URL.
pub(crate) fn finished_keys(written: String, url: &str, run: String, key: Key) -> Result<FinishedKeys> {
    Ok(of_target(&Target::sent(written, url, "parquet".to_owned())?, run, key))
}

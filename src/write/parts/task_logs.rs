//! The logs that an executor appends to: each is read once, and then what others append.

use std::sync::Arc;

use datafusion::error::Result;
use datafusion::object_store::ObjectStore;
use tokio::sync::Mutex;

use super::folder::open_log;
use crate::resume::Log;
use crate::write::files::Target;

/// Logs that an executor keeps: those that were used last.
const KEPT: usize = 8;

/// The logs of the statements that an executor has tasks of.
#[derive(Debug, Default)]
pub(crate) struct TaskLogs {
    /// By folder and run, the last used last.
    known: Mutex<Vec<(String, Arc<Mutex<Log>>)>>,
}

impl TaskLogs {
    /// The log of a folder that `run` writes to, as it is now or was before.
    ///
    /// # Errors
    /// Those of the store; a log that is damaged.
    pub(super) async fn open(
        &self,
        target: &Target,
        store: &Arc<dyn ObjectStore>,
        run: &str,
    ) -> Result<Arc<Mutex<Log>>> {
        let name = format!("{} {run}", target.url());
        let mut known = self.known.lock().await;
        let log = match known.iter().position(|(known, _)| *known == name) {
            Some(position) => known.remove(position).1,
            None => Arc::new(Mutex::new(open_log(target, store).await?.shared())),
        };
        let forgotten = (known.len() + 1).saturating_sub(KEPT);
        known.drain(..forgotten);
        known.push((name, Arc::clone(&log)));
        Ok(log)
    }
}

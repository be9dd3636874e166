//! How entries get into a log: each has the next number, which one writer gets.
//!
//! ```text
//!  one writer:       append ─ taken ─► another run has begun
//!  tasks of a run:   append_after ─ taken ─► read what others have appended ─ nothing against it ─► the next number
//! ```

use datafusion::error::{DataFusionError, Result};

use super::entry::Entry;
use super::{Appended, DIGITS, Log, entry_name};

impl Log {
    /// Appends an entry.
    ///
    /// # Errors
    /// Those of the store, after which the entry may be in the log or not.
    pub(crate) async fn append(&mut self, entry: Entry) -> Result<Appended> {
        let bytes = serde_json::to_vec(&entry).map_err(|error| DataFusionError::External(error.into()))?;
        let appended = self.create(&entry_name(self.next()), bytes.into()).await?;
        if appended == Appended::Yes {
            self.entries.push(entry);
        }
        Ok(appended)
    }

    /// Appends an entry behind all that others append at the same time, unless one of these is `against` it. Who appends has
    /// read all entries before its own.
    ///
    /// # Errors
    /// Those of [`Self::append`] and of the log.
    pub(crate) async fn append_after(
        &mut self,
        entry: &Entry,
        against: impl Fn(&Entry) -> bool,
    ) -> Result<Appended> {
        loop {
            if self.append(entry.clone()).await? == Appended::Yes {
                return Ok(Appended::Yes);
            }
            let known = self.entries.len();
            self.catch_up().await?;
            let others = self.entries.get(known..).unwrap_or_default();
            // What was there and is not any more was deleted.
            if others.is_empty() || others.iter().any(&against) {
                return Ok(Appended::Taken);
            }
        }
    }

    /// Reads what others have appended.
    ///
    /// # Errors
    /// Those of the store; a log that is damaged, or that is another than before.
    pub(crate) async fn catch_up(&mut self) -> Result<()> {
        if let Some(last) = self.entries.last()
            && self.read(self.next() - 1).await?.as_ref() != Some(last)
        {
            return Err(self.refused("the log was removed or replaced while this was running, so it ends"));
        }
        while let Some(entry) = self.read(self.next()).await? {
            self.entries.push(entry);
        }
        Ok(())
    }

    /// What the names of files for the next entry begin with, if only one process writes.
    pub(crate) fn next_name(&self, run: &str) -> String {
        format!("{:0DIGITS$}-{run}", self.next())
    }

    fn next(&self) -> u64 {
        self.entries.len() as u64 + 1
    }
}

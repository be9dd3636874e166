//! Who is told of the rows of a query that fail.

use std::sync::mpsc::SyncSender;

use super::failure::FailedRow;

/// A row that has failed and is not in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SkippedRow {
    /// The hash of its path.
    pub(crate) path: u128,
    /// The hash of its key.
    pub(crate) key: u128,
}

/// Is told of each row that fails, before the row leaves the operator where it failed.
pub(crate) trait Listener: Send + Sync {
    /// `row` has failed. Whether it is in the result as well depends on where it failed. May block.
    fn failed(&self, row: FailedRow);

    /// A row that has failed is left out of the result; all its failures are known. Only operators that know the rows' keys
    /// tell of it.
    fn skipped(&self, _row: SkippedRow) {}
}

impl Listener for SyncSender<FailedRow> {
    fn failed(&self, row: FailedRow) {
        // A receiver that has ended has its own error.
        let _ = self.send(row);
    }
}

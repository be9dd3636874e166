//! The failures of a query until the rows that they concern are committed.
//!
//! ```text
//!  operators ─ failed, skipped ─► FailedRows ─ of_part: those of its rows, and of rows that are left out ─► the log
//!                                            └ rest: of rows that are not in the result ─► the errors file
//! ```
//!
//! A row's failures are known before it arrives, since each operator reports them before it emits the row.

use std::collections::HashMap;
use std::mem;

use parking_lot::Mutex;

use crate::failures::{FailedRow, Listener, SkippedRow, Stage};
use crate::resume::hash;

/// Failures that wait for their rows.
#[derive(Debug, Default)]
pub(super) struct FailedRows(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    /// By the hash of their path.
    named: HashMap<u128, Vec<FailedRow>>,
    /// Without a path, so that it is not known when they arrive.
    unnamed: Vec<FailedRow>,
    /// Of entries that can't be listed, so that none arrives.
    unlisted: Vec<FailedRow>,
    skipped: Vec<SkippedRow>,
    bytes: usize,
}

impl Listener for FailedRows {
    fn failed(&self, row: FailedRow) {
        let mut waiting = self.0.lock();
        waiting.bytes += bytes(&row);
        match &row.path {
            _ if row.stage == Stage::List => waiting.unlisted.push(row),
            Some(path) => waiting.named.entry(hash(path, None)).or_default().push(row),
            None => waiting.unnamed.push(row),
        }
    }

    fn skipped(&self, row: SkippedRow) {
        self.0.lock().skipped.push(row);
    }
}

impl FailedRows {
    /// Bytes of the failures that wait.
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// The number of rows that were left out, and are in no part yet.
    pub(super) fn left_out(&self) -> usize {
        self.0.lock().skipped.len()
    }

    /// Takes the failures of a part's rows, whose paths have these hashes, and of the rows that were left out since the last
    /// part; also the hashes of the keys of the latter. Those without a path are of some row that is near.
    pub(super) fn of_part(&self, paths: &[u128]) -> (Vec<FailedRow>, Vec<u128>) {
        let mut waiting = self.0.lock();
        let skipped = mem::take(&mut waiting.skipped);
        let mut failed = mem::take(&mut waiting.unnamed);
        if !waiting.named.is_empty() {
            for path in paths.iter().chain(skipped.iter().map(|row| &row.path)) {
                failed.extend(waiting.named.remove(path).into_iter().flatten());
            }
        }
        waiting.bytes = waiting.bytes.saturating_sub(failed.iter().map(bytes).sum());
        (failed, skipped.into_iter().map(|row| row.key).collect())
    }

    /// Takes the failures of rows that are in no part.
    pub(super) fn rest(&self) -> Vec<FailedRow> {
        let Waiting { named, unnamed, unlisted, .. } = mem::take(&mut *self.0.lock());
        unlisted.into_iter().chain(unnamed).chain(named.into_values().flatten()).collect()
    }
}

/// Bytes that a failure takes, more or less.
fn bytes(row: &FailedRow) -> usize {
    let FailedRow { path, error, model, .. } = row;
    let texts = [path.as_deref(), Some(error), model.as_deref()].into_iter().flatten();
    2 * size_of::<FailedRow>() + texts.map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: Option<&str>, stage: Stage) -> FailedRow {
        FailedRow { path: path.map(str::to_owned), stage, error: "damaged".to_owned(), model: None }
    }

    #[test]
    fn failures_wait_for_their_rows() {
        let rows = FailedRows::default();
        let all = [
            failed(Some("a"), Stage::Decode),
            failed(Some("a"), Stage::Infer),
            failed(Some("b"), Stage::Decode),
            failed(Some("c"), Stage::Decode),
            failed(Some("folder"), Stage::List),
            failed(None, Stage::Function),
        ];
        all.iter().for_each(|row| rows.failed(row.clone()));
        assert!(rows.bytes() > 0);
        rows.skipped(SkippedRow { path: hash("b", None), key: 7 });
        assert_eq!(rows.left_out(), 1);
        let (of_part, keys) = rows.of_part(&[hash("a", None), hash("x", None)]);
        assert_eq!(of_part, [5, 0, 1, 2].map(|row: usize| all[row].clone()));
        assert_eq!((keys, rows.left_out()), (vec![7], 0));
        assert_eq!(rows.of_part(&[]), (vec![], vec![]));
        assert_eq!(rows.rest(), [4, 3].map(|row: usize| all[row].clone()));
        assert_eq!((rows.rest(), rows.bytes()), (vec![], 0));
    }
}

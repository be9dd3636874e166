//! `SHOW RESUMABLE 'out/'`.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array,
};
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::Result;
use datafusion::object_store::ObjectStore;

use super::log::{Entry, Log};
use crate::Error;

/// A row about the statement that writes to a folder: its query and key, the rows and parts that are finished and their
/// bytes, the rows that failed and were left out, when it was started and last committed, and whether all images are done.
///
/// # Errors
/// A folder without a log, those of the store, and a log that is damaged.
pub(crate) async fn show(
    store: Arc<dyn ObjectStore>,
    url: &ListingTableUrl,
    local: Option<PathBuf>,
    written: &str,
) -> Result<RecordBatch> {
    let log = Log::open(store, url.prefix(), local.as_deref(), written).await?;
    let Some(Entry::Start { statement, time: started, .. }) = log.entries().first() else {
        let reason = "no COPY with the option resume has written here".to_owned();
        return Err(Error::Target { target: written.to_owned(), reason }.into());
    };
    let (mut rows, mut left_out, mut parts, mut bytes, mut last_commit) = (0, 0, 0, 0, None);
    for entry in log.entries() {
        if let Entry::Commit { rows: more, skipped, bytes: size, time, .. } = entry {
            // A damaged log may have any numbers.
            rows = more.saturating_add(rows);
            left_out = skipped.saturating_add(left_out);
            (parts, bytes) = (parts + 1, size.saturating_add(bytes));
            last_commit = Some(*time as i64);
        }
    }
    let finished = matches!(log.entries().last(), Some(Entry::End { is_complete: true, .. }));
    let times = |time: Option<i64>| TimestampMillisecondArray::from(vec![time]).with_timezone("UTC");
    let columns: [(&str, ArrayRef); 9] = [
        ("query", Arc::new(StringArray::from(vec![statement.text()]))),
        ("key", Arc::new(StringArray::from(vec![statement.key.join(", ")]))),
        ("rows", Arc::new(UInt64Array::from(vec![rows]))),
        ("skipped", Arc::new(UInt64Array::from(vec![left_out]))),
        ("parts", Arc::new(UInt64Array::from(vec![parts]))),
        ("bytes", Arc::new(UInt64Array::from(vec![bytes]))),
        ("started", Arc::new(times(Some(*started as i64)))),
        ("last_commit", Arc::new(times(last_commit))),
        ("finished", Arc::new(BooleanArray::from(vec![finished]))),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

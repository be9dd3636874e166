//! Finished queries in a file of the home, so that a dashboard shows them after a restart too.
//!
//! ```text
//!  home/dashboard/queries.jsonl    one query a line, as the API gives it; the last 100 are read
//! ```
//!
//! Processes that share a home append whole lines. A file of more than 8 MiB is cut to what is read of it when a dashboard
//! opens. What can't be read or written is logged, and no query waits for it or fails.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::queries::Queries;

/// Queries that are read.
const MOST: usize = 100;

/// Bytes of the file beyond which it is cut; no more than twice as much is read.
const MOST_BYTES: u64 = 8 << 20;

/// Bytes of a query's line; a longer one is not written.
const MOST_LINE_BYTES: usize = 1 << 20;

/// The queries of earlier processes, and those of this one that are in the file.
pub(super) struct History {
    file: PathBuf,
    earlier: Vec<Arc<Value>>,
    /// The last query of this process that has been written.
    written: Mutex<Option<String>>,
}

impl History {
    /// Reads the history of a home; without it there is none.
    pub(super) fn in_home(home: &Path) -> Self {
        let file = home.join("dashboard").join("queries.jsonl");
        let earlier = match read(&file) {
            Ok(earlier) => earlier,
            Err(error) if error.kind() == io::ErrorKind::NotFound => vec![],
            Err(error) => {
                tracing::warn!("cannot read the history of queries in {}: {error}", file.display());
                vec![]
            }
        };
        Self { file, earlier, written: Mutex::default() }
    }

    /// The queries of earlier processes, last ended first.
    pub(super) fn earlier(&self) -> &[Arc<Value>] {
        &self.earlier
    }

    /// Adds the queries that have ended since the last time.
    pub(super) fn write(&self, queries: &Queries) {
        let mut written = self.written.lock();
        let ended = queries.ended();
        let Some(last) = ended.first() else { return };
        let new = ended.iter().take_while(|query| Some(&query.summary.id) != written.as_ref());
        let lines = new.filter_map(|query| serde_json::to_string(&**query).ok());
        let mut lines: Vec<_> = lines.filter(|line| line.len() <= MOST_LINE_BYTES).collect();
        lines.reverse();
        if let Err(error) = append(&self.file, &lines) {
            tracing::warn!("cannot write the history of queries in {}: {error}", self.file.display());
        }
        *written = Some(last.summary.id.clone());
    }
}

fn append(file: &Path, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    OpenOptions::new().create(true).append(true).open(file)?.write_all(text.as_bytes())
}

/// The last queries of the file, last first; cuts a long file.
fn read(file: &Path) -> io::Result<Vec<Arc<Value>>> {
    let opened = fs::File::open(file)?;
    let bytes = opened.metadata()?.len();
    let lines = BufReader::new(opened.take(2 * MOST_BYTES)).lines();
    let mut lines = lines.map_while(Result::ok).filter(|line| !line.is_empty()).collect::<Vec<_>>();
    lines.drain(..lines.len().saturating_sub(MOST));
    if bytes > MOST_BYTES {
        cut(file, &lines)?;
    }
    let queries = lines.iter().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(queries.filter(|query| query["id"].is_string()).map(Arc::new).collect())
}

fn cut(file: &Path, lines: &[String]) -> io::Result<()> {
    let mut kept = NamedTempFile::new_in(file.parent().unwrap_or_else(|| Path::new(".")))?;
    lines.iter().try_for_each(|line| writeln!(kept, "{line}"))?;
    kept.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_queries_are_read_and_broken_lines_left_out() {
        let home = tempfile::tempdir().unwrap();
        assert!(History::in_home(home.path()).earlier().is_empty());
        let file = home.path().join("dashboard/queries.jsonl");
        let line = |number: usize| format!("{{\"id\":\"{number}\",\"text\":\"SELECT {number}\"}}");
        append(&file, &(0..MOST + 5).map(line).collect::<Vec<_>>()).unwrap();
        append(&file, &["{\"id\":".to_owned(), "[]".to_owned()]).unwrap();
        let earlier = History::in_home(home.path());
        let earlier = earlier.earlier();
        assert_eq!((earlier.len(), &earlier[0]["id"]), (MOST - 2, &Value::from((MOST + 4).to_string())));
    }

    #[test]
    fn a_long_file_is_cut() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("dashboard/queries.jsonl");
        let line = |number: usize| format!("{{\"id\":\"{number}\",\"text\":\"{}\"}}", "x".repeat(100_000));
        append(&file, &(0..120).map(line).collect::<Vec<_>>()).unwrap();
        let before = fs::metadata(&file).unwrap().len();
        assert_eq!(History::in_home(home.path()).earlier().len(), MOST);
        assert!(fs::metadata(&file).unwrap().len() < before);
        assert_eq!(History::in_home(home.path()).earlier().len(), MOST);
    }
}

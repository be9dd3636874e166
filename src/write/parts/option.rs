//! The options of a resumable COPY.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::logical_expr::dml::CopyTo;

use super::models::{Models, models};
use super::plan::source;
use crate::Error;
use crate::model::ModelRegistry;
use crate::resume::{Key, StatementRecord};
use crate::secrets::hidden;
use crate::write::files::MODE;

/// The options of a resumable COPY, as DataFusion's parser names them.
pub(crate) const RESUMABLE: [&str; 2] = [RESUME, COMMIT_ROWS];
const RESUME: &str = "format.resume";
const COMMIT_ROWS: &str = "format.commit_rows";
/// The query in the user's words, which the engine passes on.
pub(crate) const QUERY: &str = "resume.query";

/// The session's settings that change results, or which rows are among them.
const SETTINGS: [&str; 8] = [
    "inference.max_image_pixels",
    "inference.max_file_bytes",
    "inference.max_frames",
    "inference.max_text_bytes",
    "inference.max_output_elements",
    "inference.on_error",
    "datafusion.execution.enable_ansi_mode",
    "datafusion.execution.time_zone",
];

/// A COPY that can be resumed.
#[derive(Debug, Clone)]
pub(in crate::write) struct Resumable {
    pub(super) key: Key,
    /// Positions of the key's columns among the query's.
    pub(super) positions: Vec<usize>,
    /// Rows after which a part is committed at the latest.
    pub(super) commit_rows: Option<NonZeroUsize>,
    /// What must stay the same. The digests of external weight files are still missing.
    pub(super) record: StatementRecord,
    pub(super) models: Models,
}

/// Takes the options of a resumable statement from `copy`, if it has them, and checks the query.
///
/// # Errors
/// Options that are wrong or exclude each other; a query that can't be resumed.
pub(in crate::write) fn resumable(
    copy: &mut CopyTo,
    registry: &ModelRegistry,
    config: &ConfigOptions,
) -> Result<Option<Resumable>> {
    let target = copy.output_url.clone();
    let refused = |reason: String| Error::Target { target: target.clone(), reason };
    let query = copy.options.remove(QUERY);
    let commit_rows = copy.options.remove(COMMIT_ROWS);
    let Some(key) = copy.options.remove(RESUME) else {
        return match commit_rows {
            Some(_) => Err(refused("commit_rows is for COPY with the option resume".to_owned()).into()),
            None => Ok(None),
        };
    };
    let key: Key = key.parse().map_err(refused)?;
    if copy.options.contains_key(MODE) {
        let reason = "mode and resume exclude each other: resume adds the rows that are missing; to start over, remove \
                      the folder";
        return Err(refused(reason.to_owned()).into());
    }
    let commit_rows = commit_rows.map(|rows| {
        rows.parse().map_err(|_| refused(format!("commit_rows is a number of rows above 0, not '{rows}'")))
    });
    let commit_rows = commit_rows.transpose()?;
    if copy.file_type.get_ext() != "parquet" {
        return Err(refused("resume writes Parquet; add STORED AS PARQUET".to_owned()).into());
    }
    let source = source(&copy.input, key).map_err(refused)?;
    let models = models(&copy.input, registry)?;
    let record = StatementRecord {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        query,
        plan: hidden(&copy.input.display_indent().to_string()).into_owned(),
        images: source.images,
        key: key.columns().iter().map(|name| (*name).to_owned()).collect(),
        partitions: copy.partition_by.clone(),
        settings: settings(config),
        models: models.records.clone(),
    };
    Ok(Some(Resumable { key, positions: source.positions, commit_rows, record, models }))
}

fn settings(config: &ConfigOptions) -> BTreeMap<String, String> {
    let entries = config.entries().into_iter();
    let chosen = entries.filter(|entry| SETTINGS.contains(&entry.key.as_str()));
    chosen.map(|entry| (entry.key, entry.value.unwrap_or_default())).collect()
}

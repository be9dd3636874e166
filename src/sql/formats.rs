//! The formats of `STORED AS`, checked before the statement is planned: DataFusion's error names no others, and `COPY`
//! would write the format of the file's extension instead.

use datafusion::prelude::SessionContext;
use datafusion::sql::parser::{CopyToStatement, CreateExternalTable, Statement as DataFusionStatement};
use itertools::Itertools;

use crate::nearest::nearest;
use crate::{Error, Result};

/// Formats that a session may be able to write.
const WRITTEN: [&str; 6] = ["ARROW", "AVRO", "CSV", "IMAGES", "JSON", "PARQUET"];

/// Checks the format that a statement names, if it names one.
///
/// # Errors
/// [`Error::UnknownFormat`] with the formats there are.
pub(super) fn check(context: &SessionContext, statement: &DataFusionStatement) -> Result<()> {
    match statement {
        DataFusionStatement::CreateExternalTable(CreateExternalTable { file_type, .. }) => {
            let state = context.state();
            let known = state.table_factories().keys().cloned().sorted().collect_vec();
            check_named(file_type, &known)
        }
        DataFusionStatement::CopyTo(CopyToStatement { stored_as: Some(format), .. }) => {
            let state = context.state();
            let is_written = |format: &str| state.get_file_format_factory(format).is_some();
            if is_written(format) {
                return Ok(());
            }
            let known = WRITTEN.into_iter().filter(|format| is_written(format));
            check_named(format, &known.map(str::to_owned).collect_vec())
        }
        DataFusionStatement::Explain(explain) => check(context, &explain.statement),
        _ => Ok(()),
    }
}

fn check_named(format: &str, known: &[String]) -> Result<()> {
    if known.iter().any(|name| name.eq_ignore_ascii_case(format)) {
        return Ok(());
    }
    let nearest = nearest(format, known.iter().map(String::as_str));
    let suggestion = nearest.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let the = if suggestion.is_empty() { "the" } else { "The" };
    let hint = format!("{suggestion}{the} formats are {}", known.join(", "));
    Err(Error::UnknownFormat { name: format.to_owned(), hint })
}

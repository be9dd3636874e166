//! `SHOW RESUMABLE 'out/'`, and the words of a query that its folder's log keeps.

use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as DataFusionStatement;
use datafusion::sql::sqlparser::ast::Value;

use crate::Result;
use crate::images::listing::expand_home;
use crate::resume;
use crate::secrets::hidden;
use crate::write::QUERY;

/// How far the statement that writes to the folder `location` has come.
///
/// # Errors
/// A folder that no resumable statement has written to; those of its store.
pub(super) async fn show(ctx: &SessionContext, location: &str) -> Result<RecordBatch> {
    let url = ListingTableUrl::parse(expand_home(location))?;
    let store = ctx.runtime_env().object_store(url.object_store())?;
    let local = if url.scheme() == "file" { Some(PathBuf::from(format!("/{}", url.prefix()))) } else { None };
    Ok(resume::show(store, &url, local, location).await?)
}

/// Adds the query to the options of a resumable COPY, whose plan no longer has the user's words.
pub(super) fn note_query(statement: &mut DataFusionStatement) {
    match statement {
        DataFusionStatement::Explain(explain) => note_query(&mut explain.statement),
        DataFusionStatement::CopyTo(copy)
            if copy.options.iter().any(|(key, _)| key.eq_ignore_ascii_case("resume")) =>
        {
            let query = copy.source.to_string();
            let query = query.strip_prefix('(').and_then(|query| query.strip_suffix(')')).unwrap_or(&query);
            copy.options.push((QUERY.to_owned(), Value::SingleQuotedString(hidden(query).into_owned())));
        }
        _ => {}
    }
}

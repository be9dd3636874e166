//! Which of the files of a folder is damaged: the readers of Parquet name none, and of some files they panic.

use std::panic::AssertUnwindSafe;
use std::slice;

use datafusion::arrow::error::ArrowError;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::ObjectMeta;
use datafusion::parquet::errors::ParquetError;
use datafusion::prelude::SessionContext;
use futures::{FutureExt, TryFutureExt, TryStreamExt};
use tokio::task::JoinError;

use crate::Error;

/// An error of planning a statement that reads tables at these locations. If it is one of reading a schema and does not say
/// of which file, the files of folders and patterns are tried one by one, and the first that can't be read is named.
pub(in crate::sql) async fn with_damaged_file(
    ctx: &SessionContext,
    locations: &[String],
    error: Error,
) -> Error {
    if reason_of(&error).is_none() {
        return error;
    }
    // A file that the statement itself names is pointed at.
    for location in
        locations.iter().filter(|location| !location.ends_with(".parquet") || location.contains('*'))
    {
        if let Ok(Some(damaged)) = first_damaged(ctx, location).await {
            return damaged;
        }
    }
    error
}

async fn first_damaged(ctx: &SessionContext, location: &str) -> Result<Option<Error>> {
    let (state, url) = (ctx.state(), ListingTableUrl::parse(location)?);
    let store = state.runtime_env().object_store(&url)?;
    let files: Vec<ObjectMeta> = url.list_all_files(&state, &store, ".parquet").await?.try_collect().await?;
    let format = ParquetFormat::default();
    for file in files {
        let read = format.infer_schema(&state, &store, slice::from_ref(&file)).map_err(Error::from);
        if let Some(reason) = contained(read).await.err().as_ref().and_then(reason_of) {
            let root = url.object_store();
            let file = format!("{}{}", root.as_str().trim_start_matches("file://"), file.location);
            return Ok(Some(Error::Damaged { file, reason }));
        }
    }
    Ok(None)
}

/// `work`, with [`Error::Panicked`] in the place of a panic: the schema of a damaged file is read while a statement is
/// planned, and some make their reader panic.
pub(crate) async fn contained<T, E: From<Error>>(
    work: impl Future<Output = std::result::Result<T, E>>,
) -> std::result::Result<T, E> {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Error::Panicked { message: text.unwrap_or_else(|| "it does not say why".to_owned()) }.into())
        }
    }
}

/// What a reader of Parquet says of a file, which it does not name. Of some that are damaged it panics.
pub(in crate::sql) fn parquet_reason(error: &DataFusionError) -> Option<String> {
    let panic = |error: &JoinError| error.is_panic().then(|| format!("it may be damaged: {error}"));
    match error {
        DataFusionError::ExecutionJoin(error) => panic(error),
        DataFusionError::External(error) => error.downcast_ref().and_then(panic),
        DataFusionError::ParquetError(error) => match error.as_ref() {
            ParquetError::External(_) => None,
            error => Some(error.to_string()),
        },
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::ParquetError(_) => Some(error.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// What a reader of Parquet says, or that it panicked.
fn reason_of(error: &Error) -> Option<String> {
    match error {
        Error::Panicked { message } => Some(format!("it may be damaged: its reader panicked: {message}")),
        Error::DataFusion(error) => parquet_reason(error.find_root()),
        _ => None,
    }
}

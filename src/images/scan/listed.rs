//! Entries of a listing as rows: how they reach the task that reads the files.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, AsArray, RecordBatch, StringArray, TimestampNanosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampNanosecondType, UInt64Type,
};
use datafusion::common::{exec_datafusion_err, internal_datafusion_err};
use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use datafusion::object_store::path::Path;

/// The columns of an entry.
pub(crate) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let time = DataType::Timestamp(TimeUnit::Nanosecond, None);
    Arc::new(Schema::new(vec![
        Field::new("location", DataType::Utf8, false),
        Field::new("size", DataType::UInt64, false),
        Field::new("modified", time, true),
        Field::new("etag", DataType::Utf8, true),
        Field::new("version", DataType::Utf8, true),
    ]))
});

/// The entries as a batch.
///
/// # Errors
/// None in practice: the arrays match the schema.
pub(crate) fn to_batch(files: &[ObjectMeta]) -> Result<RecordBatch> {
    // A time that nanoseconds don't reach is not shown.
    let modified = files.iter().map(|file| file.last_modified.timestamp_nanos_opt());
    Ok(RecordBatch::try_new(
        Arc::clone(&SCHEMA),
        vec![
            Arc::new(StringArray::from_iter_values(files.iter().map(|file| file.location.as_ref()))),
            Arc::new(UInt64Array::from_iter_values(files.iter().map(|file| file.size))),
            Arc::new(TimestampNanosecondArray::from_iter(modified)),
            Arc::new(StringArray::from_iter(files.iter().map(|file| file.e_tag.as_deref()))),
            Arc::new(StringArray::from_iter(files.iter().map(|file| file.version.as_deref()))),
        ],
    )?)
}

/// The entries of a batch by [`to_batch`].
///
/// # Errors
/// A batch of other columns, or a path that no store has.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<ObjectMeta>> {
    let [location, size, modified, etag, version] = batch.columns() else {
        return Err(internal_datafusion_err!("a listing has five columns, not {}", batch.num_columns()));
    };
    let text = |array: &Arc<dyn Array>, row| {
        let texts = array.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let (Some(size), Some(modified)) =
        (size.as_primitive_opt::<UInt64Type>(), modified.as_primitive_opt::<TimestampNanosecondType>())
    else {
        return Err(internal_datafusion_err!("a listing has sizes and times"));
    };
    let file = |row| {
        let path = text(location, row).unwrap_or_default();
        let location = Path::parse(&path).map_err(|error| exec_datafusion_err!("'{path}': {error}"))?;
        let time = modified.is_valid(row).then(|| modified.value_as_datetime(row)).flatten();
        Ok(ObjectMeta {
            location,
            last_modified: time.unwrap_or_default().and_utc(),
            size: size.value(row),
            e_tag: text(etag, row),
            version: text(version, row),
        })
    };
    (0..batch.num_rows()).map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_survive_as_rows() -> Result<()> {
        let file = |name: &str, seconds: u64, e_tag: Option<&str>| ObjectMeta {
            location: Path::from(name),
            last_modified: (std::time::UNIX_EPOCH + std::time::Duration::new(seconds, 123_456_789)).into(),
            size: seconds,
            e_tag: e_tag.map(ToOwned::to_owned),
            version: None,
        };
        let files = [file("a/100%.jpg", 0, None), file("b ü.jpg", 1_700_000_000, Some("\"x\""))];
        assert_eq!(from_batch(&to_batch(&files)?)?, files);
        assert_eq!(from_batch(&to_batch(&[])?)?, []);
        Ok(())
    }
}

//! The columns of an images table, and the arrays that fill them.
//!
//! ```text
//! path  name  image  size  modified  etag  width  height  format  partition columns …
//! ─ listing ─ file   ───── listing ─────   ────── header ──────   ─ listing ─────────
//! ```

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, RecordBatch, RecordBatchOptions, StringArray, StringViewArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array,
};
use datafusion::arrow::buffer::Buffer;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::Result;
use datafusion::object_store::ObjectMeta;
use seequel_udfs::image_column;

use crate::images::decode::Header;
use crate::images::listing::{Location, partitions};

/// Key of the field metadata with the type of a column's bytes.
pub const TYPE_METADATA_KEY: &str = "seequel:type";
/// Value under [`TYPE_METADATA_KEY`] of columns that hold encoded images.
pub const IMAGE_TYPE: &str = "image";

/// Whether a column is marked as one of encoded images.
pub(crate) fn is_image(field: &Field) -> bool {
    field.metadata().get(TYPE_METADATA_KEY).is_some_and(|value| value == IMAGE_TYPE)
}

const PATH: usize = 0;
const NAME: usize = 1;
const IMAGE: usize = 2;
const SIZE: usize = 3;
const MODIFIED: usize = 4;
const ETAG: usize = 5;
const WIDTH: usize = 6;
const HEIGHT: usize = 7;
const FORMAT: usize = 8;
const FIRST_PARTITION: usize = 9;

const TIME_ZONE: &str = "UTC";

/// How much of each file a scan reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// Nothing: the listing is enough.
    None,
    /// The bytes with size and format.
    Headers,
    /// Everything.
    Files,
}

impl Reads {
    /// What a scan of these columns must read.
    pub(crate) fn of(projection: &[usize]) -> Self {
        if projection.contains(&IMAGE) {
            Self::Files
        } else if needs_header(projection) {
            Self::Headers
        } else {
            Self::None
        }
    }

    /// Its name in plans.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Headers => "headers",
            Self::Files => "files",
        }
    }
}

/// Whether a column is filled from a file's header.
pub(crate) fn needs_header(projection: &[usize]) -> bool {
    projection.iter().any(|column| matches!(*column, WIDTH | HEIGHT | FORMAT))
}

/// Whether a column of this name is filled from a file's metadata, which a local listing must read separately.
pub(crate) fn is_metadata(name: &str) -> bool {
    matches!(name, "size" | "modified" | "etag")
}

/// Columns filled from the listing alone, so that filters can use them before any file is read.
pub(crate) fn listing_columns(schema: &Schema) -> Vec<usize> {
    (0..schema.fields().len()).filter(|column| Reads::of(&[*column]) == Reads::None).collect()
}

/// The schema of a table with these partition columns.
pub(crate) fn table_schema(partition_columns: &[String]) -> SchemaRef {
    let image_type = [(TYPE_METADATA_KEY.to_string(), IMAGE_TYPE.to_string())];
    let mut fields = vec![
        Field::new("path", DataType::Utf8View, false),
        Field::new("name", DataType::Utf8View, false),
        Field::new("image", DataType::BinaryView, true).with_metadata(image_type.into()),
        Field::new("size", DataType::UInt64, false),
        Field::new("modified", DataType::Timestamp(TimeUnit::Microsecond, Some(TIME_ZONE.into())), false),
        Field::new("etag", DataType::Utf8, true),
        Field::new("width", DataType::UInt32, true),
        Field::new("height", DataType::UInt32, true),
        Field::new("format", DataType::Utf8, true),
    ];
    fields.extend(partition_columns.iter().map(|name| Field::new(name, DataType::Utf8, true)));
    Arc::new(Schema::new(fields))
}

/// A file that becomes a row.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its entry in the listing.
    pub(crate) file: ObjectMeta,
    /// Its bytes, if they were requested and could be read.
    pub(crate) content: Option<Buffer>,
    /// The reason why they could not be read.
    pub(crate) unreadable: Option<String>,
    /// Its header, if it was requested and could be read.
    pub(crate) header: Option<Header>,
}

impl Row {
    /// A row of which nothing has been read.
    pub(crate) fn listed(file: ObjectMeta) -> Self {
        Self { file, content: None, unreadable: None, header: None }
    }
}

/// The columns `projection` of `rows`, files of `location`, as a batch with the projected `schema`.
///
/// # Errors
/// None in practice: the arrays match the schema.
pub(crate) fn to_batch(
    rows: &[Row],
    location: &Location,
    projection: &[usize],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = projection
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| to_array(rows, location, *column, field.name()))
        .collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn to_array(rows: &[Row], location: &Location, column: usize, name: &str) -> Result<ArrayRef> {
    let headers = rows.iter().map(|row| row.header);
    let files = rows.iter().map(|row| &row.file);
    Ok(match column {
        PATH => {
            Arc::new(StringViewArray::from_iter_values(files.map(|file| location.path_of(&file.location))))
        }
        NAME => {
            let names = files.map(|file| file.location.filename().unwrap_or_default());
            Arc::new(StringViewArray::from_iter_values(names))
        }
        // Buffers become blocks of the array without being copied.
        IMAGE => Arc::new(image_column(rows.iter().map(|row| match &row.unreadable {
            Some(reason) => Err(reason.as_str()),
            None => Ok(row.content.as_ref()),
        }))?),
        SIZE => Arc::new(UInt64Array::from_iter_values(files.map(|file| file.size))),
        MODIFIED => {
            let times = files.map(|file| file.last_modified.timestamp_micros());
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone(TIME_ZONE))
        }
        ETAG => Arc::new(StringArray::from_iter(files.map(|file| file.e_tag.as_deref()))),
        WIDTH => Arc::new(UInt32Array::from_iter(headers.map(|header| Some(header?.width)))),
        HEIGHT => Arc::new(UInt32Array::from_iter(headers.map(|header| Some(header?.height)))),
        FORMAT => Arc::new(StringArray::from_iter(headers.map(|header| Some(header?.format.name())))),
        partition => {
            let depth = partition - FIRST_PARTITION;
            let values = files.map(|file| partitions::value(location, &file.location, depth, name));
            Arc::new(StringArray::from_iter(values))
        }
    })
}

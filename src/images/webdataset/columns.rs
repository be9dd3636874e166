//! The columns of a WebDataset, and the arrays that fill them.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::error::Result;
use seequel_udfs::image_column;

use super::samples::Sample;
use crate::images::scan::{IMAGE_TYPE, TYPE_METADATA_KEY};

const PATH: usize = 0;
const NAME: usize = 1;
pub(crate) const IMAGE: usize = 2;
pub(crate) const JSON: usize = 3;
pub(crate) const TXT: usize = 4;
pub(crate) const CLS: usize = 5;

/// The schema of every WebDataset.
pub(crate) fn table_schema() -> SchemaRef {
    let image_type = [(TYPE_METADATA_KEY.to_string(), IMAGE_TYPE.to_string())];
    Arc::new(Schema::new(vec![
        Field::new("path", DataType::Utf8View, false),
        Field::new("name", DataType::Utf8View, false),
        Field::new("image", DataType::BinaryView, true).with_metadata(image_type.into()),
        Field::new("json", DataType::Utf8View, true),
        Field::new("txt", DataType::Utf8View, true),
        Field::new("cls", DataType::Int64, true),
    ]))
}

/// The columns `projection` of `samples`, as a batch with the projected `schema`.
///
/// # Errors
/// None in practice: the arrays match the schema.
pub(crate) fn to_batch(samples: &[Sample], projection: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = projection.iter().map(|column| to_array(samples, *column)).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(samples.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn to_array(samples: &[Sample], column: usize) -> Result<ArrayRef> {
    Ok(match column {
        PATH => Arc::new(StringViewArray::from_iter_values(samples.iter().map(|sample| &sample.path))),
        NAME => {
            let names = samples.iter().map(|sample| sample.path.rsplit('/').next().unwrap_or_default());
            Arc::new(StringViewArray::from_iter_values(names))
        }
        IMAGE => Arc::new(image_column(samples.iter().map(|sample| match &sample.image {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(reason)) => Err(reason.as_str()),
            None => Ok(None),
        }))?),
        JSON => Arc::new(StringViewArray::from_iter(samples.iter().map(|sample| sample.json.as_deref()))),
        TXT => Arc::new(StringViewArray::from_iter(samples.iter().map(|sample| sample.txt.as_deref()))),
        _ => Arc::new(Int64Array::from_iter(samples.iter().map(|sample| sample.cls))),
    })
}

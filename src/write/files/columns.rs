//! Columns in files: nested values as JSON in text formats, and types that a format can't hold.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, LargeStringBuilder, RecordBatch, new_empty_array};
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use datafusion::parquet::arrow::ArrowSchemaConverter;

/// The rows with structs, lists and maps as JSON, for formats of delimited text, which can't hold them otherwise.
///
/// # Errors
/// Nested values that JSON can't express.
pub(crate) fn nested_as_json(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
        if field.data_type().is_nested() { json_texts(field, column) } else { Ok(Arc::clone(column)) }
    });
    RecordBatch::try_new(Arc::new(with_json_texts(&schema)), columns.collect::<Result<_, _>>()?)
}

/// The schema of [`nested_as_json`].
pub(in crate::write) fn with_json_texts(schema: &Schema) -> Schema {
    let fields = schema.fields().iter().map(|field| {
        if field.data_type().is_nested() {
            Arc::new(Field::new(field.name(), DataType::LargeUtf8, true))
        } else {
            Arc::clone(field)
        }
    });
    Schema::new(fields.collect::<Vec<_>>())
}

fn json_texts(field: &FieldRef, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(field, column, &options)?;
    let mut texts = LargeStringBuilder::new();
    let mut json = Vec::new();
    for row in 0..column.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        json.clear();
        encoder.encode(row, &mut json);
        texts.append_value(String::from_utf8_lossy(&json));
    }
    Ok(Arc::new(texts.finish()))
}

/// The first column of `schema` that files of `format` (its extension) can't hold, and why. Formats other than
/// DataFusion's are not checked.
pub(in crate::write) fn unwritable<'a>(format: &str, schema: &'a Schema) -> Option<(&'a str, String)> {
    schema.fields().iter().find_map(|field| {
        let reason = match format {
            "csv" => csv_error(field),
            "json" => json_error(field),
            "parquet" => parquet_error(field),
            _ => None,
        };
        Some((field.name().as_str(), reason?))
    })
}

fn csv_error(field: &FieldRef) -> Option<String> {
    let schema = Arc::new(Schema::new([Arc::clone(field)]));
    let written = nested_as_json(&RecordBatch::new_empty(schema))
        .and_then(|row| csv::WriterBuilder::new().build(Vec::new()).write(&row));
    written.err().map(|error| error.to_string())
}

fn json_error(field: &FieldRef) -> Option<String> {
    let column = new_empty_array(field.data_type());
    let options = EncoderOptions::default();
    make_encoder(field, &column, &options).err().map(|error| error.to_string())
}

fn parquet_error(field: &FieldRef) -> Option<String> {
    let schema = Schema::new([Arc::clone(field)]);
    // The converter panics at these.
    if schema.flattened_fields().iter().any(|field| matches!(field.data_type(), DataType::Union(..))) {
        return Some("it has a union".to_string());
    }
    ArrowSchemaConverter::new().convert(&schema).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{BinaryArray, Int32Array, ListArray};
    use datafusion::arrow::datatypes::{Fields, Int32Type, UnionFields, UnionMode};

    use super::*;

    #[test]
    fn nested_values_are_json_and_others_unchanged() -> Result<(), ArrowError> {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
            ("b", Arc::new(BinaryArray::from(vec![&b"\x01"[..], b"\x02"]))),
            ("l", Arc::new(list)),
        ])?;
        let texts = nested_as_json(&batch)?;
        assert_eq!(texts.columns()[..2], batch.columns()[..2]);
        let column = texts.column(2);
        assert_eq!((column.is_null(1), column.data_type()), (true, &DataType::LargeUtf8));
        assert_eq!(datafusion::arrow::util::display::array_value_to_string(column, 0)?, "[1,null]");
        Ok(())
    }

    #[test]
    fn columns_that_a_format_cannot_hold_are_named() {
        let union = UnionFields::try_new([0], [Field::new("a", DataType::Int32, true)]).unwrap();
        let union = Field::new("either", DataType::Union(union, UnionMode::Sparse), true);
        let number = Field::new("number", DataType::Int32, true);
        let schema = Schema::new(vec![number.clone(), union]);
        for format in ["json", "parquet"] {
            assert_eq!(unwritable(format, &schema).map(|(name, _)| name), Some("either"), "{format}");
        }
        let empty = Field::new("nothing", DataType::Struct(Fields::empty()), true);
        let schema = Schema::new(vec![number, empty]);
        assert_eq!(unwritable("parquet", &schema).map(|(name, _)| name), Some("nothing"));
        assert_eq!(unwritable("csv", &schema), None);
    }
}

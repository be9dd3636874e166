//! The rows of a query as things to look at.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};
use datafusion::arrow::util::display::FormatOptions;
use datafusion::common::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::{Stream, TryStreamExt, stream};
use seequel_udfs::{ImageArray, decoded_image_type};

use super::columns::{Columns, Predictions};
use crate::images::boxes::{Colour, Object, Objects, colour_of};
use crate::shell::print::ShortCells;

/// A row to look at.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) image: Image,
    /// Its name in full, such as a path.
    pub(crate) name: Option<String>,
    pub(crate) predictions: Vec<Prediction>,
    /// Why there is no prediction.
    pub(crate) error: Option<String>,
    pub(crate) expected: Option<String>,
    /// Name and short value of the other columns that are not NULL.
    pub(crate) details: Vec<(String, String)>,
}

impl Row {
    /// The last part of a path, or the whole name.
    pub(crate) fn short_name(&self) -> &str {
        let name = self.name.as_deref().unwrap_or_default();
        name.trim_end_matches('/').rsplit('/').next().unwrap_or(name)
    }
}

/// A class or an object that a model found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prediction {
    /// Label and confidence.
    pub(crate) text: String,
    pub(crate) label: Option<String>,
    pub(crate) class: Option<i64>,
    pub(crate) confidence: Option<f32>,
    pub(crate) corners: Option<[f64; 4]>,
    pub(crate) colour: Colour,
}

impl From<Object<'_>> for Prediction {
    fn from(object: Object<'_>) -> Self {
        let text = object.text();
        let Object { corners, label, class, confidence } = object;
        let colour = colour_of(class, label);
        Self { text, label: label.map(str::to_owned), class, confidence, corners, colour }
    }
}

/// An encoded image, kept in its batch.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    column: ArrayRef,
    row: usize,
}

impl Image {
    /// The bytes.
    ///
    /// # Errors
    /// Why there are none.
    pub(crate) fn bytes(&self) -> Result<&[u8], String> {
        let images = ImageArray::try_new(&self.column).map_err(|error| error.to_string())?;
        match images.get(self.row) {
            Some(bytes) => Ok(bytes),
            None => Err(images.reason(self.row).unwrap_or("the image is NULL").to_owned()),
        }
    }

    /// `<jpeg 640×480, 83 kB>`.
    pub(crate) fn summary(&self) -> Result<String> {
        let field = Field::new("image", self.column.data_type().clone(), true);
        let options = FormatOptions::default();
        Ok(ShortCells::formatter(&self.column, &options, &field)?.value(self.row).try_to_string()?)
    }
}

/// The rows of `batches`, in order.
pub(crate) fn rows(batches: SendableRecordBatchStream, columns: Columns) -> impl Stream<Item = Result<Row>> {
    let read = move |batch: RecordBatch| {
        let rows = rows_of(&batch, &columns);
        async move { rows.map(|rows| stream::iter(rows.into_iter().map(Ok))) }
    };
    batches.and_then(read).try_flatten()
}

fn rows_of(batch: &RecordBatch, columns: &Columns) -> Result<Vec<Row>> {
    let image = batch.column(columns.image);
    let images = cast(image, decoded_image_type(image.data_type()))?;
    let names = columns.name.map(|name| texts(batch.column(name))).transpose()?;
    let expected = columns.expected.map(|expected| texts(batch.column(expected))).transpose()?;
    let mut predictions = predictions(batch, columns.predictions)?;
    let errors = errors(batch, columns.predictions)?;
    let mut details = details(batch, &columns.details)?;
    let row = |row: usize| Row {
        image: Image { column: Arc::clone(&images), row },
        name: names.as_ref().and_then(|names| text(names, row)),
        predictions: std::mem::take(&mut predictions[row]),
        error: errors.as_ref().and_then(|errors| text(errors, row)),
        expected: expected.as_ref().and_then(|expected| text(expected, row)),
        details: std::mem::take(&mut details[row]),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

fn predictions(batch: &RecordBatch, place: Predictions) -> Result<Vec<Vec<Prediction>>> {
    let rows = 0..batch.num_rows();
    match place {
        Predictions::None => Ok(rows.map(|_| vec![]).collect()),
        Predictions::Column(column) => {
            let objects = Objects::try_new(batch.column(column), None)?;
            let of = |row| objects.get(row).unwrap_or_default().into_iter().map(Prediction::from);
            // A classification that failed has no label.
            let is_one = |prediction: &Prediction| prediction.label.is_some() || prediction.class.is_some();
            Ok(rows.map(|row| of(row).filter(is_one).collect()).collect())
        }
        Predictions::Flat { label, confidence } => {
            let labels = texts(batch.column(label))?;
            let confidences = confidence.map(|column| cast(batch.column(column), &DataType::Float32));
            let confidences = confidences.transpose()?;
            let confidence = |row: usize| {
                let numbers = confidences.as_ref()?.as_primitive::<Float32Type>();
                numbers.is_valid(row).then(|| numbers.value(row))
            };
            let of = |row: usize| {
                let label = text(&labels, row)?;
                let object =
                    Object { corners: None, label: Some(&label), class: None, confidence: confidence(row) };
                Some(Prediction::from(object))
            };
            Ok(rows.map(|row| of(row).into_iter().collect()).collect())
        }
    }
}

/// The field `error` of a classification.
fn errors(batch: &RecordBatch, place: Predictions) -> Result<Option<StringArray>> {
    let Predictions::Column(column) = place else { return Ok(None) };
    let structs = batch.column(column).as_struct_opt();
    let errors = structs.and_then(|structs| structs.column_by_name("error"));
    errors.filter(|errors| errors.data_type().is_string()).map(texts).transpose()
}

fn details(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<Vec<(String, String)>>> {
    let mut details = vec![vec![]; batch.num_rows()];
    let options = FormatOptions::default();
    for index in columns {
        let (field, column) = (batch.schema_ref().field(*index), batch.column(*index));
        let cells = ShortCells::formatter(column, &options, field)?;
        let nulls = column.logical_nulls();
        for (row, details) in details.iter_mut().enumerate() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                details.push((field.name().clone(), cells.value(row).try_to_string()?));
            }
        }
    }
    Ok(details)
}

fn texts(column: &ArrayRef) -> Result<StringArray> {
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn text(texts: &StringArray, row: usize) -> Option<String> {
    texts.is_valid(row).then(|| texts.value(row).to_owned())
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn first(sql: &str) -> Row {
        let query = SessionContext::new().sql(sql).await.unwrap();
        let columns = Columns::find(query.schema().as_arrow()).unwrap();
        let batches = query.execute_stream().await.unwrap();
        rows(batches, columns).try_collect::<Vec<_>>().await.unwrap().remove(0)
    }

    #[tokio::test]
    async fn a_row_has_its_name_predictions_and_details() {
        let row = first(
            "SELECT '/data/lion.jpg' AS path, arrow_cast('x', 'Binary') AS image, 640 AS width, CAST(NULL AS INT) AS height,
                    [named_struct('label', 'cat', 'confidence', 0.5, 'box', named_struct('x0', 1, 'y0', 2, 'x1', 3, 'y1', 4)),
                     named_struct('label', 'dog', 'confidence', 0.25, 'box', named_struct('x0', 1, 'y0', 2, 'x1', 3, 'y1', 4))] AS found,
                    'cat' AS expected",
        )
        .await;
        assert_eq!((row.short_name(), row.expected.as_deref()), ("lion.jpg", Some("cat")));
        assert_eq!(row.image.bytes().unwrap(), b"x");
        assert_eq!(row.details, [("width".to_owned(), "640".to_owned())]);
        let texts: Vec<_> = row.predictions.iter().map(|prediction| prediction.text.as_str()).collect();
        assert_eq!(texts, ["cat 50 %", "dog 25 %"]);
        assert_eq!(row.predictions[0].corners, Some([1.0, 2.0, 3.0, 4.0]));
    }

    #[tokio::test]
    async fn a_failed_prediction_has_its_error() {
        let row = first(
            "SELECT arrow_cast(NULL, 'Binary') AS image, named_struct('label', arrow_cast(NULL, 'Utf8'),
                    'confidence', arrow_cast(NULL, 'Float32'), 'error', 'damaged') AS p",
        )
        .await;
        assert_eq!((row.predictions.len(), row.error.as_deref()), (0, Some("damaged")));
        assert_eq!(row.image.bytes(), Err("the image is NULL".to_owned()));
        let row =
            first("SELECT 'lion' AS label, 0.9 AS confidence, arrow_cast('x', 'Binary') AS image").await;
        assert_eq!(row.predictions[0].text, "lion 90 %");
    }
}

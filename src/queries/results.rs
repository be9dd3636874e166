//! The first rows of a query's result, as texts.

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde::Serialize;

/// Rows that are kept.
const MOST_ROWS: usize = 12;

/// Columns that are kept.
const MOST_COLUMNS: usize = 24;

/// Characters of a value that are kept.
const MOST_CHARACTERS: usize = 300;

/// The first rows of a result; whole values would keep images in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ResultSample {
    /// The columns that are no bytes.
    pub columns: Vec<String>,
    /// A text for each of `columns`; `None` for NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

impl ResultSample {
    /// Rows after which no more are added.
    pub(super) const MOST: u64 = MOST_ROWS as u64;

    /// Adds rows of `batch`, as long as some are missing.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let missing = MOST_ROWS.saturating_sub(self.rows.len()).min(batch.num_rows());
        if missing == 0 {
            return;
        }
        let (schema, options) = (batch.schema(), FormatOptions::default());
        let shown = schema.fields().iter().zip(batch.columns());
        let shown = shown.filter(|(field, _)| !is_binary(field.data_type())).take(MOST_COLUMNS);
        let (columns, arrays): (Vec<_>, Vec<_>) =
            shown.map(|(field, array)| (field.name().clone(), array)).unzip();
        let formatters = arrays.iter().map(|array| ArrayFormatter::try_new(array.as_ref(), &options));
        // A type that can't be displayed is left out with its row.
        let Ok(formatters) = formatters.collect::<Result<Vec<_>, _>>() else { return };
        self.columns = columns;
        let cell = |row: usize, column: usize| {
            let is_valid = arrays[column].is_valid(row);
            is_valid
                .then(|| formatters[column].value(row).to_string().chars().take(MOST_CHARACTERS).collect())
        };
        let rows = (0..missing).map(|row| (0..arrays.len()).map(|column| cell(row, column)).collect());
        self.rows.extend(rows.collect::<Vec<_>>());
    }
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, BinaryArray, Int32Array, StringArray};

    use super::*;

    #[test]
    fn the_first_rows_are_kept_without_bytes_and_cut() {
        let long = "ä".repeat(1000);
        let batch = RecordBatch::try_from_iter([
            ("image", Arc::new(BinaryArray::from(vec![b"x".as_slice(); 10])) as ArrayRef),
            ("n", Arc::new(Int32Array::from_iter((0..10).map(|n| (n > 0).then_some(n))))),
            ("text", Arc::new(StringArray::from(vec![long.as_str(); 10]))),
        ]);
        let batch = batch.unwrap();
        let mut sample = ResultSample::default();
        sample.add(&batch);
        sample.add(&batch);
        assert_eq!(sample.columns, ["n", "text"]);
        assert_eq!(sample.rows.len(), MOST_ROWS);
        assert_eq!(sample.rows[0][0], None);
        assert_eq!(sample.rows[1][0].as_deref(), Some("1"));
        assert_eq!(sample.rows[1][1].as_ref().map(|text| text.chars().count()), Some(MOST_CHARACTERS));
    }
}

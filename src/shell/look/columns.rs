//! Finds the columns to look at, by their types: whatever they are called.

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, plan_err};
use seequel_udfs::{check_image_type, decoded_image_type};

use crate::images::boxes::are_objects;
use crate::images::scan::is_image;

/// Names with a meaning, in any case.
const NAME: &str = "name";
const EXPECTED: &str = "expected";
const LABEL: &str = "label";
const CONFIDENCE: &str = "confidence";

/// The places of columns in a query's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) image: usize,
    /// The column `name`, or the first text column that is nothing else.
    pub(crate) name: Option<usize>,
    pub(crate) predictions: Predictions,
    /// What the label should be.
    pub(crate) expected: Option<usize>,
    /// All others that are not binary.
    pub(crate) details: Vec<usize>,
}

/// Where predictions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Predictions {
    None,
    /// A column of structs with `label` and `confidence`, or of lists of them.
    Column(usize),
    /// A text column `label`, perhaps with a number `confidence`.
    Flat {
        label: usize,
        confidence: Option<usize>,
    },
}

impl Columns {
    /// Finds the columns of `schema`; the image is the first column marked as one, or the first binary column.
    ///
    /// # Errors
    /// A plan error if no column can hold images.
    pub(crate) fn find(schema: &Schema) -> Result<Self> {
        let fields = schema.fields();
        let position = |test: &dyn Fn(&Field) -> bool| fields.iter().position(|field| test(field));
        let Some(image) = position(&|field| is_image(field)).or_else(|| position(&is_binary)) else {
            return plan_err!("the query has no column of images; add one, such as image");
        };
        let named = |name: &str, test: fn(&DataType) -> bool| {
            position(&|field| {
                field.name().eq_ignore_ascii_case(name) && test(decoded_image_type(field.data_type()))
            })
        };
        let expected = named(EXPECTED, |data_type| data_type.is_string() || data_type.is_integer());
        let flat = || {
            let label = named(LABEL, DataType::is_string)?;
            Some(Predictions::Flat { label, confidence: named(CONFIDENCE, DataType::is_numeric) })
        };
        let predictions = position(&|field| are_objects(field.data_type())).map(Predictions::Column);
        let predictions = predictions.or_else(flat).unwrap_or(Predictions::None);
        let used = |index: usize| {
            let (column, other) = match predictions {
                Predictions::None => (None, None),
                Predictions::Column(column) => (Some(column), None),
                Predictions::Flat { label, confidence } => (Some(label), confidence),
            };
            [Some(image), expected, column, other].contains(&Some(index))
        };
        let is_text = |index: usize| decoded_image_type(fields[index].data_type()).is_string();
        let name = named(NAME, DataType::is_string)
            .or_else(|| (0..fields.len()).find(|index| !used(*index) && is_text(*index)));
        let details = (0..fields.len())
            .filter(|index| !used(*index) && Some(*index) != name && !is_binary(&fields[*index]))
            .collect();
        Ok(Self { image, name, predictions, expected, details })
    }
}

fn is_binary(field: &Field) -> bool {
    !field.data_type().is_null() && check_image_type("", field.data_type()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::DataType::{Binary, BinaryView, Float64, Int64, Utf8, Utf8View};
    use seequel_udfs::{classification_type, detections_type, ranked_classes_type};

    use super::*;

    fn find(fields: &[(&str, DataType)]) -> Result<Columns> {
        let fields = fields.iter().map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
        Columns::find(&Schema::new(fields.map(Arc::new).collect::<Vec<_>>()))
    }

    #[test]
    fn columns_are_found_by_type() {
        let columns =
            find(&[("w", Int64), ("pfad", Utf8View), ("bild", BinaryView), ("p", classification_type())]);
        assert_eq!(
            columns.unwrap(),
            Columns {
                image: 2,
                name: Some(1),
                predictions: Predictions::Column(3),
                expected: None,
                details: vec![0]
            }
        );
        for prediction in [detections_type(), ranked_classes_type()] {
            let columns = find(&[("a", Binary), ("b", prediction)]).unwrap();
            assert_eq!(columns.predictions, Predictions::Column(1));
        }
    }

    #[test]
    fn some_names_have_a_meaning() {
        let columns = find(&[
            ("Expected", Utf8),
            ("path", Utf8),
            ("label", Utf8),
            ("Confidence", Float64),
            ("name", Utf8),
            ("image", Binary),
            ("thumb", Binary),
        ])
        .unwrap();
        assert_eq!(columns.predictions, Predictions::Flat { label: 2, confidence: Some(3) });
        assert_eq!((columns.expected, columns.name, columns.image), (Some(0), Some(4), 5));
        assert_eq!(columns.details, [1]);
    }

    #[test]
    fn a_query_without_images_is_an_error() {
        let error = find(&[("path", Utf8)]).unwrap_err().to_string();
        assert!(error.contains("no column of images; add one"), "{error}");
    }
}

//! The image argument: which SQL types hold encoded images, and how to read them row by row.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, LargeBinaryArray};
use datafusion::arrow::buffer::NullBuffer;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err, plan_err};

/// Name of the struct field that holds the bytes in the `{bytes, path}` columns of Hugging Face data sets.
const BYTES_FIELD: &str = "bytes";

/// Checks that a column of `data_type` can hold encoded images; `signature` starts the error.
///
/// # Errors
/// A plan error that shows the function's signature and what would be right.
pub fn check_image_type(signature: &str, data_type: &DataType) -> Result<()> {
    match decoded_image_type(data_type) {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null => Ok(()),
        DataType::Struct(fields) => match fields.iter().find(|field| field.name() == BYTES_FIELD) {
            Some(bytes) => check_image_type(signature, bytes.data_type()),
            None => plan_err!(
                "{signature}: a struct holds an image in its field 'bytes', and this one has none: {data_type}"
            ),
        },
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => plan_err!(
            "{signature}: image must be the bytes of an image file, not text; read_images('folder/') makes a table of such bytes from paths"
        ),
        other => {
            plan_err!("{signature}: image must be the bytes of an image file (a binary column), not {other}")
        }
    }
}

/// The type that a column of images is cast to before it is read: a dictionary's values, or the type itself.
#[must_use]
pub fn decoded_image_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    }
}

/// Encoded images, one a row, whatever array they came in.
#[derive(Debug)]
pub struct ImageArray<'a> {
    bytes: Bytes<'a>,
    /// Nulls of the struct around the bytes: a NULL struct may have bytes beneath it.
    outer_nulls: Option<&'a NullBuffer>,
}

#[derive(Debug)]
enum Bytes<'a> {
    Binary(&'a BinaryArray),
    Large(&'a LargeBinaryArray),
    View(&'a BinaryViewArray),
    Null,
}

impl<'a> ImageArray<'a> {
    /// Looks into `array`: Binary, LargeBinary, BinaryView, or a struct with such a field named `bytes`.
    ///
    /// # Errors
    /// Any other type; [`check_image_type`] keeps it from getting here.
    pub fn try_new(array: &'a ArrayRef) -> Result<Self> {
        if let DataType::Struct(_) = array.data_type() {
            let outer = array.as_struct();
            let Some(inner) = outer.column_by_name(BYTES_FIELD) else {
                return exec_err!("a struct without a field 'bytes' holds no image: {}", array.data_type());
            };
            return Ok(Self { outer_nulls: outer.nulls(), ..Self::try_new(inner)? });
        }
        let bytes = match array.data_type() {
            DataType::Binary => Bytes::Binary(array.as_binary()),
            DataType::LargeBinary => Bytes::Large(array.as_binary()),
            DataType::BinaryView => Bytes::View(array.as_binary_view()),
            DataType::Null => Bytes::Null,
            other => return exec_err!("a column of type {other} holds no image"),
        };
        Ok(Self { bytes, outer_nulls: None })
    }

    /// The encoded bytes of a row, or `None` for NULL. `row` must be less than the array's length.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        if self.outer_nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        match &self.bytes {
            Bytes::Binary(array) => array.is_valid(row).then(|| array.value(row)),
            Bytes::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Bytes::View(array) => array.is_valid(row).then(|| array.value(row)),
            Bytes::Null => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{NullArray, StringArray, StructArray};
    use datafusion::arrow::datatypes::{Field, Fields};

    use super::*;

    fn rows(array: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>> {
        let images = ImageArray::try_new(array)?;
        Ok((0..array.len()).map(|row| images.get(row).map(<[u8]>::to_vec)).collect())
    }

    #[test]
    fn every_binary_type_reads_alike() -> Result<()> {
        let values = [Some(&b"a"[..]), None, Some(&b"bc"[..])];
        let expected = vec![Some(b"a".to_vec()), None, Some(b"bc".to_vec())];
        let arrays: [ArrayRef; 3] = [
            Arc::new(BinaryArray::from_iter(values)),
            Arc::new(LargeBinaryArray::from_iter(values)),
            Arc::new(BinaryViewArray::from_iter(values)),
        ];
        for array in &arrays {
            assert_eq!(rows(array)?, expected);
        }
        Ok(())
    }

    #[test]
    fn a_null_struct_hides_its_bytes() -> Result<()> {
        let fields = Fields::from(vec![
            Field::new("bytes", DataType::Binary, true),
            Field::new("path", DataType::Utf8, true),
        ]);
        let array: ArrayRef = Arc::new(StructArray::try_new(
            fields,
            vec![
                Arc::new(BinaryArray::from_iter([Some(b"a"), Some(b"b")])),
                Arc::new(StringArray::from(vec!["x.jpg", "y.jpg"])),
            ],
            Some(NullBuffer::from(vec![true, false])),
        )?);
        check_image_type("classify(image)", array.data_type())?;
        assert_eq!(rows(&array)?, vec![Some(b"a".to_vec()), None]);
        Ok(())
    }

    #[test]
    fn an_untyped_null_is_null() -> Result<()> {
        let array: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(rows(&array)?, vec![None, None]);
        Ok(())
    }

    #[test]
    fn text_is_refused_with_the_way_out() {
        let error = check_image_type("classify(image)", &DataType::Utf8).err().map(|e| e.to_string());
        assert!(error.is_some_and(|text| text.contains("read_images")));
    }
}

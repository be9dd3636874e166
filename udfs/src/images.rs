//! The image argument: SQL types that hold encoded images, and reading them row by row.

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BinaryViewBuilder, LargeBinaryArray,
};
use datafusion::arrow::buffer::{Buffer, NullBuffer};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_datafusion_err, exec_err, plan_err};

/// Name of the struct field that holds the bytes in the `{bytes, path}` columns of Hugging Face data sets.
const BYTES_FIELD: &str = "bytes";

/// Prefix of the bytes of a NULL slot that hold the reason for the NULL.
const REASON_MARK: &[u8] = b"seequel: unreadable: ";

/// Builds a BinaryView column of images. `Ok(None)` is a plain NULL; `Err` is a NULL with a reason.
///
/// The reason is stored in the value bytes of the NULL slot, which Arrow leaves undefined and kernels copy with the
/// row. Only [`ImageArray::reason`] reads it; to SQL the value is an ordinary NULL.
///
/// ```
/// # use datafusion::arrow::buffer::Buffer;
/// use std::sync::Arc;
/// use datafusion::arrow::array::{Array, ArrayRef};
/// use seequel_udfs::{ImageArray, image_column};
///
/// # fn main() -> datafusion::error::Result<()> {
/// let bytes = Buffer::from(b"an encoded image");
/// let column: ArrayRef = Arc::new(image_column([Ok(Some(&bytes)), Err("permission denied")])?);
/// assert!(column.is_null(1));
/// assert_eq!(ImageArray::try_new(&column)?.reason(1), Some("permission denied"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// An image of 4 GiB or more, which does not fit a view.
pub fn image_column<'a>(
    images: impl IntoIterator<Item = Result<Option<&'a Buffer>, &'a str>>,
) -> Result<BinaryViewArray> {
    let mut builder = BinaryViewBuilder::new();
    let mut is_valid = Vec::new();
    for image in images {
        is_valid.push(matches!(image, Ok(Some(_))));
        match image {
            // Up to twelve bytes are stored in the view itself.
            Ok(Some(bytes)) if bytes.len() <= 12 => builder.append_value(bytes),
            Ok(Some(bytes)) => {
                let length = u32::try_from(bytes.len())
                    .map_err(|_| exec_datafusion_err!("an image of {} bytes is too large", bytes.len()))?;
                let block = builder.append_block(bytes.clone());
                builder.try_append_view(block, 0, length)?;
            }
            Ok(None) => builder.append_value([]),
            Err(reason) => builder.append_value([REASON_MARK, reason.as_bytes()].concat()),
        }
    }
    let (views, buffers, _) = builder.finish().into_parts();
    Ok(BinaryViewArray::try_new(views, buffers, Some(NullBuffer::from(is_valid)))?)
}

/// Checks that a column of `data_type` can hold encoded images; `signature` starts the error message.
///
/// # Errors
/// A plan error with the function's signature and the expected type.
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

/// Encoded images, one per row, from any supported array type.
#[derive(Debug)]
pub struct ImageArray<'a> {
    bytes: Bytes<'a>,
    /// Nulls of the struct around the bytes, since the bytes of a NULL struct may be non-NULL.
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
    /// Reads `array`: Binary, LargeBinary, BinaryView, or a struct with such a field named `bytes`.
    ///
    /// # Errors
    /// Any other type, which [`check_image_type`] rejects during planning.
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

    /// Why `row` is NULL, if [`image_column`] stored a reason. `row` must be less than the array's length.
    #[must_use]
    pub fn reason(&self, row: usize) -> Option<&'a str> {
        let Bytes::View(array) = &self.bytes else { return None };
        if array.is_valid(row) || self.outer_nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        std::str::from_utf8(array.value(row).strip_prefix(REASON_MARK)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{BooleanArray, NullArray, StringArray, StructArray, UInt32Array};
    use datafusion::arrow::compute;
    use datafusion::arrow::datatypes::{Field, Fields};

    use super::*;

    fn rows(array: &ArrayRef) -> Result<Vec<Option<Vec<u8>>>> {
        let images = ImageArray::try_new(array)?;
        Ok((0..array.len()).map(|row| images.get(row).map(<[u8]>::to_vec)).collect())
    }

    #[test]
    fn all_binary_types_read_the_same() -> Result<()> {
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
    fn null_struct_hides_its_bytes() -> Result<()> {
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
    fn reasons_survive_arrow_kernels() -> Result<()> {
        let long = Buffer::from(vec![7; 100]);
        let column = image_column([Err("gone"), Ok(Some(&long)), Ok(None), Err("no permission")])?;
        assert_eq!(column.null_count(), 3);
        let array: ArrayRef = Arc::new(column);
        let reasons = |array: &ArrayRef| -> Result<Vec<Option<String>>> {
            let images = ImageArray::try_new(array)?;
            Ok((0..array.len()).map(|row| images.reason(row).map(ToOwned::to_owned)).collect())
        };
        let (gone, refused) = (Some("gone".to_owned()), Some("no permission".to_owned()));
        assert_eq!(reasons(&array)?, [gone.clone(), None, None, refused.clone()]);
        assert_eq!(reasons(&array.slice(3, 1))?, std::slice::from_ref(&refused));
        let filtered = compute::filter(&array, &BooleanArray::from(vec![false, true, false, true]))?;
        assert_eq!(reasons(&filtered)?, [None, refused.clone()]);
        let taken = compute::take(&array, &UInt32Array::from(vec![3, 0]), None)?;
        assert_eq!(reasons(&taken)?, [refused.clone(), gone.clone()]);
        let joined = compute::concat(&[&array.slice(0, 1), &filtered])?;
        assert_eq!(reasons(&joined)?, [gone.clone(), None, refused.clone()]);
        let mixed = compute::interleave(&[&array, &filtered], &[(1, 1), (0, 0)])?;
        assert_eq!(reasons(&mixed)?, [refused, gone]);
        Ok(())
    }

    #[test]
    fn image_set_to_null_has_no_reason() -> Result<()> {
        let bytes = Buffer::from(vec![7; 100]);
        let (views, buffers, _) = image_column([Ok(Some(&bytes))])?.into_parts();
        let nulls = Some(NullBuffer::new_null(1));
        let array: ArrayRef = Arc::new(BinaryViewArray::try_new(views, buffers, nulls)?);
        assert_eq!(ImageArray::try_new(&array)?.reason(0), None);
        Ok(())
    }

    #[test]
    fn untyped_null_is_null() -> Result<()> {
        let array: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(rows(&array)?, vec![None, None]);
        Ok(())
    }

    #[test]
    fn text_error_suggests_read_images() {
        let error = check_image_type("classify(image)", &DataType::Utf8).err().map(|e| e.to_string());
        assert!(error.is_some_and(|text| text.contains("read_images")));
    }
}

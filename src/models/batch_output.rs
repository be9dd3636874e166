//! What a model gave for a batch: the numbers of one output, image after image.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type};

use super::graph::{Dim, Port};

/// The numbers of one output for all images of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchOutput {
    /// Image after image, each row by row. Float16 is widened to Float32.
    numbers: ArrayRef,
    /// Dimensions of one image's numbers.
    shape: Vec<usize>,
    /// Numbers an image.
    length: usize,
}

impl BatchOutput {
    /// The output `name` of shape `shape` for `batch` images.
    ///
    /// # Errors
    /// If the numbers don't fall into a part for each image. The whole belongs to the image where it is the only one.
    pub(super) fn new(name: &str, shape: &[usize], numbers: ArrayRef, batch: usize) -> Result<Self, String> {
        let shape = match shape.split_first() {
            Some((first, rest)) if *first == batch => rest,
            _ if batch == 1 => shape,
            _ => {
                return Err(format!(
                    "output '{name}' of shape {shape:?} has no part for each of {batch} images"
                ));
            }
        };
        Ok(Self { length: numbers.len() / batch.max(1), shape: shape.to_vec(), numbers })
    }

    /// All numbers of an image.
    pub(crate) fn image(&self, image: usize) -> ArrayRef {
        self.numbers.slice(image * self.length, self.length)
    }

    /// All numbers of an image, if they are Float32.
    pub(crate) fn floats(&self, image: usize) -> Option<&[f32]> {
        let numbers = self.numbers.as_primitive_opt::<Float32Type>()?.values();
        numbers.get(image * self.length..(image + 1) * self.length)
    }

    /// Dimensions of one image's numbers.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }
}

/// Numbers that `port` always gives for an image, or `None` if that depends.
pub(crate) fn fixed_length(port: &Port) -> Option<usize> {
    let lengths = port.dims.as_deref()?.get(1..)?;
    lengths.iter().map(Dim::fixed).try_fold(1_usize, |product, length| product.checked_mul(length?))
}

/// The type of a field that holds what `port` gives for an image: a number, a list of fixed length, or a list of any.
///
/// # Errors
/// A type of numbers that has no counterpart, in words.
pub(super) fn field_type(port: &Port) -> Result<DataType, String> {
    let Some(number) = port.arrow_type() else {
        return Err(format!("output {port} is of a type that SQL has no numbers for"));
    };
    let item = |number| Arc::new(Field::new_list_field(number, true));
    Ok(match fixed_length(port).map(i32::try_from) {
        Some(Ok(1)) => number,
        Some(Ok(length)) => DataType::FixedSizeList(item(number), length),
        Some(Err(_)) | None => DataType::List(item(number)),
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::Float32Array;

    use super::*;

    fn port(dims: Option<&[usize]>, data_type: i32) -> Port {
        let dim = |length: &usize| match length {
            0 => Dim::Dynamic("n".to_owned()),
            length => Dim::Fixed(*length),
        };
        Port { name: "y".to_owned(), data_type, dims: dims.map(|dims| dims.iter().map(dim).collect()) }
    }

    #[test]
    fn a_field_is_a_number_or_a_list() {
        let item = |number| Arc::new(Field::new_list_field(number, true));
        let of = |dims, data_type| field_type(&port(dims, data_type));
        assert_eq!(of(Some(&[0]), 7), Ok(DataType::Int64));
        assert_eq!(of(Some(&[0, 1, 1]), 10), Ok(DataType::Float32));
        assert_eq!(of(Some(&[0, 2, 3]), 11), Ok(DataType::FixedSizeList(item(DataType::Float64), 6)));
        assert_eq!(of(Some(&[0, 2, 0]), 9), Ok(DataType::List(item(DataType::Boolean))));
        assert_eq!(of(None, 1), Ok(DataType::List(item(DataType::Float32))));
        assert_eq!(of(Some(&[0]), 8), Ok(DataType::Utf8));
        let complex = "output 'y' complex64 of unknown shape is of a type that SQL has no numbers for";
        assert_eq!(of(None, 14), Err(complex.to_owned()));
    }

    #[test]
    fn each_image_has_its_part_of_a_batch() -> Result<(), String> {
        let numbers = || Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0])) as ArrayRef;
        let two = BatchOutput::new("y", &[2, 2], numbers(), 2)?;
        assert_eq!((two.floats(1), two.shape()), (Some(&[3.0, 4.0][..]), &[2][..]));
        let one = BatchOutput::new("y", &[4, 1], numbers(), 1)?;
        assert_eq!((one.image(0).len(), one.shape()), (4, &[4, 1][..]));
        let fault = BatchOutput::new("y", &[4], numbers(), 3).err();
        assert_eq!(fault.as_deref(), Some("output 'y' of shape [4] has no part for each of 3 images"));
        Ok(())
    }
}

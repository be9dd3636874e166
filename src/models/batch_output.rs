//! What a model gave for a batch: the numbers of one output, image after image.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::{DataType, Float32Type};

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

/// The type of a field that holds what `port` gives for an image: a number, a list of fixed length, or a list of any.
///
/// # Errors
/// A type of numbers that has no counterpart, in words.
pub(super) fn field_type(port: &Port) -> Result<DataType, String> {
    let Some(number) = port.arrow_type() else {
        return Err(format!("output {port} is of a type that SQL has no numbers for"));
    };
    let item =
        |number| std::sync::Arc::new(datafusion::arrow::datatypes::Field::new_list_field(number, true));
    let lengths = port.dims.as_deref().and_then(|dims| dims.get(1..));
    let lengths = lengths.and_then(|dims| dims.iter().map(Dim::fixed).collect::<Option<Vec<_>>>());
    let length = lengths.and_then(|lengths| lengths.into_iter().try_fold(1_usize, usize::checked_mul));
    Ok(match length.map(i32::try_from) {
        Some(Ok(1)) => number,
        Some(Ok(length)) => DataType::FixedSizeList(item(number), length),
        Some(Err(_)) | None => DataType::List(item(number)),
    })
}

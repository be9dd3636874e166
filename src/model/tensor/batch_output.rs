//! One output of a model for a batch of images.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::datatypes::Float32Type;

/// The numbers of one output for all images of a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchOutput {
    /// Consecutive images, in row-major order. Float16 is widened to Float32.
    numbers: ArrayRef,
    /// Dimensions of one image's numbers.
    shape: Vec<usize>,
    /// Numbers per image.
    length: usize,
}

impl BatchOutput {
    /// Creates the output `name` of shape `shape` for `batch` images.
    ///
    /// # Errors
    /// If the first dimension is not the batch. With a batch of one, the whole output belongs to that image.
    pub(crate) fn new(name: &str, shape: &[usize], numbers: ArrayRef, batch: usize) -> Result<Self, String> {
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

    /// All numbers of one image.
    pub(crate) fn image(&self, image: usize) -> ArrayRef {
        self.numbers.slice(image * self.length, self.length)
    }

    /// All numbers of one image, if they are Float32.
    pub(crate) fn floats(&self, image: usize) -> Option<&[f32]> {
        let numbers = self.numbers.as_primitive_opt::<Float32Type>()?.values();
        numbers.get(image * self.length..(image + 1) * self.length)
    }

    /// Dimensions of one image's numbers.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::Float32Array;

    use super::*;

    #[test]
    fn output_is_split_by_image() -> Result<(), String> {
        let numbers = || Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0])) as ArrayRef;
        let two = BatchOutput::new("y", &[2, 2], numbers(), 2)?;
        assert_eq!((two.floats(1), two.shape()), (Some(&[3.0, 4.0][..]), &[2][..]));
        let one = BatchOutput::new("y", &[4, 1], numbers(), 1)?;
        assert_eq!((one.image(0).len(), one.shape()), (4, &[4, 1][..]));
        let error = BatchOutput::new("y", &[4], numbers(), 3).err();
        assert_eq!(error.as_deref(), Some("output 'y' of shape [4] has no part for each of 3 images"));
        Ok(())
    }
}

//! The buffer for a model's image input: a batch of images, in the layout and type the model takes.

use std::ops::Range;
use std::sync::OnceLock;

use half::f16;
use seequel_pixels::Target;

use super::page_lock::{PageLock, PageLocker};
use crate::model::input::{InputSpec, Layout};
use crate::model::onnx::Element;

/// A batch of images as a model takes them, one slot per image.
///
/// Shape `[batch, channels, height, width]` (NCHW) or `[batch, height, width, channels]` (NHWC).
#[derive(Debug)]
pub struct Tensor {
    /// Before `data`, so that its memory is unlocked before it is freed.
    locked: OnceLock<Option<PageLock>>,
    data: TensorData,
    channels: usize,
    height: usize,
    width: usize,
    layout: Layout,
}

/// The values of a [`Tensor`], image by image, of the type [`InputSpec::element`].
#[derive(Debug)]
pub enum TensorData {
    /// Of [`Element::F32`].
    F32(Vec<f32>),
    /// Of [`Element::F16`].
    F16(Vec<f16>),
    /// Of [`Element::U8`].
    U8(Vec<u8>),
    /// Of [`Element::U16`].
    U16(Vec<u16>),
    /// Of [`Element::I16`].
    I16(Vec<i16>),
    /// Of [`Element::I32`].
    I32(Vec<i32>),
    /// Of [`Element::I64`].
    I64(Vec<i64>),
}

/// Evaluates an expression with `$data` bound to the values, of whichever type.
macro_rules! with_values {
    ($tensor_data:expr, $data:ident => $value:expr) => {
        match $tensor_data {
            $crate::model::tensor::TensorData::F32($data) => $value,
            $crate::model::tensor::TensorData::F16($data) => $value,
            $crate::model::tensor::TensorData::U8($data) => $value,
            $crate::model::tensor::TensorData::U16($data) => $value,
            $crate::model::tensor::TensorData::I16($data) => $value,
            $crate::model::tensor::TensorData::I32($data) => $value,
            $crate::model::tensor::TensorData::I64($data) => $value,
        }
    };
}
pub(crate) use with_values;

impl Tensor {
    /// Creates a tensor of `slots` images, all zero.
    #[must_use]
    pub fn new(input: &InputSpec, slots: usize) -> Self {
        let (channels, height, width) = (input.channels.count(), input.height as usize, input.width as usize);
        let length = slots * channels * height * width;
        let data = match input.element {
            Element::F32 => TensorData::F32(vec![0.0; length]),
            Element::F16 => TensorData::F16(vec![f16::ZERO; length]),
            Element::U8 => TensorData::U8(vec![0; length]),
            Element::U16 => TensorData::U16(vec![0; length]),
            Element::I16 => TensorData::I16(vec![0; length]),
            Element::I32 => TensorData::I32(vec![0; length]),
            Element::I64 => TensorData::I64(vec![0; length]),
        };
        Self { locked: OnceLock::new(), data, channels, height, width, layout: input.layout }
    }

    /// Bytes per image.
    pub(crate) fn image_bytes(input: &InputSpec) -> usize {
        input.channels.count() * input.height as usize * input.width as usize * input.element.bytes()
    }

    /// Values per image.
    pub(crate) fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Its values.
    #[must_use]
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    #[cfg(test)]
    pub(crate) fn data_mut(&mut self) -> &mut TensorData {
        &mut self.data
    }

    /// Range of the values of `slot`; `None` if there is no such slot, or the images have another shape than `input`.
    pub(crate) fn slot(&self, input: &InputSpec, slot: usize) -> Option<Range<usize>> {
        let shape = (input.channels.count(), input.height as usize, input.width as usize);
        let start = slot.checked_mul(self.image_len())?;
        let range = start..start.checked_add(self.image_len())?;
        (shape == (self.channels, self.height, self.width) && range.end <= self.len()).then_some(range)
    }

    /// The values of `slot`, to write an image into; `None` as in [`Self::slot`].
    pub(crate) fn target(&mut self, input: &InputSpec, slot: usize) -> Option<Target<'_>> {
        let range = self.slot(input, slot)?;
        Some(match &mut self.data {
            TensorData::F32(data) => Target::F32(&mut data[range]),
            TensorData::F16(data) => Target::F16(&mut data[range]),
            TensorData::U8(data) => Target::U8(&mut data[range]),
            TensorData::U16(data) => Target::U16(&mut data[range]),
            TensorData::I16(data) => Target::I16(&mut data[range]),
            TensorData::I32(data) => Target::I32(&mut data[range]),
            TensorData::I64(data) => Target::I64(&mut data[range]),
        })
    }

    /// The values of each slot from `first` on, to write images into from several threads.
    pub(crate) fn targets(&mut self, first: usize) -> Vec<Target<'_>> {
        let image = self.image_len();
        let start = image.saturating_mul(first).min(self.len());
        macro_rules! targets {
            ($data:ident, $type:ident) => {
                $data[start..].chunks_exact_mut(image).map(Target::$type).collect()
            };
        }
        match &mut self.data {
            TensorData::F32(data) => targets!(data, F32),
            TensorData::F16(data) => targets!(data, F16),
            TensorData::U8(data) => targets!(data, U8),
            TensorData::U16(data) => targets!(data, U16),
            TensorData::I16(data) => targets!(data, I16),
            TensorData::I32(data) => targets!(data, I32),
            TensorData::I64(data) => targets!(data, I64),
        }
    }

    /// Copies the image in slot `from` to slot `to`.
    pub(crate) fn copy_image(&mut self, from: usize, to: usize) {
        let image = self.image_len();
        with_values!(&mut self.data, data => data.copy_within(from * image..(from + 1) * image, to * image));
    }

    fn len(&self) -> usize {
        with_values!(&self.data, data => data.len())
    }

    /// The shape of its first `batch` images.
    pub(crate) fn shape(&self, batch: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [batch, self.channels, self.height, self.width],
            Layout::Nhwc => [batch, self.height, self.width, self.channels],
        }
    }

    /// Locks its memory for copies to a GPU, once.
    pub(crate) fn lock_pages(&self, locker: &PageLocker) {
        self.locked.get_or_init(|| {
            let (start, bytes) =
                with_values!(&self.data, data => (data.as_ptr().expose_provenance(), size_of_val(&data[..])));
            // SAFETY: `data` neither grows nor is replaced, and its memory is freed after the lock.
            #[expect(unsafe_code, reason = "see above")]
            unsafe {
                locker.lock(start, bytes)
            }
        });
    }

    /// Copies the images in `slots` to the first slots of a new tensor of `count` images.
    pub(crate) fn images(&self, slots: Range<usize>, count: usize) -> Self {
        let values = slots.start * self.image_len()..slots.end * self.image_len();
        let length = count * self.image_len();
        let data = match &self.data {
            TensorData::F32(data) => TensorData::F32(padded(&data[values], length)),
            TensorData::F16(data) => TensorData::F16(padded(&data[values], length)),
            TensorData::U8(data) => TensorData::U8(padded(&data[values], length)),
            TensorData::U16(data) => TensorData::U16(padded(&data[values], length)),
            TensorData::I16(data) => TensorData::I16(padded(&data[values], length)),
            TensorData::I32(data) => TensorData::I32(padded(&data[values], length)),
            TensorData::I64(data) => TensorData::I64(padded(&data[values], length)),
        };
        Self { locked: OnceLock::new(), data, ..*self }
    }
}

/// A copy of `values` with zeros up to `length`.
fn padded<T: Clone + Default>(values: &[T], length: usize) -> Vec<T> {
    let mut copy = Vec::with_capacity(length);
    copy.extend_from_slice(values);
    copy.resize(length, T::default());
    copy
}

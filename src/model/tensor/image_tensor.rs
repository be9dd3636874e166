//! The buffer for a model's image input: a batch of images, in the layout and type the model takes.

use std::ops::Range;

use half::f16;

use crate::model::input::{InputSpec, Layout};
use crate::model::onnx::Element;

/// A batch of images as a model takes them, one slot per image.
///
/// Shape `[batch, channels, height, width]` (NCHW) or `[batch, height, width, channels]` (NHWC).
#[derive(Debug)]
pub struct Tensor {
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
}

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
        };
        Self { data, channels, height, width, layout: input.layout }
    }

    /// Bytes per image.
    pub(crate) fn image_bytes(input: &InputSpec) -> usize {
        let element = match input.element {
            Element::F32 => 4,
            Element::F16 => 2,
            Element::U8 => 1,
        };
        input.channels.count() * input.height as usize * input.width as usize * element
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

    fn len(&self) -> usize {
        match &self.data {
            TensorData::F32(data) => data.len(),
            TensorData::F16(data) => data.len(),
            TensorData::U8(data) => data.len(),
        }
    }

    /// The shape of its first `batch` images.
    pub(crate) fn shape(&self, batch: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [batch, self.channels, self.height, self.width],
            Layout::Nhwc => [batch, self.height, self.width, self.channels],
        }
    }

    /// Copies the image in `slot` to the first slot of a new tensor of `slots` images.
    pub(crate) fn image(&self, input: &InputSpec, slot: usize, slots: usize) -> Self {
        let mut part = Self::new(input, slots);
        let (from, to) = (slot * self.image_len()..(slot + 1) * self.image_len(), 0..self.image_len());
        match (&mut part.data, &self.data) {
            (TensorData::F32(part), TensorData::F32(data)) => part[to].copy_from_slice(&data[from]),
            (TensorData::F16(part), TensorData::F16(data)) => part[to].copy_from_slice(&data[from]),
            (TensorData::U8(part), TensorData::U8(data)) => part[to].copy_from_slice(&data[from]),
            (TensorData::F32(_) | TensorData::F16(_) | TensorData::U8(_), _) => {
                debug_assert!(false, "both tensors have the element type of one input");
            }
        }
        part
    }
}

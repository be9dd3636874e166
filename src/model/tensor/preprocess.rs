//! Converts decoded pixels to a slot of a model's input tensor: crop and resize in one pass, normalise in another.
//!
//! ```text
//!  RgbImage ── crop box, resize (SIMD) ──► u8 pixels of input size ── table of 256 values per channel ──► tensor slot
//! ```
//!
//! A pixel has 256 values, so `(pixel × rescale − mean) / std` is a table look-up: it is computed 256 times per channel
//! and model, not once per pixel.

use fast_image_resize::images::Image;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use seequel_pixels::{Order, Source, Target, normalise, resize};

use super::geometry::{crop_size, fitted_size, margins};
use super::image_tensor::Tensor;
use crate::images::decode::RgbImage;
use crate::model::input::{Channels, ImageSpec, InputSpec, Interpolation, Layout, Preprocessing, Resize};

/// Prepares images for one model, exactly as inference does. Reuse it for many images, since it keeps its buffers.
///
/// ```no_run
/// use seequel::images::{Limits, decode};
/// use seequel::model::{ModelRegistry, Preprocessor, Tensor, TensorData};
///
/// let model = ModelRegistry::new(".seequel").get("efficientnet_lite0")?;
/// let image = decode(&std::fs::read("lion.jpg")?, &Limits::pixels(100_000_000), |_, _| 1.0)?;
/// let spec = model.spec().image().ok_or("the model takes no image")?;
/// let mut tensor = Tensor::new(&spec.input, 1);
/// Preprocessor::new(spec).write(&image, &mut tensor, 0)?;
/// assert!(matches!(tensor.data(), TensorData::F32(values) if values.len() == 3 * 224 * 224));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Preprocessor {
    input: InputSpec,
    rule: Preprocessing,
    channels: Vec<(Source, [f32; 256])>,
    order: Order,
    resizer: Resizer,
    resized: Image<'static>,
}

impl Preprocessor {
    /// Creates a preprocessor for a model's image input.
    #[must_use]
    pub fn new(image: &ImageSpec) -> Self {
        let ImageSpec { input, preprocessing: rule } = image;
        let table = |channel: usize| {
            std::array::from_fn(|pixel| {
                (pixel as f32 * rule.rescale - rule.mean[channel]) / rule.std[channel]
            })
        };
        let channels = match input.channels {
            Channels::Rgb => vec![Source::Channel(0), Source::Channel(1), Source::Channel(2)],
            Channels::Bgr => vec![Source::Channel(2), Source::Channel(1), Source::Channel(0)],
            Channels::L => vec![Source::Luma],
        };
        let order = match input.layout {
            Layout::Nchw => Order::Planar,
            Layout::Nhwc => Order::Interleaved,
        };
        Self {
            input: input.clone(),
            rule: rule.clone(),
            channels: channels.into_iter().zip([0, 1, 2].map(table)).collect(),
            order,
            resizer: Resizer::new(),
            resized: Image::new(input.width, input.height, PixelType::U8x3),
        }
    }

    /// Writes `image`, cropped and resized, as `(pixel × rescale − mean) / std` into a slot of `tensor`, from 0.
    ///
    /// # Errors
    /// A reason, if the image can't be resized, `tensor` has another shape than the model's input, or no such slot.
    pub fn write(&mut self, image: &RgbImage, tensor: &mut Tensor, slot: usize) -> Result<(), String> {
        let target = tensor
            .target(&self.input, slot)
            .ok_or_else(|| format!("the tensor has no slot {slot} for such an image"))?;
        self.write_to(image, target)
    }

    /// Writes `image` as [`Self::write`] does into `target`, a slot of a tensor for the same model.
    pub(crate) fn write_to(&mut self, image: &RgbImage, target: Target<'_>) -> Result<(), String> {
        self.resize(image).map_err(|error| format!("resizing: {error}"))?;
        normalise(self.resized.buffer(), &self.channels, self.order, target);
        Ok(())
    }

    fn resize(&mut self, image: &RgbImage) -> Result<(), String> {
        let (size, pixels) = ((image.width, image.height), image.pixels.as_slice());
        let (width, height) = (f64::from(image.width), f64::from(image.height));
        let options = ResizeOptions::new().resize_alg(algorithm(self.rule.interpolation));
        match self.rule.resize {
            Resize::Stretch => resize(&mut self.resizer, size, pixels, &mut self.resized, &options),
            Resize::Crop => {
                let (crop_width, crop_height) = crop_size(&self.input, &self.rule, width, height);
                let (left, top) = ((width - crop_width) / 2.0, (height - crop_height) / 2.0);
                let options = options.crop(left, top, crop_width, crop_height);
                resize(&mut self.resizer, size, pixels, &mut self.resized, &options)
            }
            Resize::Letterbox => {
                let (width, height) = fitted_size(&self.input, width, height);
                let mut fitted = Image::new(width, height, PixelType::U8x3);
                resize(&mut self.resizer, size, pixels, &mut fitted, &options)?;
                self.centre(&fitted);
                Ok(())
            }
        }
    }

    /// Copies `fitted` to the centre of a uniform image of input size.
    fn centre(&mut self, fitted: &Image<'_>) {
        let (left, top) = margins(&self.input, (fitted.width(), fitted.height()));
        let (left, top) = (left as usize, top as usize);
        let (stride, fitted_stride) = (self.input.width as usize * 3, fitted.width() as usize * 3);
        let target = self.resized.buffer_mut();
        target.fill(self.rule.padding);
        for (row, pixels) in fitted.buffer().chunks_exact(fitted_stride).enumerate() {
            let start = (top + row) * stride + left * 3;
            target[start..start + fitted_stride].copy_from_slice(pixels);
        }
    }
}

fn algorithm(interpolation: Interpolation) -> ResizeAlg {
    match interpolation {
        Interpolation::Nearest => ResizeAlg::Nearest,
        Interpolation::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        // Pillow's bicubic is the Catmull-Rom spline (a = -0.5).
        Interpolation::Bicubic => ResizeAlg::Convolution(FilterType::CatmullRom),
        Interpolation::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        Interpolation::Box => ResizeAlg::Convolution(FilterType::Box),
        Interpolation::Hamming => ResizeAlg::Convolution(FilterType::Hamming),
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::model::tensor::TensorData;
    use crate::model::{Folder, Onnx};

    /// Prepares an image for a model of 4 × 4 pixels and returns the numbers.
    fn prepare(shape: &str, element: &str, options: &[(&str, &str)], image: &RgbImage) -> TensorData {
        let onnx = Onnx::new()
            .input("pixels", element, shape)
            .node("Gemm", &["pixels"], "logits")
            .output("logits", "float32", "batch,2");
        let spec = Folder::with(&onnx).unwrap().resolve(options).unwrap();
        let spec = spec.image().unwrap();
        let mut tensor = Tensor::new(&spec.input, 1);
        Preprocessor::new(spec).write(image, &mut tensor, 0).unwrap();
        std::mem::replace(tensor.data_mut(), TensorData::U8(vec![]))
    }

    fn floats(data: TensorData) -> Vec<f32> {
        match data {
            TensorData::F32(data) => data,
            other => panic!("not float32: {other:?}"),
        }
    }

    fn plain(width: u32, height: u32, pixel: [u8; 3]) -> RgbImage {
        let pixels = pixel.repeat((width * height) as usize);
        RgbImage { width, height, pixels, original_width: width, original_height: height }
    }

    #[test]
    fn each_channel_is_rescaled_shifted_and_divided() {
        let options = [("rescale", "1"), ("mean", "10,20,30"), ("std", "1,2,4")];
        let values = floats(prepare("batch,3,4,4", "float32", &options, &plain(4, 4, [110, 120, 130])));
        assert_eq!(values[..16], [100.0; 16]);
        assert_eq!(values[16..32], [50.0; 16]);
        assert_eq!(values[32..], [25.0; 16]);
    }

    #[test]
    fn nhwc_layout_and_bgr_order() {
        let options = [("rescale", "1"), ("channels", "BGR")];
        let values = floats(prepare("batch,4,4,3", "float32", &options, &plain(4, 4, [1, 2, 3])));
        assert_eq!(values, [3.0, 2.0, 1.0].repeat(16));
    }

    #[test]
    fn greyscale_models_get_luminance() {
        let values =
            floats(prepare("batch,1,4,4", "float32", &[("rescale", "1")], &plain(4, 4, [255, 0, 0])));
        assert_eq!(values, [76.0; 16]);
    }

    #[test]
    fn integers_and_float16() {
        let options = [("rescale", "1")];
        let pixels = |element| prepare("batch,3,4,4", element, &[], &plain(4, 4, [7, 7, 7]));
        assert!(matches!(pixels("uint8"), TensorData::U8(data) if data == [7; 48]));
        assert!(matches!(pixels("uint16"), TensorData::U16(data) if data == [7; 48]));
        assert!(matches!(pixels("int16"), TensorData::I16(data) if data == [7; 48]));
        assert!(matches!(pixels("int32"), TensorData::I32(data) if data == [7; 48]));
        assert!(matches!(pixels("int64"), TensorData::I64(data) if data == [7; 48]));
        let halves = prepare("batch,3,4,4", "float16", &options, &plain(4, 4, [7, 7, 7]));
        assert!(matches!(halves, TensorData::F16(data) if data == [f16::from_f32(7.0); 48]));
    }

    #[test]
    fn invalid_slot_or_tensor_is_an_error() {
        let spec = Folder::classifier().unwrap().resolve(&[]).unwrap();
        let spec = spec.image().unwrap();
        let image = plain(8, 8, [1, 2, 3]);
        let write = |tensor: &mut Tensor, slot| Preprocessor::new(spec).write(&image, tensor, slot);
        let mut tensor = Tensor::new(&spec.input, 2);
        assert_eq!(write(&mut tensor, 1), Ok(()));
        assert!(write(&mut tensor, 2).is_err());
        assert!(write(&mut tensor, usize::MAX).is_err());
        let mut other = Tensor::new(&InputSpec { channels: Channels::L, ..spec.input.clone() }, 1);
        assert!(write(&mut other, 0).is_err());
    }

    #[test]
    fn crop_keeps_the_centre() {
        let mut image = plain(12, 4, [0, 0, 0]);
        for row in image.pixels.chunks_exact_mut(36) {
            row[12..24].fill(200);
        }
        let options = [("rescale", "1"), ("resize", "crop"), ("crop_fraction", "1")];
        assert_eq!(floats(prepare("batch,3,4,4", "float32", &options, &image)), [200.0; 48]);
    }

    #[test]
    fn stretch_keeps_the_whole_image_but_not_its_aspect_ratio() {
        let mut image = plain(8, 4, [0, 0, 0]);
        for row in image.pixels.chunks_exact_mut(24) {
            row[12..].fill(200);
        }
        let options = [("rescale", "1"), ("resize", "stretch"), ("interpolation", "nearest")];
        let values = floats(prepare("batch,3,4,4", "float32", &options, &image));
        assert_eq!(values, [0.0, 0.0, 200.0, 200.0].repeat(12));
    }

    #[test]
    fn interpolations_differ_at_an_edge() {
        let mut image = plain(12, 4, [0, 0, 0]);
        for row in image.pixels.chunks_exact_mut(36) {
            row[15..].fill(200);
        }
        let row = |interpolation| {
            let options = [("rescale", "1"), ("resize", "stretch"), ("interpolation", interpolation)];
            floats(prepare("batch,3,4,4", "float32", &options, &image))[..4].to_vec()
        };
        let rows = ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"].map(row);
        // The second of four pixels covers two black ones and a light one; the sharper filters overshoot beside it.
        let expected: [[f32; 4]; 6] = [
            [0.0, 0.0, 200.0, 200.0],
            [0.0, 67.0, 200.0, 200.0],
            [0.0, 66.0, 207.0, 200.0],
            [0.0, 65.0, 214.0, 197.0],
            [0.0, 67.0, 200.0, 200.0],
            [0.0, 60.0, 200.0, 200.0],
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn letterbox_keeps_the_whole_image_and_pads_with_grey() {
        let options = [("rescale", "1"), ("resize", "letterbox")];
        let values = floats(prepare("batch,3,4,4", "float32", &options, &plain(8, 4, [200, 200, 200])));
        let rows: Vec<f32> = values[..16].chunks(4).map(|row| row[0]).collect();
        assert_eq!(rows, [114.0, 200.0, 200.0, 114.0]);
        let options = [("rescale", "1"), ("resize", "letterbox"), ("padding", "0")];
        let values = floats(prepare("batch,3,4,4", "float32", &options, &plain(4, 8, [200, 200, 200])));
        assert_eq!(values[..4], [0.0, 200.0, 200.0, 0.0]);
    }

    #[test]
    fn padding_sets_the_brightness_of_letterbox_bars() {
        let options = [("rescale", "1"), ("resize", "letterbox"), ("padding", "7")];
        let values = floats(prepare("batch,3,4,4", "float32", &options, &plain(8, 4, [200, 200, 200])));
        assert_eq!((values[0], values[4]), (7.0, 200.0));
    }
}

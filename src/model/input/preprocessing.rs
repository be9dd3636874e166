//! The options that say how pixels become numbers.
//!
//! Authors write mean and standard deviation for pixels of 0 to 1 or of 0 to 255. Which it is shows: a mean or deviation
//! above 1 means nothing on a scale of 0 to 1, so `rescale` then is 1 unless they say otherwise.

use serde_json::Value;

use super::image::Channels;
use crate::Result;
use crate::model::onnx::Element;
use crate::model::settings::{PerChannel, Settings, channels, count, keyword, keywords, number, share};

/// Brightness of the bars that `letterbox` adds: the grey that most of the YOLO family is trained with.
const LETTERBOX_GREY: u8 = 114;

/// How a decoded image becomes the numbers of the input tensor: input = (pixel × rescale − mean) / std.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Factor for a channel's byte, usually 1/255.
    pub rescale: f32,
    /// Subtracted after rescaling, in the order of the channels; a grey model uses the first.
    pub mean: [f32; 3],
    /// Divides last, in the order of the channels, each above 0; a grey model uses the first.
    pub std: [f32; 3],
    /// How an image of another shape is made to fit.
    pub resize: Resize,
    /// Brightness of the bars that [`Resize::Letterbox`] adds, as a byte of all channels before rescaling.
    pub padding: u8,
    /// Share of the short side that [`Resize::Crop`] keeps, above 0 and at most 1.
    pub crop_fraction: f32,
    /// How new pixels are computed from old ones.
    pub interpolation: Interpolation,
}

keywords! {
    /// How an image of another shape is made to fit the input.
    pub enum Resize {
        /// Cuts the centre out, then resizes it: the edges are lost.
        Crop = "crop",
        /// Resizes the whole image: proportions are lost.
        Stretch = "stretch",
        /// Resizes the whole image in proportion and pads the rest.
        Letterbox = "letterbox",
    }
}

keywords! {
    /// How new pixels are computed from old ones.
    pub enum Interpolation {
        /// The nearest pixel.
        Nearest = "nearest",
        /// A weighted mean of the neighbours, by a triangle.
        Bilinear = "bilinear",
        /// A weighted mean of the neighbours, by Catmull and Rom's cubic (a = −0.5).
        Bicubic = "bicubic",
        /// A weighted mean of the neighbours, by a sinc cut off at its third zero.
        Lanczos = "lanczos",
        /// The mean of the old pixels that a new one covers.
        Box = "box",
        /// A weighted mean of the neighbours, by a sinc under Hamming's window.
        Hamming = "hamming",
    }
}

impl Preprocessing {
    /// Resolves the options of the pixels, for a model of such channels and numbers. Models that take bytes take them
    /// as they are, if nothing else is said, and others take 0 to 1 unless mean and deviation are for more.
    ///
    /// # Errors
    /// If an option is malformed or would make every image the same.
    pub(crate) fn resolve(settings: &mut Settings<'_>, order: Channels, element: Element) -> Result<Self> {
        let per_channel = |value: &Value| channels(value, order.count());
        let mean = settings.resolve("mean", per_channel, PerChannel([0.0; 3]))?.0;
        let std = settings.resolve("std", |value| positive(per_channel(value)?), PerChannel([1.0; 3]))?.0;
        let takes_bytes = element == Element::U8 || mean.iter().chain(&std).any(|number| *number > 1.0);
        let rescale = if takes_bytes { 1.0 } else { 1.0 / 255.0 };
        Ok(Self {
            rescale: settings.resolve("rescale", nonzero, rescale)?,
            mean,
            std,
            resize: settings.resolve("resize", keyword, Resize::Crop)?,
            padding: settings.resolve("padding", byte, LETTERBOX_GREY)?,
            crop_fraction: settings.resolve("crop_fraction", share, 0.875)?,
            interpolation: settings.resolve("interpolation", keyword, Interpolation::Bicubic)?,
        })
    }
}

fn byte(value: &Value) -> Result<u8, String> {
    let number = count(value, 0..=usize::from(u8::MAX))?;
    u8::try_from(number).map_err(|error| error.to_string())
}

fn nonzero(value: &Value) -> Result<f32, String> {
    let factor = number(value)?;
    if factor == 0.0 { Err("0 makes all pixels alike".to_string()) } else { Ok(factor) }
}

/// Subnormal numbers are refused too, since dividing by them overflows.
fn positive(std: PerChannel) -> Result<PerChannel, String> {
    let divides = |std: &f32| *std > 0.0 && std.is_normal();
    if std.0.iter().all(divides) { Ok(std) } else { Err(format!("{std} is not above 0 in every channel")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::options;

    fn resolve(pairs: &[(&str, &str)], order: Channels) -> Result<Preprocessing, String> {
        let resolved = options(pairs)
            .and_then(|mut settings| Preprocessing::resolve(&mut settings, order, Element::F32));
        resolved.map_err(|error| error.to_string())
    }

    #[test]
    fn pixels_become_0_to_1_unless_said() {
        let expected = Preprocessing {
            rescale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            resize: Resize::Crop,
            padding: 114,
            crop_fraction: 0.875,
            interpolation: Interpolation::Bicubic,
        };
        assert_eq!(resolve(&[], Channels::Rgb), Ok(expected));
    }

    #[test]
    fn one_number_serves_every_channel() -> Result<(), String> {
        let said = resolve(&[("rescale", "1"), ("mean", "127"), ("std", "[127, 128, 129]")], Channels::Bgr)?;
        assert_eq!((said.rescale, said.mean, said.std), (1.0, [127.0; 3], [127.0, 128.0, 129.0]));
        Ok(())
    }

    #[test]
    fn a_mean_or_deviation_above_1_is_for_bytes() -> Result<(), String> {
        let rescale = |pairs| resolve(pairs, Channels::Rgb).map(|said| said.rescale);
        let unit = [("mean", "0.485,0.456,0.406"), ("std", "0.229,0.224,0.225")];
        let bytes = [("mean", "123.675,116.28,103.53"), ("std", "58.395,57.12,57.375")];
        assert_eq!((rescale(&unit)?, rescale(&bytes)?), (1.0 / 255.0, 1.0));
        assert_eq!(rescale(&[("std", "255")])?, 1.0);
        assert_eq!(rescale(&[("mean", "127"), ("rescale", "2")])?, 2.0);
        Ok(())
    }

    #[test]
    fn what_would_spoil_every_image_is_refused() {
        let error = |key, value| resolve(&[(key, value)], Channels::Rgb).err().unwrap_or_default();
        let errors = [
            error("mean", "0.5,0.5"),
            error("std", "1,0,1"),
            error("std", "-1"),
            error("rescale", "0"),
            error("crop_fraction", "87.5"),
            error("resize", "squash"),
            error("padding", "256"),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r"
        model 'm': option 'mean': 2 numbers for 3 channels
        model 'm': option 'std': 1,0,1 is not above 0 in every channel
        model 'm': option 'std': -1 is not above 0 in every channel
        model 'm': option 'rescale': 0 makes all pixels alike
        model 'm': option 'crop_fraction': 87.5 is not above 0 and at most 1
        model 'm': option 'resize': 'squash' is not one of crop, stretch, letterbox
        model 'm': option 'padding': '256' is not a whole number from 0 to 255
        ");
    }
}

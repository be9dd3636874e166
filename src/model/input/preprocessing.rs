//! The options that define how pixels are converted to numbers.
//!
//! Mean and standard deviation are given for pixels of 0 to 1 or of 0 to 255. A mean or deviation above 1 only makes
//! sense for 0 to 255, so `rescale` then defaults to 1.

use serde_json::Value;

use super::image::Channels;
use crate::Result;
use crate::model::onnx::Element;
use crate::model::settings::{PerChannel, Settings, channels, count, keyword, keywords, number, share};

/// Default brightness of the bars that `letterbox` adds: the grey used to train most YOLO models.
const LETTERBOX_GREY: u8 = 114;

/// How a decoded image is converted to the input tensor: input = (pixel × rescale − mean) / std.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Factor for each channel's byte, usually 1/255.
    pub rescale: f32,
    /// Subtracted after rescaling, in channel order; a greyscale model uses the first.
    pub mean: [f32; 3],
    /// Divisor applied last, in channel order, each above 0; a greyscale model uses the first.
    pub std: [f32; 3],
    /// How an image of another size is fitted.
    pub resize: Resize,
    /// Brightness of the bars that [`Resize::Letterbox`] adds, as a byte of all channels before rescaling.
    pub padding: u8,
    /// Fraction of the short side that [`Resize::Crop`] keeps, above 0 and at most 1.
    pub crop_fraction: f32,
    /// How resized pixels are computed.
    pub interpolation: Interpolation,
}

keywords! {
    /// How an image of another size is fitted to the input.
    pub enum Resize {
        /// Crops the centre, then resizes it; loses the edges.
        Crop = "crop",
        /// Resizes the whole image; loses the aspect ratio.
        Stretch = "stretch",
        /// Resizes the whole image, keeping the aspect ratio, and pads the rest.
        Letterbox = "letterbox",
    }
}

keywords! {
    /// How resized pixels are computed.
    pub enum Interpolation {
        /// The nearest pixel.
        Nearest = "nearest",
        /// A weighted mean of the neighbours, with a triangle filter.
        Bilinear = "bilinear",
        /// A weighted mean of the neighbours, with the Catmull-Rom cubic (a = −0.5).
        Bicubic = "bicubic",
        /// A weighted mean of the neighbours, with a sinc truncated at its third zero.
        Lanczos = "lanczos",
        /// The mean of the source pixels that a target pixel covers.
        Box = "box",
        /// A weighted mean of the neighbours, with a Hamming-windowed sinc.
        Hamming = "hamming",
    }
}

impl Preprocessing {
    /// Resolves the preprocessing options for a model with these channels and elements. By default, a `uint8` input
    /// takes bytes unscaled, and others take 0 to 1 unless a mean or deviation is above 1.
    ///
    /// # Errors
    /// If an option is malformed or would make all images equal.
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
    if factor == 0.0 { Err("0 would make all pixels equal".to_string()) } else { Ok(factor) }
}

/// Also rejects subnormal numbers, since dividing by them overflows.
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
    fn pixels_are_rescaled_to_0_to_1_by_default() {
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
    fn one_number_applies_to_every_channel() -> Result<(), String> {
        let rule = resolve(&[("rescale", "1"), ("mean", "127"), ("std", "[127, 128, 129]")], Channels::Bgr)?;
        assert_eq!((rule.rescale, rule.mean, rule.std), (1.0, [127.0; 3], [127.0, 128.0, 129.0]));
        Ok(())
    }

    #[test]
    fn mean_or_std_above_1_disables_rescaling() -> Result<(), String> {
        let rescale = |pairs| resolve(pairs, Channels::Rgb).map(|rule| rule.rescale);
        let unit = [("mean", "0.485,0.456,0.406"), ("std", "0.229,0.224,0.225")];
        let bytes = [("mean", "123.675,116.28,103.53"), ("std", "58.395,57.12,57.375")];
        assert_eq!((rescale(&unit)?, rescale(&bytes)?), (1.0 / 255.0, 1.0));
        assert_eq!(rescale(&[("std", "255")])?, 1.0);
        assert_eq!(rescale(&[("mean", "127"), ("rescale", "2")])?, 2.0);
        Ok(())
    }

    #[test]
    fn malformed_and_degenerate_options_are_rejected() {
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
        model 'm': option 'rescale': 0 would make all pixels equal
        model 'm': option 'crop_fraction': 87.5 is not above 0 and at most 1
        model 'm': option 'resize': 'squash' is not one of crop, stretch, letterbox
        model 'm': option 'padding': '256' is not a whole number from 0 to 255
        ");
    }
}

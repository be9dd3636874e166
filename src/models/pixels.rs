//! The options that say how pixels become numbers.

use serde_json::Value;

use super::settings::Settings;
use super::spec::{Channels, Element, Interpolation, Preprocessing, Resize};
use super::values::{PerChannel, channels, count, keyword, number, share};
use crate::Result;

/// Brightness of a letterbox's bars unless said: the grey that most of the YOLO family is trained with.
const YOLO_GREY: u8 = 114;

impl Preprocessing {
    /// Settles the options of the pixels, for a model of such channels and numbers. Models that take bytes take them
    /// as they are, if nothing else is said.
    ///
    /// # Errors
    /// If an option is malformed or would make every picture the same.
    pub(super) fn settle(settings: &mut Settings<'_>, order: Channels, element: Element) -> Result<Self> {
        let rescale = if element == Element::U8 { 1.0 } else { 1.0 / 255.0 };
        let per_channel = |value: &Value| channels(value, order.count());
        let resize = settings.settle("resize", keyword, Resize::Crop)?;
        let padding = match resize {
            Resize::Letterbox => settings.settle("padding", byte, YOLO_GREY)?,
            Resize::Crop | Resize::Stretch => YOLO_GREY,
        };
        Ok(Self {
            rescale: settings.settle("rescale", nonzero, rescale)?,
            mean: settings.settle("mean", per_channel, PerChannel([0.0; 3]))?.0,
            std: settings.settle("std", |value| positive(per_channel(value)?), PerChannel([1.0; 3]))?.0,
            resize,
            crop_fraction: settings.settle("crop_fraction", share, 0.875)?,
            padding,
            interpolation: settings.settle("interpolation", keyword, Interpolation::Bicubic)?,
        })
    }
}

fn byte(value: &Value) -> Result<u8, String> {
    // Bounded by the range.
    Ok(count(value, 0..=255)? as u8)
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
    use crate::models::testing::options;

    fn settle(pairs: &[(&str, &str)], order: Channels) -> Result<Preprocessing, String> {
        let settled =
            options(pairs).and_then(|mut settings| Preprocessing::settle(&mut settings, order, Element::F32));
        settled.map_err(|error| error.to_string())
    }

    #[test]
    fn pixels_become_0_to_1_unless_said() {
        let expected = Preprocessing {
            rescale: 1.0 / 255.0,
            mean: [0.0; 3],
            std: [1.0; 3],
            resize: Resize::Crop,
            crop_fraction: 0.875,
            padding: 114,
            interpolation: Interpolation::Bicubic,
        };
        assert_eq!(settle(&[], Channels::Rgb), Ok(expected));
    }

    #[test]
    fn one_number_serves_every_channel() -> Result<(), String> {
        let said = settle(&[("rescale", "1"), ("mean", "127"), ("std", "[127, 128, 129]")], Channels::Bgr)?;
        assert_eq!((said.rescale, said.mean, said.std), (1.0, [127.0; 3], [127.0, 128.0, 129.0]));
        Ok(())
    }

    #[test]
    fn what_would_spoil_every_picture_is_refused() {
        let fault = |key, value| settle(&[(key, value)], Channels::Rgb).err().unwrap_or_default();
        let faults = [
            fault("mean", "0.5,0.5"),
            fault("std", "1,0,1"),
            fault("std", "-1"),
            fault("rescale", "0"),
            fault("crop_fraction", "87.5"),
            fault("resize", "squash"),
        ];
        insta::assert_snapshot!(faults.join("\n"), @r"
        model 'm': option 'mean': 2 numbers for 3 channels
        model 'm': option 'std': 1,0,1 is not above 0 in every channel
        model 'm': option 'std': -1 is not above 0 in every channel
        model 'm': option 'rescale': 0 makes all pixels alike
        model 'm': option 'crop_fraction': 87.5 is not above 0 and at most 1
        model 'm': option 'resize': 'squash' is not one of crop, stretch, letterbox
        ");
    }
}

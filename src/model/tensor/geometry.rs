//! Placement of an image in a model's input by cropping, scaling and padding, and the inverse mapping.
//!
//! ```text
//!  crop ┌──┬────┬──┐      stretch ┌──────────┐      letterbox ┌──────────┐
//!       │  │kept│  │              │   all    │                ├──────────┤ bars above and below,
//!       └──┴────┴──┘              └──────────┘                ├──────────┤ or left and right
//!                                                             └──────────┘
//! ```

use crate::images::decode::RgbImage;
use crate::model::input::{ImageSpec, InputSpec, Preprocessing, Resize};

/// Size in pixels of the central box that is resized to the input: `crop_fraction` of the short side, with the input's
/// aspect ratio.
pub(crate) fn crop_size(input: &InputSpec, rule: &Preprocessing, width: f64, height: f64) -> (f64, f64) {
    let (input_width, input_height) = (f64::from(input.width), f64::from(input.height));
    let unit = f64::from(rule.crop_fraction) * (width / input_width).min(height / input_height);
    ((unit * input_width).min(width), (unit * input_height).min(height))
}

fn letterbox_scale(input: &InputSpec, width: f64, height: f64) -> f64 {
    (f64::from(input.width) / width).min(f64::from(input.height) / height)
}

/// Size in pixels of a letterboxed image without its bars.
pub(crate) fn fitted_size(input: &InputSpec, width: f64, height: f64) -> (u32, u32) {
    let scale = letterbox_scale(input, width, height);
    (
        ((width * scale).round() as u32).clamp(1, input.width),
        ((height * scale).round() as u32).clamp(1, input.height),
    )
}

/// Pixels to the left of and above a letterboxed image.
pub(crate) fn margins(input: &InputSpec, (width, height): (u32, u32)) -> (u32, u32) {
    ((input.width - width) / 2, (input.height - height) / 2)
}

/// Placement of an image in a model's input: input = original × scale + offset, in pixels, for x and y.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Placement {
    scale: [f32; 2],
    offset: [f32; 2],
    original: [f32; 2],
}

impl Placement {
    pub(crate) fn new(spec: &ImageSpec, image: &RgbImage) -> Self {
        let ImageSpec { input, preprocessing } = spec;
        let (width, height) = (f64::from(image.original_width), f64::from(image.original_height));
        let (input_width, input_height) = (f64::from(input.width), f64::from(input.height));
        let (scale, offset) = match preprocessing.resize {
            Resize::Stretch => ([input_width / width, input_height / height], [0.0; 2]),
            Resize::Crop => {
                let (crop_width, crop_height) = crop_size(input, preprocessing, width, height);
                let scale = [input_width / crop_width, input_height / crop_height];
                let (left, top) = ((width - crop_width) / 2.0, (height - crop_height) / 2.0);
                (scale, [-left * scale[0], -top * scale[1]])
            }
            Resize::Letterbox => {
                let decoded = (f64::from(image.width), f64::from(image.height));
                let fitted = fitted_size(input, decoded.0, decoded.1);
                let (left, top) = margins(input, fitted);
                let scale = [f64::from(fitted.0) / width, f64::from(fitted.1) / height];
                (scale, [f64::from(left), f64::from(top)])
            }
        };
        let narrow = |pair: [f64; 2]| pair.map(|number| number as f32);
        Self { scale: narrow(scale), offset: narrow(offset), original: narrow([width, height]) }
    }

    /// Maps left, top, right and bottom from pixels of the input to pixels of the original, clamped to its edges.
    pub(crate) fn to_original(self, corners: [f32; 4]) -> [f32; 4] {
        std::array::from_fn(|side| {
            let axis = side % 2;
            let position = (corners[side] - self.offset[axis]) / self.scale[axis];
            position.clamp(0.0, self.original[axis])
        })
    }
}

/// The smallest scale, in (0, 1], at which an image of `width` × `height` pixels still has a pixel for each pixel of
/// the model's input. A decoder may shrink the image to this scale without loss.
pub(crate) fn least_scale(spec: &ImageSpec, width: u32, height: u32) -> f64 {
    let ImageSpec { input, preprocessing } = spec;
    let (width, height) = (f64::from(width.max(1)), f64::from(height.max(1)));
    let (input_width, input_height) = (f64::from(input.width), f64::from(input.height));
    let scale = match preprocessing.resize {
        Resize::Crop => {
            let (crop_width, crop_height) = crop_size(input, preprocessing, width, height);
            (input_width / crop_width).max(input_height / crop_height)
        }
        Resize::Stretch => (input_width / width).max(input_height / height),
        Resize::Letterbox => letterbox_scale(input, width, height),
    };
    scale.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Folder;

    #[test]
    fn boxes_are_mapped_from_the_input_to_the_original() {
        let place = |resize, image: &RgbImage| {
            let spec = Folder::classifier().unwrap().resolve(&[("resize", resize), ("crop_fraction", "0.5")]);
            Placement::new(spec.unwrap().image().unwrap(), image)
        };
        // 448 × 224 decoded at half size: the letterbox has bars of 56 rows above and below.
        let image =
            RgbImage { original_width: 448, original_height: 224, width: 224, height: 112, pixels: vec![] };
        assert_eq!(
            place("letterbox", &image).to_original([0.0, 56.0, 112.0, 999.0]),
            [0.0, 0.0, 224.0, 224.0]
        );
        assert_eq!(
            place("stretch", &image).to_original([112.0, 112.0, 224.0, 224.0]),
            [224.0, 112.0, 448.0, 224.0]
        );
        // The central 112 × 112 of the original.
        assert_eq!(place("crop", &image).to_original([0.0, 0.0, 224.0, 224.0]), [168.0, 56.0, 280.0, 168.0]);
    }

    #[test]
    fn least_scale_keeps_one_pixel_per_input_pixel() {
        let spec = |options| Folder::classifier().unwrap().resolve(options).unwrap();
        let scale = |spec: &crate::model::spec::ModelSpec, width, height| {
            least_scale(spec.image().unwrap(), width, height)
        };
        let crop = spec(&[("crop_fraction", "0.875")]);
        assert!((scale(&crop, 1024, 512) - 0.5).abs() < 1e-6, "224 of 0.875 × 512");
        assert!((scale(&crop, 100, 100) - 1.0).abs() < 1e-6, "small images stay as they are");
        let letterbox = spec(&[("resize", "letterbox")]);
        assert!((scale(&letterbox, 448, 100) - 0.5).abs() < 1e-6);
        assert!(scale(&crop, 0, 0).is_finite());
    }
}

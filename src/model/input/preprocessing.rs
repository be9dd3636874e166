//! The options that define how pixels are converted to numbers.
//!
//! Mean and standard deviation are given for pixels of 0 to 1 or of 0 to 255. A mean or deviation above 1 only makes
//! sense for 0 to 255, so `rescale` then defaults to 1. If neither is given, the graph may show what pixels it takes:
//! bytes if its input is of integers, otherwise see [`GraphPixels`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::image::InputSpec;
use super::pixels::GraphPixels;
use crate::Result;
use crate::model::onnx::Graph;
use crate::model::settings::{PerChannel, Settings, channels, count, keyword, keywords, number, share};

/// Default brightness of the bars that `letterbox` adds: the grey used to train most YOLO models.
const LETTERBOX_GREY: u8 = 114;

/// How a decoded image is converted to the input tensor: input = (pixel × rescale − mean) / std.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Resolves the preprocessing options for the image input `input` of `graph`. By default, an input of integers takes
    /// bytes, a graph that normalises pixels itself takes those, and others take 0 to 1 unless a mean or deviation is
    /// above 1.
    ///
    /// # Errors
    /// If an option is malformed or would make all images equal.
    pub(crate) fn resolve(settings: &mut Settings<'_>, input: &InputSpec, graph: &Graph) -> Result<Self> {
        let per_channel = |value: &Value| channels(value, input.channels.count());
        if !input.element.is_float() {
            // Their numbers have fractions; a graph that takes integers computes those itself.
            settings.ignore_hugging_face(&["rescale", "mean", "std"]);
        }
        let known = known_pixels(settings, input, graph);
        let [none, unit] = [PerChannel([0.0; 3]), PerChannel([1.0; 3])];
        let mean = settings.resolve_with_graph("mean", per_channel, known.as_ref().map(|_| none), none)?.0;
        let std = |value: &Value| positive(per_channel(value)?);
        let std = settings.resolve_with_graph("std", std, known.as_ref().map(|_| unit), unit)?.0;
        let takes_bytes = mean.iter().chain(&std).any(|number| *number > 1.0);
        let default = if takes_bytes { 1.0 } else { 1.0 / 255.0 };
        let rescale = known.as_ref().map(|(rescale, _)| *rescale);
        let rescale = settings.resolve_with_graph("rescale", nonzero, rescale, default)?;
        if let Some((_, reason)) = known {
            ["rescale", "mean", "std"].into_iter().for_each(|key| settings.explain(key, reason));
        }
        let resize = settings.resolve("resize", keyword, Resize::Crop)?;
        let rule = Self {
            rescale,
            mean,
            std,
            resize,
            padding: settings.resolve("padding", byte, LETTERBOX_GREY)?,
            crop_fraction: settings.resolve("crop_fraction", share, 0.875)?,
            interpolation: settings.resolve("interpolation", keyword, Interpolation::Bicubic)?,
        };
        settings.leave_out(match resize {
            Resize::Crop => &["padding"],
            Resize::Stretch => &["padding", "crop_fraction"],
            Resize::Letterbox => &["crop_fraction"],
        });
        Ok(rule)
    }
}

/// The factor for the pixels that the graph takes without mean and deviation, and how it shows this; `None` if it does
/// not, or a mean or deviation is given.
fn known_pixels(settings: &Settings<'_>, input: &InputSpec, graph: &Graph) -> Option<(f32, &'static str)> {
    if !input.element.is_float() {
        return Some((1.0, "its input is of integers"));
    }
    if settings.has("mean") || settings.has("std") {
        return None;
    }
    let pixels = GraphPixels::read(graph, &input.name, input.layout, input.channels.count())?;
    let reason = if pixels.range > 1.0 {
        "it normalises pixels of 0 to 255 itself"
    } else {
        "it normalises pixels of 0 to 1 itself"
    };
    Some((pixels.rescale(), reason))
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
    use crate::model::input::Channels;
    use crate::model::{Folder, Onnx, options};

    fn resolve(pairs: &[(&str, &str)], channels: Channels) -> Result<Preprocessing, String> {
        let graph = Graph::read(Onnx::classifier("b,3,8,8", 2).bytes())?;
        let resolved = options(pairs).and_then(|mut settings| {
            let input = InputSpec::resolve(&mut settings, &graph, &graph.inputs[0])?;
            Preprocessing::resolve(&mut settings, &InputSpec { channels, ..input }, &graph)
        });
        resolved.map_err(|error| error.to_string())
    }

    /// `rescale`, `mean` and `std` of a graph that subtracts `mean` and divides by `std`, with their sources.
    fn described(element: &str, [mean, std]: [f32; 2], options: &[(&str, &str)]) -> String {
        let onnx = Onnx::new()
            .input("pixels", element, "b,8,8,3")
            .node_with("Cast", &["pixels"], "floats", &[("to", &[1])])
            .constant("mean", &[], &[mean])
            .constant("std", &[1], &[std])
            .node("Sub", &["floats", "mean"], "centred")
            .node("Div", &["centred", "std"], "normal")
            .node_with("Transpose", &["normal"], "planes", &[("perm", &[0, 3, 1, 2])])
            .node("Conv", &["planes"], "logits")
            .output("logits", "float32", "b,10");
        let spec = Folder::with(&onnx).unwrap().resolve(options).unwrap();
        let lines = spec.settings.iter().filter(|line| ["rescale", "mean", "std"].contains(&line.name));
        lines.map(|line| format!("{} {} {}\n", line.name, line.value, line.origin())).collect()
    }

    #[test]
    fn graph_that_normalises_gets_raw_pixels() {
        insta::assert_snapshot!(described("float32", [127.5, 127.5], &[]), @r"
        rescale 1 ONNX file: it normalises pixels of 0 to 255 itself
        mean 0 ONNX file: it normalises pixels of 0 to 255 itself
        std 1 ONNX file: it normalises pixels of 0 to 255 itself
        ");
        insta::assert_snapshot!(described("float32", [0.5, 0.5], &[]), @r"
        rescale 0.003921569 ONNX file: it normalises pixels of 0 to 1 itself
        mean 0 ONNX file: it normalises pixels of 0 to 1 itself
        std 1 ONNX file: it normalises pixels of 0 to 1 itself
        ");
        insta::assert_snapshot!(described("uint8", [127.5, 127.5], &[]), @r"
        rescale 1 ONNX file: its input is of integers
        mean 0 ONNX file: its input is of integers
        std 1 ONNX file: its input is of integers
        ");
    }

    #[test]
    fn integers_are_not_normalised_by_hugging_faces_files() {
        let onnx = Onnx::new()
            .input("pixels", "uint8", "b,8,8,3")
            .node("Gemm", &["pixels"], "logits")
            .output("logits", "float32", "b,10");
        let file =
            r#"{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 0.0039}"#;
        let folder = Folder::with(&onnx).unwrap().put("preprocessor_config.json", file).unwrap();
        let rule = folder.resolve(&[]).unwrap().image().unwrap().preprocessing.clone();
        assert_eq!((rule.rescale, rule.mean, rule.std), (1.0, [0.0; 3], [1.0; 3]));
    }

    #[test]
    fn doubtful_arithmetic_leaves_the_defaults_and_options_override_the_graph() {
        insta::assert_snapshot!(described("float32", [0.0, 58.0], &[]), @r"
        rescale 0.003921569 default
        mean 0 default
        std 1 default
        ");
        insta::assert_snapshot!(described("float32", [127.5, 127.5], &[("mean", "0.5")]), @r"
        rescale 0.003921569 default
        mean 0.5 OPTIONS
        std 1 default
        ");
        insta::assert_snapshot!(described("float32", [127.5, 127.5], &[("rescale", "2")]), @r"
        rescale 2 OPTIONS
        mean 0 ONNX file: it normalises pixels of 0 to 255 itself
        std 1 ONNX file: it normalises pixels of 0 to 255 itself
        ");
    }

    #[test]
    fn settings_of_other_ways_to_resize_are_not_described() {
        let described = |resize| -> Vec<&str> {
            let spec = Folder::classifier().unwrap().resolve(&[("resize", resize)]).unwrap();
            let names = spec.settings.iter().map(|setting| setting.name);
            names.filter(|name| ["padding", "crop_fraction"].contains(name)).collect()
        };
        assert_eq!(described("crop"), ["crop_fraction"]);
        assert_eq!(described("letterbox"), ["padding"]);
        assert!(described("stretch").is_empty());
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

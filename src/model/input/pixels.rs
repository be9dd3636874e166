//! What the beginning of a graph proves about the pixels that it takes.
//!
//! A graph that subtracts 127.5 from its input takes pixels of 0 to 255, whatever it was trained on; one that subtracts
//! 0.485 takes 0 to 1. Only such arithmetic is evidence, and only where it leaves no doubt:
//!
//! | first operators, for each channel | pixels |
//! |---|---|
//! | division by 255 or 256 | 0 to 255 |
//! | multiplication by 255 or 256 | 0 to 1 |
//! | a number from 10 to 90 % of 255 becomes 0 | 0 to 255 |
//! | a number from 10 to 90 % of 1 becomes 0 | 0 to 1 |
//!
//! A trained BatchNormalization may also centre numbers that were normalised before, whose mean is about 0 and whose
//! deviation is about 1. It must therefore fit the mean and the deviation of pixels, from 25 to 75 % and from 10 to 60 %
//! of their range.

use super::image::{Channels, Layout};
use crate::model::onnx::{Affine, Graph};

/// The mean of ImageNet's red, green and blue, for pixels of 0 to 1.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];

/// Largest difference from [`IMAGENET_MEAN`], whose variants for 0 to 255 are rounded.
const IMAGENET_ROUNDING: f64 = 0.006;

/// The pixels that a graph takes, according to its first operators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GraphPixels {
    /// The largest value of a pixel: 1 or 255.
    pub(crate) range: f64,
    /// The order of the channels, if the graph subtracts ImageNet's mean.
    pub(crate) order: Option<Channels>,
}

impl GraphPixels {
    /// Reads the evidence for the input of images `input`; `None` if there is none, or it is ambiguous.
    pub(crate) fn read(graph: &Graph, input: &str, layout: Layout, channels: usize) -> Option<Self> {
        let axis = match layout {
            Layout::Nchw => 1,
            Layout::Nhwc => 3,
        };
        let steps = graph.affine_steps(input, axis, channels);
        let range = steps.iter().find_map(range)?;
        let untrained = steps.iter().rfind(|step| !step.is_trained);
        let order = untrained.and_then(|step| channel_order(centre(step).map(|centre| centre / range)));
        Some(Self { range, order })
    }

    /// The factor that converts a byte to such a pixel.
    pub(crate) fn rescale(self) -> f32 {
        (self.range / 255.0) as f32
    }
}

/// The range of pixels that `step` fits.
fn range(step: &Affine) -> Option<f64> {
    if !step.scale.iter().all(|scale| *scale > 0.0 && scale.is_finite()) {
        return None;
    }
    let is_scaling_by = |factors: [f64; 2]| {
        let is_close = |scale: &f64| factors.iter().any(|factor| (scale / factor - 1.0).abs() < 1e-3);
        !step.is_trained && step.shift == [0.0; 3] && step.scale.iter().all(is_close)
    };
    if is_scaling_by([1.0 / 255.0, 1.0 / 256.0]) {
        return Some(255.0);
    }
    if is_scaling_by([255.0, 256.0]) {
        return Some(1.0);
    }
    let is_centred_in = |range: f64| {
        let within = |low: f64, number: f64, high: f64| (low * range..=high * range).contains(&number);
        let (low, high) = if step.is_trained { (0.25, 0.75) } else { (0.1, 0.9) };
        let has_deviation = !step.is_trained || step.scale.iter().all(|scale| within(0.1, 1.0 / scale, 0.6));
        has_deviation && centre(step).iter().all(|centre| within(low, *centre, high))
    };
    [1.0, 255.0].into_iter().find(|range| is_centred_in(*range))
}

/// The number that becomes 0, for each channel.
fn centre(step: &Affine) -> [f64; 3] {
    std::array::from_fn(|channel| -step.shift[channel] / step.scale[channel])
}

/// The order in which `mean`, for pixels of 0 to 1, is ImageNet's.
pub(crate) fn channel_order(mean: [f64; 3]) -> Option<Channels> {
    let is_imagenet = |expected: [f64; 3]| {
        mean.iter().zip(expected).all(|(mean, expected)| (mean - expected).abs() < IMAGENET_ROUNDING)
    };
    let [red, green, blue] = IMAGENET_MEAN;
    match () {
        () if is_imagenet([red, green, blue]) => Some(Channels::Rgb),
        () if is_imagenet([blue, green, red]) => Some(Channels::Bgr),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    /// The evidence in a graph that applies operators with one number, or one for each channel, to pixels.
    fn read(operators: &[(&str, &[f32])]) -> Option<(f64, Option<Channels>)> {
        let mut onnx = Onnx::new();
        let mut tensor = "x".to_owned();
        for (number, (operator, constant)) in operators.iter().enumerate() {
            let (name, next) = (format!("c{number}"), format!("t{number}"));
            let shape: &[i64] = if constant.len() == 1 { &[] } else { &[3, 1, 1] };
            onnx = onnx.constant(&name, shape, constant).node(operator, &[&tensor, &name], &next);
            tensor = next;
        }
        let onnx = onnx.node("Conv", &[&tensor], "y").output("y", "float32", "b,2");
        let graph = Graph::read(onnx.bytes()).unwrap();
        GraphPixels::read(&graph, "x", Layout::Nchw, 3).map(|pixels| (pixels.range, pixels.order))
    }

    /// The evidence in a graph that begins with a BatchNormalization.
    fn trained(mean: f32, deviation: f32) -> Option<f64> {
        let onnx = Onnx::new()
            .constant("one", &[3], &[1.0; 3])
            .constant("zero", &[3], &[0.0; 3])
            .constant("mean", &[3], &[mean; 3])
            .constant("variance", &[3], &[deviation * deviation; 3])
            .node("BatchNormalization", &["x", "one", "zero", "mean", "variance"], "n")
            .node("Conv", &["n"], "y")
            .output("y", "float32", "b,2");
        let graph = Graph::read(onnx.bytes()).unwrap();
        GraphPixels::read(&graph, "x", Layout::Nchw, 3).map(|pixels| pixels.range)
    }

    #[test]
    fn usual_normalisations_are_recognised() {
        let rgb = Some(Channels::Rgb);
        assert_eq!(read(&[("Div", &[255.0])]), Some((255.0, None)));
        assert_eq!(read(&[("Mul", &[0.003_921_569])]), Some((255.0, None)));
        assert_eq!(read(&[("Sub", &[127.5]), ("Div", &[127.5])]), Some((255.0, None)));
        assert_eq!(read(&[("Mul", &[1.0 / 127.5]), ("Add", &[-1.0])]), Some((255.0, None)));
        assert_eq!(read(&[("Mul", &[2.0]), ("Sub", &[1.0])]), Some((1.0, None)));
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        assert_eq!(read(&[("Sub", &mean), ("Div", &std)]), Some((1.0, rgb)));
        assert_eq!(read(&[("Div", &[255.0]), ("Sub", &mean), ("Div", &std)]), Some((255.0, rgb)));
        assert_eq!(read(&[("Sub", &[104.0, 117.0, 123.0])]), Some((255.0, Some(Channels::Bgr))));
        assert_eq!(read(&[("Mul", &[255.0]), ("Sub", &[123.68, 116.779, 103.939])]), Some((1.0, rgb)));
    }

    #[test]
    fn other_arithmetic_proves_nothing() {
        assert_eq!(read(&[]), None);
        // A deviation without a mean, which may have been subtracted before; a shift of signed bytes; a negative.
        assert_eq!(read(&[("Div", &[0.229, 0.224, 0.225])]), None);
        assert_eq!(read(&[("Mul", &[0.017])]), None);
        assert_eq!(read(&[("Add", &[128.0])]), None);
        assert_eq!(read(&[("Mul", &[-1.0]), ("Add", &[127.5])]), None);
        assert_eq!(read(&[("Div", &[0.0])]), None);
        // One channel contradicts the others.
        assert_eq!(read(&[("Sub", &[0.5, 0.5, 127.5])]), None);
    }

    #[test]
    fn trained_normalisation_must_fit_pixels() {
        assert_eq!(trained(120.0, 60.0), Some(255.0));
        assert_eq!(trained(0.45, 0.25), Some(1.0));
        assert_eq!(trained(0.02, 1.1), None);
        assert_eq!(trained(0.3, 0.9), None);
        assert_eq!(trained(0.0, 0.0), None);
    }
}

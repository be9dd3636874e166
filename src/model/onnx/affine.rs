//! What a graph itself does to its pixels first: subtractions, divisions and the like by constants.
//!
//! ```text
//!  pixels ─ Cast ─ Transpose ─ Sub 127.5 ─ Div 127.5 ─ Conv ─ …
//!                              └─ y = x × scale + shift, for each channel
//! ```

use super::constant::{Constant, attribute};
use super::graph::{Graph, Node};

/// Number of operators after an input that are examined.
const MAX_STEPS: usize = 16;

/// `y = x × scale + shift`, with one number for each channel; all equal if there is one channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Affine {
    pub(crate) scale: [f64; 3],
    pub(crate) shift: [f64; 3],
    /// Whether a trained normalisation, BatchNormalization, contributed.
    pub(crate) is_trained: bool,
}

impl Affine {
    const IDENTITY: Self = Self { scale: [1.0; 3], shift: [0.0; 3], is_trained: false };

    /// This, then `next`.
    fn then(self, next: Self) -> Self {
        Self {
            scale: std::array::from_fn(|channel| self.scale[channel] * next.scale[channel]),
            shift: std::array::from_fn(|channel| {
                self.shift[channel] * next.scale[channel] + next.shift[channel]
            }),
            is_trained: self.is_trained || next.is_trained,
        }
    }
}

impl Graph {
    /// What is computed from the input of images `input` by its first operators, step by step: each item includes
    /// those before it. Ends at the first operator that is more than a change of type, the order of dimensions, or
    /// arithmetic with a constant for each channel. Channels are `count`, in dimension `axis` of four.
    pub(crate) fn affine_steps(&self, input: &str, axis: usize, count: usize) -> Vec<Affine> {
        let mut steps = vec![];
        let (mut tensor, mut axis, mut so_far) = (input, axis, Affine::IDENTITY);
        for _ in 0..MAX_STEPS {
            let Some(node) = self.only_consumer(tensor) else { break };
            match node.operator.as_str() {
                "Identity" => {}
                "Cast" if is_cast_to_float(node) => {}
                "Transpose" => match permuted(node, axis) {
                    Some(position) => axis = position,
                    None => break,
                },
                _ => match self.step(node, tensor, axis, count) {
                    Some(step) => {
                        so_far = so_far.then(step);
                        steps.push(so_far);
                    }
                    None => break,
                },
            }
            let Some(output) = node.outputs.first() else { break };
            tensor = output;
        }
        steps
    }

    /// The arithmetic of one node on `tensor`.
    fn step(&self, node: &Node, tensor: &str, axis: usize, count: usize) -> Option<Affine> {
        if node.operator == "BatchNormalization" {
            return self.batch_normalization(node, tensor, axis, count);
        }
        let [first, second] = node.inputs.as_slice() else { return None };
        // Before opset 7, attributes changed which dimensions are matched.
        if !node.attributes.is_empty() || first == second {
            return None;
        }
        let is_first = first == tensor;
        let numbers = per_channel(self.constant(if is_first { second } else { first })?, axis, count)?;
        let (scale, shift) = match (node.operator.as_str(), is_first) {
            ("Add", _) => ([1.0; 3], numbers),
            ("Sub", true) => ([1.0; 3], numbers.map(|number| -number)),
            ("Sub", false) => ([-1.0; 3], numbers),
            ("Mul", _) => (numbers, [0.0; 3]),
            ("Div", true) => (numbers.map(|number| 1.0 / number), [0.0; 3]),
            _ => return None,
        };
        Some(Affine { scale, shift, is_trained: false })
    }

    /// `y = (x − mean) / √(variance + epsilon) × factor + bias`.
    fn batch_normalization(&self, node: &Node, tensor: &str, axis: usize, count: usize) -> Option<Affine> {
        const EPSILON: f32 = 1e-5;
        let [input, factor, bias, mean, variance] = node.inputs.as_slice() else { return None };
        let is_training = attribute(&node.attributes, "training_mode").is_some_and(|mode| mode.i != 0);
        if input != tensor || axis != 1 || is_training {
            return None;
        }
        let read = |name: &String| {
            let constant = self.constant(name).filter(|constant| constant.dims == [count])?;
            spread(&constant.numbers)
        };
        let [factor, bias, mean, variance] = [read(factor)?, read(bias)?, read(mean)?, read(variance)?];
        let epsilon = attribute(&node.attributes, "epsilon").map_or(EPSILON, |epsilon| epsilon.f);
        let scale: [f64; 3] =
            std::array::from_fn(|channel| factor[channel] / (variance[channel] + f64::from(epsilon)).sqrt());
        let shift = std::array::from_fn(|channel| bias[channel] - mean[channel] * scale[channel]);
        Some(Affine { scale, shift, is_trained: true })
    }
}

/// Whether a Cast is to float32, float16 or float64, which hold every pixel.
fn is_cast_to_float(node: &Node) -> bool {
    attribute(&node.attributes, "to").is_some_and(|to| matches!(to.i, 1 | 10 | 11))
}

/// Where a Transpose moves dimension `axis` of four.
fn permuted(node: &Node, axis: usize) -> Option<usize> {
    let Some(order) = attribute(&node.attributes, "perm") else {
        return node.attributes.is_empty().then(|| 3 - axis);
    };
    if order.ints.len() != 4 {
        return None;
    }
    order.ints.iter().position(|from| usize::try_from(*from) == Ok(axis))
}

/// The numbers of a constant that is combined with a tensor of four dimensions: one for all, or one for each channel.
fn per_channel(constant: &Constant, axis: usize, count: usize) -> Option<[f64; 3]> {
    let missing = 4_usize.checked_sub(constant.dims.len())?;
    let fits = |(position, length): (usize, &usize)| {
        *length == 1 || (position + missing == axis && *length == count)
    };
    if !constant.dims.iter().enumerate().all(fits) {
        return None;
    }
    spread(&constant.numbers)
}

fn spread(numbers: &[f64]) -> Option<[f64; 3]> {
    match numbers {
        [same] => Some([*same; 3]),
        [first, second, third] => Some([*first, *second, *third]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Onnx;

    const BY_CHANNEL: (&[i64], &[f32]) = (&[1, 3, 1, 1], &[1.0, 2.0, 4.0]);

    fn steps(onnx: Onnx, input: &str, axis: usize) -> Vec<([f64; 3], [f64; 3])> {
        let graph = Graph::read(onnx.output("y", "float32", "b,2").bytes()).unwrap();
        let steps = graph.affine_steps(input, axis, 3);
        steps.into_iter().map(|step| (step.scale, step.shift)).collect()
    }

    #[test]
    fn arithmetic_is_composed_through_changes_of_type_and_layout() {
        let onnx = Onnx::new()
            .node_with("Cast", &["x"], "floats", &[("to", &[1])])
            .constant("two", &[], &[2.0])
            .node("Mul", &["two", "floats"], "doubled")
            .node_with("Transpose", &["doubled"], "planes", &[("perm", &[0, 3, 1, 2])])
            .constant("mean", BY_CHANNEL.0, BY_CHANNEL.1)
            .node("Sub", &["planes", "mean"], "centred")
            .node("Div", &["centred", "mean"], "scaled")
            .node("Conv", &["scaled"], "y");
        let expected = [([2.0; 3], [0.0; 3]), ([2.0; 3], [-1.0, -2.0, -4.0]), ([2.0, 1.0, 0.5], [-1.0; 3])];
        assert_eq!(steps(onnx, "x", 3), expected);
    }

    #[test]
    fn batch_normalization_is_arithmetic_too() {
        let onnx = Onnx::new()
            .constant("scale", &[3], &[2.0; 3])
            .constant("bias", &[3], &[1.0; 3])
            .constant("mean", &[3], &[0.0, 1.0, 2.0])
            .constant("variance", &[3], &[4.0 - 1e-5; 3])
            .node("BatchNormalization", &["x", "scale", "bias", "mean", "variance"], "normal")
            .node("Conv", &["normal"], "y");
        let found = steps(onnx, "x", 1);
        let close = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(
            found.len() == 1 && close(found[0].0, [1.0; 3]) && close(found[0].1, [1.0, 0.0, -1.0]),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_no_arithmetic_by_channel_ends_the_walk() {
        let constant = |shape: &[i64], numbers: &[f32]| Onnx::new().constant("c", shape, numbers);
        let none = |onnx: Onnx| assert_eq!(steps(onnx, "x", 1), []);
        // Numbers for each column, of which there happen to be three.
        none(constant(&[3], &[1.0; 3]).node("Sub", &["x", "c"], "y"));
        // Numbers for each channel beside a fifth dimension.
        none(constant(&[1, 1, 3, 1, 1], &[1.0; 3]).node("Sub", &["x", "c"], "y"));
        // Not linear, of two variables, of an earlier opset, in another domain, and used twice.
        none(constant(&[], &[1.0]).node("Div", &["c", "x"], "y"));
        none(Onnx::new().node("Mul", &["x", "x"], "y"));
        none(constant(&[3], &[1.0; 3]).node_with("Sub", &["x", "c"], "y", &[("axis", &[1])]));
        none(constant(&[], &[1.0]).node("Sub", &["x", "c"], "z").node("Conv", &["x"], "y"));
        // A cycle.
        none(Onnx::new().node("Identity", &["x"], "z").node("Identity", &["z"], "x"));
    }
}

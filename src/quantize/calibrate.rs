//! Finds the range of each tensor on real images.
//!
//! ```text
//!  graph ─ + ReduceMin, ReduceMax of each tensor, joined to one output ─ run on images ─► lowest and highest
//!        ─ + the tensors themselves as outputs ─────────────────────────── run again ───► histograms ─► narrower ranges
//! ```

use super::graph::integers::Range;
use super::histogram::Histogram;
use super::options::Calibration;
use crate::model::onnx::{Document, DocumentNode, TensorProto, data_type};
use crate::model::tensor::BatchOutput;

/// Names of the tensors that are added to a graph.
const PREFIX: &str = "seequel_ranges";

/// Adds an output with the lowest and the highest number of each tensor: `[batch, 2 × tensors]`.
///
/// Returns its name. `fixed_batch` is the batch that the graph is fixed to, if any.
pub(super) fn add_extremes(
    document: &mut Document,
    tensors: &[String],
    fixed_batch: Option<usize>,
) -> String {
    let graph = &mut document.graph;
    let name = |part: &str| format!("{PREFIX}/{part}");
    let shape = |name: String, dims: &[i64]| {
        let raw_data: Vec<u8> = dims.iter().flat_map(|length| length.to_le_bytes()).collect();
        let dims = vec![dims.len() as i64];
        TensorProto {
            name,
            dims,
            data_type: data_type::INT64,
            raw_data: raw_data.into(),
            ..TensorProto::default()
        }
    };
    graph.add_initializer(&shape(name("one"), &[1]));
    let mut ends = Vec::with_capacity(tensors.len() * 2);
    for (number, tensor) in tensors.iter().enumerate() {
        for operator in ["ReduceMin", "ReduceMax"] {
            let (end, flat) =
                (name(&format!("{number}/{operator}")), name(&format!("{number}/{operator}/flat")));
            graph.nodes.push(DocumentNode::new(operator, &[tensor], &end).with_int("keepdims", 0));
            graph.nodes.push(DocumentNode::new("Reshape", &[&end, &name("one")], &flat));
            ends.push(flat);
        }
    }
    let rows = fixed_batch.unwrap_or(1) as i64;
    graph.add_initializer(&shape(name("shape"), &[rows, ends.len() as i64]));
    let (joined, output) = (name("joined"), name("output"));
    let ends_of_all: Vec<_> = ends.iter().map(String::as_str).collect();
    graph.nodes.push(DocumentNode::new("Concat", &ends_of_all, &joined).with_int("axis", 0));
    graph.nodes.push(DocumentNode::new("Expand", &[&joined, &name("shape")], &output));
    graph.add_output_of(&output, &[rows, ends.len() as i64]);
    output
}

/// Reads the output that [`add_extremes`] added: a range for each tensor.
pub(super) fn extremes(output: &BatchOutput) -> Result<Vec<Range>, String> {
    let numbers = output.floats(0).ok_or("the ranges are not float32")?;
    Ok(numbers.as_chunks().0.iter().map(|[low, high]| Range { low: *low, high: *high }).collect())
}

/// For each of `tensors` tensors, the range that covers those of all images.
pub(super) fn covering(images: &[Vec<Range>], tensors: usize) -> Vec<Range> {
    let of = |number: usize| {
        let ranges = images.iter().filter_map(|image| image.get(number));
        let start = Range { low: f32::INFINITY, high: f32::NEG_INFINITY };
        // A number that is not a number makes the range so, and the tensor stays in float32.
        ranges.fold(start, |all, range| match range.low.is_nan() || range.high.is_nan() {
            true => Range { low: f32::NEG_INFINITY, high: f32::INFINITY },
            false => Range { low: all.low.min(range.low), high: all.high.max(range.high) },
        })
    };
    (0..tensors).map(of).collect()
}

/// Adds the tensors themselves as outputs, where they are none yet. Returns the names of the outputs.
pub(super) fn add_tensors(document: &mut Document, tensors: &[String]) -> Vec<String> {
    let graph = &mut document.graph;
    let (inputs, outputs) = (graph.input_names(), graph.output_names());
    let mut add = |tensor: &String| {
        if inputs.contains(tensor) {
            // An input can't be an output.
            let output = format!("{PREFIX}/{tensor}/output");
            graph.nodes.push(DocumentNode::new("Identity", &[tensor], &output));
            graph.add_output(&output);
            return output;
        }
        if !outputs.contains(tensor) {
            graph.add_output(tensor);
        }
        tensor.clone()
    };
    tensors.iter().map(&mut add).collect()
}

/// Counts the numbers of each output of an image.
pub(super) fn count(outputs: &[BatchOutput], ranges: &[Range]) -> Result<Vec<Histogram>, String> {
    let count = |(output, range): (&BatchOutput, &Range)| {
        let mut histogram = Histogram::new(*range);
        histogram.add(output.floats(0).ok_or("a tensor is not float32")?);
        Ok(histogram)
    };
    outputs.iter().zip(ranges).map(count).collect()
}

/// Narrows each range by the histogram of its tensor.
pub(super) fn narrowed(images: Vec<Vec<Histogram>>, calibration: Calibration) -> Vec<Range> {
    let mut images = images.into_iter();
    let Some(mut all) = images.next() else { return vec![] };
    for image in images {
        all.iter_mut().zip(&image).for_each(|(all, image)| all.merge(image));
    }
    let range = |histogram: &Histogram| match calibration {
        Calibration::Entropy => histogram.least_divergence(),
        Calibration::LeastSquares => histogram.least_squares(),
        _ => histogram.percentiles(),
    };
    all.iter().map(range).collect()
}

//! Corrects the biases of a quantized graph, so that no layer's outputs are too high or too low on average.
//!
//! Rounded weights and activations shift the mean of what a layer computes, each channel's by another amount, and
//! shifts add up from layer to layer (Nagel et al., "Data-Free Quantization through Weight Equalization and Bias
//! Correction", 2019). One layer after the other is measured in the graph up to it, where all before are corrected.

use super::rewrite::{bias_integers, bias_scales};
use crate::model::onnx::{Document, DocumentNode, TensorProto, data_type, floats};
use crate::model::tensor::BatchOutput;

/// Prefix of the names that are added to a graph.
const PREFIX: &str = "seequel_means";

/// Adds the mean of each channel of what `node` computes to a graph; returns its name.
fn add_mean(document: &mut Document, node: &DocumentNode, rank: usize) -> String {
    let mean = format!("{PREFIX}/{}", node.outputs[0]);
    add_reduced(document, "ReduceMean", &node.outputs[0], rank, &mean);
    mean
}

/// Adds a number for each channel of `tensor`, `reduced` from the others by `operator`, to a graph.
pub(super) fn add_reduced(document: &mut Document, operator: &str, tensor: &str, rank: usize, reduced: &str) {
    let axes: Vec<i64> = (2..rank as i64).collect();
    let with_axes_as_input = document.opset() >= 18;
    let graph = &mut document.graph;
    let added = if axes.is_empty() {
        DocumentNode::new("Identity", &[tensor], reduced)
    } else if with_axes_as_input {
        let name = format!("{reduced}/axes");
        graph.add_initializer(&TensorProto {
            name: name.clone(),
            dims: vec![axes.len() as i64],
            data_type: data_type::INT64,
            raw_data: axes.iter().flat_map(|axis| axis.to_le_bytes()).collect::<Vec<_>>().into(),
            ..TensorProto::default()
        });
        DocumentNode::new(operator, &[tensor, &name], reduced).with_int("keepdims", 0)
    } else {
        DocumentNode::new(operator, &[tensor], reduced).with_ints("axes", &axes).with_int("keepdims", 0)
    };
    graph.nodes.push(added);
}

/// Adds the means of the channels of `layers`, each an output of `Conv` or `Gemm` and its rank, as outputs.
pub(in crate::quantize) fn add_means(document: &mut Document, layers: &[(String, usize)]) -> Vec<String> {
    let mut add = |(layer, rank): &(String, usize)| {
        let node = document.graph.node_of(layer).cloned()?;
        let mean = add_mean(document, &node, *rank);
        document.graph.add_output(&mean);
        Some(mean)
    };
    layers.iter().filter_map(&mut add).collect()
}

/// The part of a quantized graph that computes the means of the channels of `layer`, and the name of its output.
///
/// `None` if the layer is not on integers, or has no bias.
pub(in crate::quantize) fn up_to(
    document: &Document,
    layer: &str,
    rank: usize,
) -> Option<(Document, String)> {
    let bias = bias_integers(layer);
    let dequantized =
        document.graph.nodes.iter().find(|node| node.inputs.first() == Some(&bias))?.outputs.first()?;
    let takes_it = |node: &&DocumentNode| node.inputs.get(2) == Some(dequantized);
    let node = document.graph.nodes.iter().find(takes_it)?.clone();
    let mut part = document.clone();
    let mean = add_mean(&mut part, &node, rank);
    part.graph.keep_only(&mean);
    Some((part, mean))
}

/// Adds `shift`, a number for each channel, to the bias of `layer`.
///
/// # Errors
/// A reason, if the graph has no such bias.
pub(in crate::quantize) fn shift_bias(
    document: &mut Document,
    layer: &str,
    shift: &[f64],
) -> Result<(), String> {
    let weights = document.graph.initializers();
    let missing = || format!("'{layer}' has no bias on integers");
    let folder = std::path::Path::new(".");
    let (scales, _) = floats(weights.get(&bias_scales(layer)).ok_or_else(missing)?, folder)?;
    let encoded = weights.get(&bias_integers(layer)).ok_or_else(missing)?;
    let mut tensor = TensorProto::of(encoded)?;
    let integers = tensor.raw_data.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
    let shifted = integers.zip(shift).enumerate().map(|(channel, (integer, shift))| {
        let scale = f64::from(scales[channel.min(scales.len() - 1)]);
        (f64::from(integer) + shift / scale).round() as i32
    });
    let raw: Vec<u8> = shifted.flat_map(i32::to_le_bytes).collect();
    if raw.len() != tensor.raw_data.len() {
        return Err(missing());
    }
    tensor.raw_data = raw.into();
    document.graph.set_initializer(&tensor);
    Ok(())
}

/// The means over images of the outputs that [`add_means`] or [`up_to`] added.
pub(in crate::quantize) fn averaged(images: &[Vec<Vec<f32>>]) -> Vec<Vec<f64>> {
    let Some(first) = images.first() else { return vec![] };
    let mut sums: Vec<Vec<f64>> = first.iter().map(|numbers| vec![0.0; numbers.len()]).collect();
    for image in images {
        for (sums, numbers) in sums.iter_mut().zip(image) {
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += f64::from(*number));
        }
    }
    let count = images.len() as f64;
    sums.iter_mut().flatten().for_each(|sum| *sum /= count);
    sums
}

/// The numbers of each output for an image.
pub(in crate::quantize) fn read(outputs: &[BatchOutput]) -> Result<Vec<Vec<f32>>, String> {
    let floats = |output: &BatchOutput| output.floats(0).map(<[f32]>::to_vec);
    outputs.iter().map(floats).collect::<Option<_>>().ok_or_else(|| "a mean is not float32".to_owned())
}

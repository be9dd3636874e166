//! The weights of a node as they are in the file, and how they become integers.

use std::path::Path;

use super::integers::{Activation, Steps, Weights};
use super::pairs::pairs;
use super::select::Nodes;
use crate::model::onnx::{DocumentNode, floats};

/// Where the numbers of weights are.
pub(in crate::quantize) struct Source<'a> {
    pub(in crate::quantize) nodes: &'a Nodes<'a>,
    pub(in crate::quantize) folder: &'a Path,
}

/// The weights of a node and its bias.
pub(in crate::quantize) struct Numbers {
    pub(in crate::quantize) weight: Vec<f32>,
    pub(super) dims: Vec<i64>,
    pub(super) bias: Option<Vec<f32>>,
    /// The dimension of the output channels.
    axis: usize,
    /// Whether it is a convolution of each channel by itself, whose products are added in 32 bits on all processors.
    is_depthwise: bool,
}

impl Source<'_> {
    /// Reads the numbers of a node with weights. A convolution without a bias gets one of zeros, which can be corrected.
    ///
    /// # Errors
    /// A reason: numbers that can't be read.
    pub(in crate::quantize) fn numbers_of(&self, node: &DocumentNode) -> Result<Numbers, String> {
        let (weight, dims) = self.numbers(&node.inputs[1])?;
        let bias = node.inputs.get(2).filter(|bias| !bias.is_empty());
        let bias = bias.map(|bias| self.numbers(bias)).transpose()?.map(|(bias, _)| bias);
        let axis = if node.is("Conv") || node.is("Gemm") && node.int("transB", 0) == 1 { 0 } else { 1 };
        let channels = dims.get(axis).and_then(|channels| usize::try_from(*channels).ok()).unwrap_or(0);
        let zeros = || (!node.is("MatMul")).then(|| vec![0.0; channels]);
        let is_depthwise = node.is("Conv") && dims.starts_with(&[node.int("group", 1), 1]);
        Ok(Numbers { weight, dims, bias: bias.or_else(zeros), axis, is_depthwise })
    }

    fn numbers(&self, name: &str) -> Result<(Vec<f32>, Vec<i64>), String> {
        let encoded = self.nodes.initializers.get(name).ok_or_else(|| format!("'{name}' is no weight"))?;
        floats(encoded, self.folder).map_err(|reason| format!("the weight '{name}': {reason}"))
    }
}

impl Numbers {
    /// The nearest integers, if the numbers allow that.
    pub(in crate::quantize) fn round(&self, input: Activation, steps: Steps) -> Option<Weights> {
        let bias = self.bias.as_deref().map(|bias| (bias, input));
        Weights::of(&self.weight, &self.dims, self.axis, bias, &self.partners(steps), steps.per_channel)
    }

    /// For each weight of an output the other one of its pair, or itself.
    pub(super) fn partners(&self, steps: Steps) -> Vec<usize> {
        let outputs = self.dims.get(self.axis).and_then(|outputs| usize::try_from(*outputs).ok());
        let length = self.weight.len() / outputs.unwrap_or(1).max(1);
        let window: i64 = self.dims.iter().skip(2).product();
        if steps.adds_pairs && !self.is_depthwise {
            pairs(length, usize::try_from(window).unwrap_or(1))
        } else {
            (0..length).collect()
        }
    }
}

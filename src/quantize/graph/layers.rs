//! The layers of a graph that multiply by weights, and the rounding of these weights by what the layers' inputs have in
//! common on real images.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use seequel_rounding::{Moments, Window, round};

use super::integers::{Steps, Weights};
use super::numbers::Source;
use super::rewrite::Activations;
use super::select::{Kind, Nodes, Selection};
use crate::model::onnx::{DocumentGraph, DocumentNode};
use crate::model::tensor::BatchOutput;

/// Most positions of an image whose inputs are looked at: fifty images give enough, and neighbours are alike.
const POSITIONS: usize = 48;

/// Most numbers that an output is made from; the products of all pairs of them are kept.
const MOST_NUMBERS: usize = 5 << 10;

/// Most bytes of such products at a time.
const MOST_BYTES: usize = 512 << 20;

/// Multiplications that take about as long as reading a weight from memory, which a classifier's last layer spends most
/// of its time with: it uses each weight once for an image. Some 50 billion a second, against 10 GB.
const READ: usize = 16;

/// A node whose weights become integers.
pub(in crate::quantize) struct Layer {
    /// Its output, which names it.
    pub(in crate::quantize) output: String,
    /// The tensor that it multiplies by its weights.
    pub(in crate::quantize) input: String,
    pub(in crate::quantize) weights: Weights,
    /// The weights, a row for each output channel.
    rows: Vec<f32>,
    /// For each weight of a row the other one of its pair, or itself.
    partners: Vec<usize>,
    /// Convolutions with groups see a part of the input's channels for each part of their outputs.
    groups: usize,
    /// What an output sees; `None` for convolutions along one or three dimensions, which are rounded to the nearest.
    window: Option<Window>,
    moments: Mutex<Vec<Moments>>,
    /// Times that the weights are used for an image.
    uses: AtomicUsize,
}

impl Layer {
    /// The layers of `selection` whose weights can be integers, in the order of the graph.
    ///
    /// # Errors
    /// A reason: weights that can't be read.
    pub(in crate::quantize) fn all(
        graph: &DocumentGraph,
        selection: &Selection,
        folder: &Path,
        activations: &Activations,
        steps: Steps,
    ) -> Result<Vec<Self>, String> {
        let nodes = Nodes::of(graph);
        let mut positions: Vec<_> = selection
            .nodes
            .iter()
            .filter(|(_, kind)| **kind == Kind::Weighted)
            .map(|(position, _)| *position)
            .collect();
        positions.sort_unstable();
        let source = Source { nodes: &nodes, folder };
        let layers = positions.into_iter().map(|position| {
            let node = &graph.nodes[position];
            let Some(input) = activations.get(&node.inputs[0]).copied() else { return Ok(None) };
            let numbers = source.numbers_of(node)?;
            let weights = numbers.round(input, steps);
            Ok(weights.map(|weights| Self::new(node, weights, &numbers.weight, numbers.partners(steps))))
        });
        layers.filter_map(Result::transpose).collect()
    }

    fn new(node: &DocumentNode, weights: Weights, numbers: &[f32], partners: Vec<usize>) -> Self {
        let is_convolution = node.is("Conv");
        let groups =
            if is_convolution { usize::try_from(node.int("group", 1)).unwrap_or(1).max(1) } else { 1 };
        let rows =
            if weights.axis == 0 { numbers.to_vec() } else { transposed(numbers, weights.scales.len()) };
        Self {
            output: node.outputs[0].clone(),
            input: node.inputs[0].clone(),
            window: if is_convolution { window(node, &weights.dims) } else { Some(POINT) },
            weights,
            rows,
            partners,
            groups,
            moments: Mutex::default(),
            uses: AtomicUsize::new(1),
        }
    }

    /// The numbers that an output is made from.
    fn length(&self) -> usize {
        self.rows.len() / self.weights.scales.len().max(1)
    }

    fn bytes(&self) -> usize {
        self.groups * self.length() * self.length() * size_of::<f64>()
    }

    /// What it does for an image, in multiplications.
    pub(in crate::quantize) fn work(&self) -> f64 {
        self.rows.len() as f64 * (self.uses.load(Relaxed) + READ) as f64
    }

    /// Whether its rounding can be improved.
    fn can_improve(&self) -> bool {
        self.window.is_some() && self.length() <= MOST_NUMBERS
    }

    /// Looks at its input for an image.
    ///
    /// # Errors
    /// A reason: an input of another type or shape than the weights are for.
    pub(in crate::quantize) fn add(&self, input: &BatchOutput) -> Result<(), String> {
        let Some(window) = &self.window else { return Ok(()) };
        let numbers = input.floats(0).ok_or("a tensor is not float32")?;
        let (channels, size) = match input.shape() {
            [channels, height, width] if self.weights.dims.len() == 4 => (*channels, [*height, *width]),
            [.., length] => (*length, [numbers.len() / (*length).max(1), 1]),
            [] => return Err("a tensor has no dimensions".to_owned()),
        };
        let transposed_numbers;
        let numbers = if self.weights.dims.len() == 4 {
            numbers
        } else {
            transposed_numbers = transposed(numbers, channels);
            &transposed_numbers
        };
        let outputs = window.outputs(size).iter().product::<usize>();
        self.uses.store(outputs, Relaxed);
        let taken = outputs.min(POSITIONS);
        let positions: Vec<_> = (0..taken).map(|number| (number * outputs + outputs / 2) / taken).collect();
        let part = channels / self.groups * size[0] * size[1];
        if part == 0 || channels / self.groups * window.kernel[0] * window.kernel[1] != self.length() {
            return Err(format!("the input of '{}' does not fit its weights", self.output));
        }
        let patches: Vec<_> =
            numbers.chunks_exact(part).map(|part| window.patches(part, size, &positions)).collect();
        let mut moments = self.moments.lock();
        moments.resize_with(self.groups, || Moments::new(self.length()));
        moments.iter_mut().zip(&patches).for_each(|(moments, patches)| moments.add(patches, taken));
        Ok(())
    }

    /// Rounds the weights anew by all inputs that were added, which are then forgotten.
    pub(in crate::quantize) fn improve(&mut self) {
        let moments = std::mem::take(self.moments.get_mut());
        if moments.is_empty() {
            return;
        }
        let rows = self.weights.scales.len() / self.groups;
        let part = rows * self.length();
        let scales = self.weights.scales.chunks(rows);
        let parts = self.rows.chunks(part).zip(scales).zip(&moments);
        let integers: Vec<i8> = parts
            .flat_map(|((rows, scales), moments)| round(rows, scales, moments, &self.partners))
            .collect();
        if integers.len() == self.weights.integers.len() {
            let outputs = self.weights.scales.len();
            self.weights.integers = if self.weights.axis == 0 {
                integers
            } else {
                transposed(&integers, integers.len() / outputs)
            };
        }
    }
}

/// Cuts the layers that can be improved into runs whose moments fit in memory.
pub(in crate::quantize) fn portions(layers: &mut [Layer]) -> Vec<Vec<&mut Layer>> {
    let (mut portions, mut bytes) = (vec![], 0);
    for layer in layers.iter_mut().filter(|layer| layer.can_improve()) {
        bytes += layer.bytes();
        match portions.last_mut() {
            Some(portion) if bytes <= MOST_BYTES => Vec::push(portion, layer),
            _ => {
                bytes = layer.bytes();
                portions.push(vec![layer]);
            }
        }
    }
    portions
}

/// The window of a matrix multiplication.
const POINT: Window = Window { kernel: [1, 1], strides: [1, 1], dilations: [1, 1], pads: [0; 4] };

/// The window of a convolution with weights of `dims`.
fn window(node: &DocumentNode, dims: &[i64]) -> Option<Window> {
    let [_, _, height, width] = dims else { return None };
    let length = |length: &i64| usize::try_from(*length).ok().filter(|length| *length < 1 << 16);
    let lengths = |name: &str| node.ints(name).iter().map(length).collect::<Option<Vec<_>>>();
    let (pads, strides, dilations) = (lengths("pads")?, lengths("strides")?, lengths("dilations")?);
    if pads.is_empty() && node.has("auto_pad") {
        return None;
    }
    let pair = |lengths: Vec<usize>| lengths.try_into().unwrap_or([1, 1]);
    Some(Window {
        kernel: [length(height)?, length(width)?],
        strides: pair(strides),
        dilations: pair(dilations),
        pads: pads.try_into().unwrap_or([0; 4]),
    })
}

/// Turns rows of `length` numbers into columns.
fn transposed<T: Copy>(rows: &[T], length: usize) -> Vec<T> {
    (0..length).flat_map(|column| rows.iter().skip(column).step_by(length.max(1)).copied()).collect()
}

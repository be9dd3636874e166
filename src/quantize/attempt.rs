//! What it takes to quantize one model: calibration on images, and the graph that results.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::calibrate;
use super::graph::bias;
use super::graph::integers::{Range, Steps, Weights};
use super::graph::layers::{Layer, portions};
use super::graph::rewrite::{activations, rewrite};
use super::graph::select::{Nodes, Selection};
use super::options::{Calibration, QuantizeOptions};
use crate::agreement::{Agreement, Prediction, Runner, Samples, predictions};
use crate::model::Model;
use crate::model::onnx::{Document, DocumentNode, is_quantized};
use crate::model::runtime::Machine;
use crate::model::settings::{MAX_MODEL_BYTES, read_bounded};
use crate::{Error, Result};

/// Images that biases are corrected on.
const BIAS_IMAGES: usize = 32;

/// First version of ONNX's operators whose `DequantizeLinear` takes a scale for each channel, and the first with Q and
/// DQ at all.
const OPSETS: (i64, i64) = (13, 10);

/// A quantized model, and how it compares with its original.
#[derive(Debug)]
pub(super) struct Twin {
    pub(super) model: Model,
    pub(super) agreement: Agreement,
    /// Nodes with weights that compute on integers, and all that could.
    pub(super) integer_nodes: [usize; 2],
    /// Outputs of the nodes that stay in float32 because integers cost agreement.
    pub(super) left_out: Vec<String>,
}

/// What calibration found.
pub(super) struct Calibrated<'s> {
    pub(super) samples: &'s Samples,
    /// The range of each tensor that may be quantized.
    pub(super) ranges: HashMap<String, Range>,
    /// The weights of each node by its output.
    pub(super) weights: HashMap<String, Weights>,
    /// What each of these nodes does for an image, in multiplications.
    pub(super) work: HashMap<String, f64>,
    /// The mean of each channel that a node with weights computes, in the original.
    means: HashMap<String, Vec<f64>>,
}

/// One model, quantized in one way or another.
pub(super) struct Attempt<'a> {
    pub(super) name: &'a str,
    pub(super) source: &'a Model,
    pub(super) options: &'a QuantizeOptions,
    folder: &'a Path,
    pub(super) runner: Runner<'a>,
    /// The original, simplified: constants folded, normalisations merged into convolutions.
    pub(super) document: Document,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        name: &'a str,
        source: &'a Model,
        options: &'a QuantizeOptions,
        folder: &'a Path,
        runner: Runner<'a>,
    ) -> Result<Self> {
        let simplified = folder.join("simplified.onnx");
        source.simplify(&simplified)?;
        let error = |reason| Error::Model { model: name.to_owned(), reason };
        let bytes = read_bounded(&simplified, MAX_MODEL_BYTES).map_err(error)?;
        let document = Document::read(bytes).map_err(error)?;
        let attempt = Self { name, source, options, folder, runner, document };
        attempt.check_graph().map_err(error)?;
        Ok(attempt)
    }

    fn check_graph(&self) -> Result<(), String> {
        let (graph, source) = (&self.document.graph, &self.source.spec().name);
        // A file may keep its weights as integers and yet compute in float32.
        let computes = |node: &&DocumentNode| is_quantized(&node.operator) && !node.is("DequantizeLinear");
        if let Some(node) = graph.nodes.iter().find(computes) {
            return Err(format!("'{source}' is quantized already: it has a node {}", node.operator));
        }
        if graph.has_subgraphs() {
            return Err(format!("'{source}' has loops or branches, which can't be calibrated"));
        }
        let opset = self.document.opset();
        let needed = if self.options.per_channel { OPSETS.0 } else { OPSETS.1 };
        if opset < needed {
            let hint = if opset < OPSETS.1 { "" } else { ", or per_channel 'false'" };
            return Err(format!("'{source}' uses ONNX opset {opset}; {needed} is needed{hint}"));
        }
        if self.weighted(&BTreeSet::new()).is_empty() {
            return Err(format!("'{source}' has no Conv, Gemm or MatMul with constant weights of float32"));
        }
        let is_name = |name: &&String| {
            graph.nodes.iter().any(|node| node.name == **name || node.outputs.contains(name))
        };
        match self.options.exclude.iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!("option 'exclude': there is no node '{name}' in the simplified graph")),
            None => Ok(()),
        }
    }

    pub(super) fn error(&self, reason: String) -> Error {
        Error::Model { model: self.name.to_owned(), reason }
    }

    /// The selection of all nodes except `excluded`.
    pub(super) fn selection(&self, excluded: &BTreeSet<String>) -> Selection {
        Selection::new(&Nodes::of(&self.document.graph), excluded)
    }

    /// The outputs of the nodes with weights that compute on integers, except `excluded`.
    pub(super) fn weighted(&self, excluded: &BTreeSet<String>) -> Vec<String> {
        self.selection(excluded).weighted(&self.document.graph)
    }

    /// Finds what quantization needs to know of the graph on real images.
    pub(super) fn calibrate<'s>(&self, samples: &'s Samples) -> Result<Calibrated<'s>> {
        tracing::info!("{}: finding ranges on {} images", self.name, samples.images.len());
        let ranges = self.ranges(samples)?;
        tracing::info!(
            "{}: rounding the weights of {} nodes",
            self.name,
            self.weighted(&BTreeSet::new()).len()
        );
        let layers = self.rounded(samples, &ranges)?;
        let work = layers.iter().map(|layer| (layer.output.clone(), layer.work())).collect();
        let weights = layers.into_iter().map(|layer| (layer.output, layer.weights)).collect();
        Ok(Calibrated { samples, ranges, weights, work, means: self.means(samples)? })
    }

    /// Rounds the weights so that outputs change least.
    fn rounded(&self, samples: &Samples, ranges: &HashMap<String, Range>) -> Result<Vec<Layer>> {
        let (selection, steps) = (self.selection(&self.options.exclude), self.steps());
        let activations = activations(&selection, ranges);
        let layers = Layer::all(&self.document.graph, &selection, self.weights_folder(), &activations, steps);
        let mut layers = layers.map_err(|reason| self.error(reason))?;
        for portion in portions(&mut layers) {
            let mut document = self.document.clone();
            let mut inputs: Vec<String> = portion.iter().map(|layer| layer.input.clone()).collect();
            inputs.dedup();
            let outputs = calibrate::add_tensors(&mut document, &inputs);
            let model = self.variant("inputs", &document)?;
            self.runner.map(&model, samples, &outputs, |outputs, _| {
                let input_of = |layer: &&mut Layer| inputs.iter().position(|input| *input == layer.input);
                let mut seen =
                    portion.iter().filter_map(|layer| Some((layer, outputs.get(input_of(layer)?)?)));
                seen.try_for_each(|(layer, input)| layer.add(input))
            })?;
            for layer in portion {
                self.runner.check()?;
                layer.improve();
            }
        }
        Ok(layers)
    }

    /// The nodes with weights that have channels to correct: their outputs, and how many dimensions these have.
    fn channels(&self) -> Vec<(String, usize)> {
        let (graph, nodes) = (&self.document.graph, Nodes::of(&self.document.graph));
        let weighted = self.weighted(&self.options.exclude);
        let rank = |output: &String| {
            let node = graph.node_of(output).filter(|node| !node.is("MatMul"))?;
            Some((output.clone(), nodes.weight_dims(&node.inputs[1])?.len()))
        };
        weighted.iter().filter_map(rank).collect()
    }

    /// The mean of each channel that a node with weights computes.
    fn means(&self, samples: &Samples) -> Result<HashMap<String, Vec<f64>>> {
        let mut document = self.document.clone();
        let channels = self.channels();
        let outputs = bias::add_means(&mut document, &channels);
        let model = self.variant("means", &document)?;
        let images = self
            .runner
            .map(&model, &samples.first(BIAS_IMAGES), &outputs, |outputs, _| bias::read(outputs))?;
        Ok(channels.into_iter().map(|(layer, _)| layer).zip(bias::averaged(&images)).collect())
    }

    /// Corrects the biases of a quantized graph, from the first node to the last.
    pub(super) fn correct_biases(&self, document: &mut Document, calibrated: &Calibrated<'_>) -> Result<()> {
        let samples = calibrated.samples.first(BIAS_IMAGES);
        for (layer, rank) in self.channels() {
            let Some((part, mean)) = bias::up_to(document, &layer, rank) else { continue };
            let model = self.variant("part", &part)?;
            let images = self.runner.map(&model, &samples, &[mean], |outputs, _| bias::read(outputs))?;
            let means = bias::averaged(&images);
            let Some((wanted, found)) = calibrated.means.get(&layer).zip(means.first()) else { continue };
            let shift: Vec<_> = wanted.iter().zip(found).map(|(wanted, found)| wanted - found).collect();
            bias::shift_bias(document, &layer, &shift).map_err(|reason| self.error(reason))?;
        }
        Ok(())
    }

    /// Finds the range of each tensor that may be quantized.
    fn ranges(&self, samples: &Samples) -> Result<HashMap<String, Range>> {
        let tensors = self.selection(&self.options.exclude).tensors;
        let mut document = self.document.clone();
        let output = calibrate::add_extremes(&mut document, &tensors, self.source.spec().fixed_batch);
        let model = self.variant("extremes", &document)?;
        let read = |outputs: &[_], _: &_| match outputs {
            [output] => calibrate::extremes(output),
            _ => Err("it gave no ranges".to_owned()),
        };
        let extremes = self.runner.map(&model, samples, &[output], read)?;
        let mut ranges = calibrate::covering(&extremes, tensors.len());
        if self.options.calibration != Calibration::MinMax {
            let mut document = self.document.clone();
            let outputs = calibrate::add_tensors(&mut document, &tensors);
            let model = self.variant("tensors", &document)?;
            let count = |outputs: &[_], _: &_| calibrate::count(outputs, &ranges);
            let images = self.runner.map(&model, samples, &outputs, count)?;
            ranges = calibrate::narrowed(images, self.options.calibration);
        }
        Ok(tensors.into_iter().zip(ranges).collect())
    }

    pub(super) fn rewritten(
        &self,
        calibrated: &Calibrated<'_>,
        excluded: &BTreeSet<String>,
    ) -> Result<Document> {
        let selection = self.selection(excluded);
        let activations = activations(&selection, &calibrated.ranges);
        let (folder, weights) = (self.weights_folder(), &calibrated.weights);
        let rewritten = rewrite(&self.document, folder, &selection, &activations, weights, self.steps());
        rewritten.map_err(|reason| self.error(reason))
    }

    pub(super) fn steps(&self) -> Steps {
        Steps { per_channel: self.options.per_channel, adds_pairs: Machine::without_gpus().adds_pairs() }
    }

    /// Where weights outside the file are.
    pub(super) fn weights_folder(&self) -> &Path {
        self.source.spec().file.parent().unwrap_or_else(|| Path::new("."))
    }

    pub(super) fn predictions(&self, model: &Model, samples: &Samples) -> Result<Vec<Prediction>> {
        predictions(&self.runner, self.source.spec(), model, samples)
    }

    /// The source with another graph, written into a folder of that name.
    pub(super) fn variant(&self, name: &str, document: &Document) -> Result<Model> {
        let folder: PathBuf = self.folder.join(name);
        let describe = |reason| self.error(format!("'{}' can't be written: {reason}", folder.display()));
        fs::create_dir_all(&folder).map_err(describe)?;
        let file = folder.join("model.onnx");
        fs::write(&file, document.bytes()).map_err(describe)?;
        Ok(self.source.with_file(file))
    }
}

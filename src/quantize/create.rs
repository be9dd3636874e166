//! Makes the quantized twin of a model: a folder like that of an installed model.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use super::agreement::{Agreement, Prediction, outputs};
use super::calibrate;
use super::integers::{Range, Steps};
use super::options::{Calibration, QuantizeOptions};
use super::record::{Figures, RECORD, Record};
use super::rewrite::{rewrite, weighted};
use super::samples::{Runner, Samples};
use super::select::{Nodes, Selection};
use super::settings::settings_of;
use super::speed::speed_ratio;
use super::statement::CreateQuantized;
use crate::model::Model;
use crate::model::onnx::{Document, DocumentGraph};
use crate::model::runtime::{Cancellation, Provider};
use crate::model::settings::{MAX_MODEL_BYTES, read_bounded};
use crate::{Error, Result};

/// Fewest images: with fewer, half of them say nothing of ranges, and the others nothing of agreement.
const LEAST_IMAGES: usize = 10;

/// Images that the harm of a single node is measured on.
const HARM_IMAGES: usize = 8;

/// First version of ONNX's operators whose `DequantizeLinear` takes a scale for each channel, and the first with Q and
/// DQ at all.
const OPSETS: (i64, i64) = (13, 10);

/// Quantizes `source` and writes it into the folder `target`, which is replaced as a whole.
///
/// Blocks for as long as the model runs on the images several times over.
///
/// # Errors
/// A graph that can't be quantized, with the reason; too few images; less agreement than asked for; a folder that can't
/// be written; cancellation.
pub(crate) fn quantize(
    statement: &CreateQuantized,
    source: &Model,
    samples: Samples,
    target: &Path,
    cancellation: &Cancellation,
) -> Result<()> {
    let options = QuantizeOptions::of(&statement.name, &statement.options)?;
    let error = |reason| Error::Model { model: statement.name.clone(), reason };
    check_source(source).map_err(&error)?;
    let (calibration, aside) = samples.split();
    let count = calibration.images.len() + aside.images.len();
    if count < LEAST_IMAGES {
        return Err(error(format!(
            "the query gives {count} images that can be decoded; at least {LEAST_IMAGES} are needed, and 100 are better"
        )));
    }
    let parent = target.parent().unwrap_or(target);
    let describe =
        |reason: std::io::Error| error(format!("'{}' can't be written: {reason}", parent.display()));
    fs::create_dir_all(parent).map_err(describe)?;
    let home = parent.parent().unwrap_or(parent);
    let folder = tempfile::Builder::new().prefix(".quantize-").tempdir_in(home).map_err(describe)?;
    let attempt = Attempt::new(&statement.name, source, &options, folder.path(), Runner { cancellation })?;
    let ranges = attempt.ranges(&calibration)?;
    let (twin, figures) = attempt.search(&ranges, &aside)?;
    let file = folder.path().join("twin").join("model.onnx");
    let bytes = [&source.spec().file, &file].map(|file| fs::metadata(file).map_or(0, |file| file.len()));
    let figures = Figures {
        images: [calibration.images.len(), aside.images.len()],
        bytes,
        speed_ratio: speed_ratio(source, &twin, &aside, cancellation)?,
        ..figures
    };
    drop(twin);
    let twin = folder.path().join("twin");
    let texts = [
        ("seequel.json", serde_json::to_vec_pretty(&settings_of(source.spec()))),
        (RECORD, serde_json::to_vec_pretty(Record::new(source.spec(), &options, &figures).json())),
    ];
    for (name, text) in texts {
        let text = text.map_err(|reason| error(reason.to_string()))?;
        fs::write(twin.join(name), text).map_err(describe)?;
    }
    if let Some(keep) = &options.keep {
        fs::copy(&file, keep)
            .map_err(|reason| error(format!("'{}' can't be written: {reason}", keep.display())))?;
    }
    if target.exists() {
        fs::rename(target, folder.path().join("replaced")).map_err(describe)?;
    }
    fs::rename(twin, target).map_err(describe)
}

/// Why `source` can't be quantized, if it can't.
fn check_source(source: &Model) -> Result<(), String> {
    let spec = source.spec();
    let name = &spec.name;
    if source.provider().is_ok_and(|provider| provider != Provider::CPU) {
        return Err(format!("'{name}' runs on another device than the CPU, where integers are measured"));
    }
    if spec.image().is_none() || spec.numbers().next().is_some() {
        return Err(format!(
            "'{name}' takes numbers; calibration runs models that take an image and nothing else"
        ));
    }
    Ok(())
}

/// One model, quantized in one way or another.
struct Attempt<'a> {
    name: &'a str,
    source: &'a Model,
    options: &'a QuantizeOptions,
    folder: &'a Path,
    runner: Runner<'a>,
    /// The original, simplified: constants folded, normalisations merged into convolutions.
    document: Document,
}

impl<'a> Attempt<'a> {
    fn new(
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
        let (graph, source) = (self.graph()?, &self.source.spec().name);
        let is_quantized = |operator: &str| {
            operator.starts_with("QLinear")
                || operator.starts_with("Quantize")
                || operator.ends_with("Integer")
        };
        if let Some(node) = graph.nodes.iter().find(|node| is_quantized(&node.operator)) {
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
        let nodes = Nodes::of(graph);
        if weighted(graph, &Selection::new(&nodes, &BTreeSet::new())).is_empty() {
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

    fn graph(&self) -> Result<&DocumentGraph, String> {
        self.document.graph().ok_or_else(|| "it has no graph".to_owned())
    }

    fn error(&self, reason: String) -> Error {
        Error::Model { model: self.name.to_owned(), reason }
    }

    /// The selection of all nodes except `excluded`.
    fn selection(&self, excluded: &BTreeSet<String>) -> Result<Selection> {
        let graph = self.graph().map_err(|reason| self.error(reason))?;
        Ok(Selection::new(&Nodes::of(graph), excluded))
    }

    /// Finds the range of each tensor that may be quantized.
    fn ranges(&self, samples: &Samples) -> Result<HashMap<String, Range>> {
        let tensors = self.selection(&self.options.exclude)?.tensors;
        let mut document = self.document.clone();
        let output = calibrate::add_extremes(&mut document, &tensors, self.source.spec().fixed_batch);
        let model = self.variant("extremes", &document)?;
        let read = |outputs: &[_], _: &_| match outputs {
            [output] => calibrate::extremes(output),
            _ => Err("it gave no ranges".to_owned()),
        };
        let extremes = self.runner.map(&model, samples, &[output], read)?;
        let ranges = calibrate::covering(&extremes, &tensors);
        if self.options.calibration == Calibration::MinMax {
            return Ok(ranges);
        }
        let of: Vec<Range> = tensors.iter().filter_map(|tensor| ranges.get(tensor).copied()).collect();
        let mut document = self.document.clone();
        let outputs = calibrate::tensor_outputs(&document, &tensors);
        calibrate::add_tensors(&mut document, &tensors);
        let model = self.variant("tensors", &document)?;
        let images =
            self.runner.map(&model, samples, &outputs, |outputs, _| calibrate::count(outputs, &of))?;
        Ok(calibrate::narrowed(images, &tensors, self.options.calibration))
    }

    /// Quantizes as many nodes as agreement allows.
    fn search(&self, ranges: &HashMap<String, Range>, aside: &Samples) -> Result<(Model, Figures)> {
        let originals = self.predictions(self.source, aside)?;
        let (mut twin, mut agreement) = self.attempt(ranges, &[], aside, &originals)?;
        let mut left_out: Vec<String> = vec![];
        if agreement.share < self.options.min_agreement {
            let harmful = self.by_harm(ranges, aside)?;
            // As few as possible: doubled until it is enough, then halved the distance to the last that was not.
            let (mut too_few, mut enough) = (0, None);
            loop {
                let count = match enough {
                    None => (too_few * 2).clamp(1, harmful.len().saturating_sub(1)),
                    Some(enough) => too_few.midpoint(enough),
                };
                if count == too_few {
                    break;
                }
                let (next, agrees) = self.attempt(ranges, &harmful[..count], aside, &originals)?;
                if agrees.share < self.options.min_agreement {
                    agreement.share = agreement.share.max(agrees.share);
                    too_few = count;
                } else {
                    (twin, agreement, left_out, enough) =
                        (next, agrees, harmful[..count].to_vec(), Some(count));
                }
            }
            if enough.is_none() {
                return Err(self.disagrees(&agreement, aside.images.len()));
            }
        }
        let all =
            weighted(self.graph().map_err(|reason| self.error(reason))?, &self.selection(&BTreeSet::new())?)
                .len();
        let integer = all.saturating_sub(left_out.len() + self.options.exclude.len());
        let (images, bytes) = ([0; 2], [0; 2]);
        let figures =
            Figures { agreement, images, bytes, speed_ratio: 1.0, integer_nodes: [integer, all], left_out };
        Ok((twin, figures))
    }

    fn disagrees(&self, agreement: &Agreement, images: usize) -> Error {
        let (share, asked) = (agreement.share * 100.0, self.options.min_agreement * 100.0);
        self.error(format!(
            "it agrees with '{}' on {share:.1} % of {images} images at best, however many nodes stay in float32; \
             min_agreement asks for {asked:.1} %",
            self.source.spec().name
        ))
    }

    /// Quantizes all nodes but `left_out`, and compares the result.
    fn attempt(
        &self,
        ranges: &HashMap<String, Range>,
        left_out: &[String],
        aside: &Samples,
        originals: &[Prediction],
    ) -> Result<(Model, Agreement)> {
        let excluded = self.options.exclude.iter().chain(left_out).cloned().collect();
        let twin = self.variant("twin", &self.rewritten(ranges, &excluded)?)?;
        let predictions = self.predictions(&twin, aside)?;
        let agreement = Agreement::between(&self.source.spec().task, originals, &predictions);
        tracing::debug!("{}: {} nodes left out, agreement {:.4}", self.name, left_out.len(), agreement.share);
        Ok((twin, agreement))
    }

    /// The outputs of all weighted nodes, the one first whose integers alone change the predictions most.
    fn by_harm(&self, ranges: &HashMap<String, Range>, aside: &Samples) -> Result<Vec<String>> {
        let few = aside.first(HARM_IMAGES);
        let graph = self.graph().map_err(|reason| self.error(reason))?;
        let all = weighted(graph, &self.selection(&self.options.exclude)?);
        let names = outputs(self.source.spec());
        let numbers = |model: &Model| {
            self.runner.map(model, &few, &names, |outputs, _| {
                let floats = outputs.iter().filter_map(|output| output.floats(0));
                Ok(floats.flatten().copied().collect::<Vec<f32>>())
            })
        };
        let originals = numbers(self.source)?;
        let harm = |name: &String| {
            let excluded =
                all.iter().filter(|other| *other != name).chain(&self.options.exclude).cloned().collect();
            let alone = self.variant("alone", &self.rewritten(ranges, &excluded)?)?;
            let changed = numbers(&alone)?;
            let squares = originals.iter().flatten().zip(changed.iter().flatten());
            Ok((squares.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>(), name.clone()))
        };
        let mut harms = all.iter().map(harm).collect::<Result<Vec<_>>>()?;
        harms.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(harms.into_iter().map(|(_, name)| name).collect())
    }

    fn rewritten(&self, ranges: &HashMap<String, Range>, excluded: &BTreeSet<String>) -> Result<Document> {
        let steps = Steps { per_channel: self.options.per_channel, largest: largest_weight() };
        let folder = self.source.spec().file.parent().unwrap_or_else(|| Path::new("."));
        let rewritten = rewrite(&self.document, folder, &self.selection(excluded)?, ranges, steps);
        rewritten.map_err(|reason| self.error(reason))
    }

    fn predictions(&self, model: &Model, samples: &Samples) -> Result<Vec<Prediction>> {
        let spec = self.source.spec();
        let read = |outputs: &[_], placement: &_| Prediction::read(spec, outputs, placement);
        self.runner.map(model, samples, &outputs(spec), read)
    }

    /// The source with another graph, written into a folder of that name.
    fn variant(&self, name: &str, document: &Document) -> Result<Model> {
        let folder: PathBuf = self.folder.join(name);
        let describe = |reason| self.error(format!("'{}' can't be written: {reason}", folder.display()));
        fs::create_dir_all(&folder).map_err(describe)?;
        let file = folder.join("model.onnx");
        fs::write(&file, document.bytes()).map_err(describe)?;
        Ok(self.source.with_file(file))
    }
}

/// The largest integer for a weight. Without VNNI, x86 processors add pairs of products of 8-bit integers in 16 bits,
/// which overflow; with 7 bits for weights they do not (ONNX Runtime's documentation of `reduce_range`).
fn largest_weight() -> i8 {
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx512vnni") && !std::arch::is_x86_feature_detected!("avxvnni") {
        return 63;
    }
    127
}

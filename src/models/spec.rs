//! What Seequel knows about a model once `CREATE MODEL` has checked it: plain data, every question settled.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use datafusion::common::utils::datafusion_strsim::normalized_levenshtein;

use super::detector::Detector;
use super::graph::Port;
use super::inputs::{ImageSpec, ModelInput};
use super::keyword::{UnknownKeyword, keywords};
use super::labels::Labels;
use super::numbers::NumbersSpec;
use super::resources::Resources;
use super::settings::ResolvedSetting;

/// A model that can be loaded and fed without asking anything more; made by [`ModelSpec::resolve`].
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// Name given in `CREATE MODEL`.
    pub name: String,
    /// Absolute path of the ONNX file.
    pub file: PathBuf,
    /// SHA-256 of the ONNX file (not of tensors it keeps in other files), 64 lower-case hex digits.
    pub sha256: String,
    /// What the model is for.
    pub task: Task,
    /// What the model is given, in the order of the graph.
    pub inputs: Vec<ModelInput>,
    /// Rows the graph demands in every batch; `None` if it takes any number.
    pub fixed_batch: Option<usize>,
    /// The tensor the model gives, and how to read it.
    pub output: OutputSpec,
    /// The output that `embed` reads, if there is one for it.
    pub embedding: Option<EmbeddingSpec>,
    /// How `detect` reads boxes, if it can.
    pub detector: Option<Detector>,
    /// Every output of the graph that is a tensor of numbers or text, for `predict`.
    pub outputs: Vec<Port>,
    /// Names of the classes; empty if nobody named them.
    pub labels: Labels,
    /// Where and in what portions the model runs.
    pub resources: Resources,
    /// Every setting with its value and source, in the order of the documentation, for `DESCRIBE MODEL`.
    pub settings: Vec<ResolvedSetting>,
}

impl ModelSpec {
    /// The input that takes a picture, if there is one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageSpec> {
        self.inputs.iter().find_map(|input| match input {
            ModelInput::Image(image) => Some(image),
            ModelInput::Numbers(_) => None,
        })
    }

    /// The inputs that take numbers of columns, in the order of the graph.
    pub fn numbers(&self) -> impl Iterator<Item = &NumbersSpec> {
        self.inputs.iter().filter_map(|input| match input {
            ModelInput::Image(_) => None,
            ModelInput::Numbers(numbers) => Some(numbers),
        })
    }
}

/// What a model is for, by the names Hugging Face gives to tasks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Task {
    /// One score a class; `classify` and `classify_top_k`.
    ImageClassification,
    /// One vector an image; `embed`.
    FeatureExtraction,
    /// Boxes with a class each; `detect`.
    ObjectDetection,
    /// Anything else, for `predict`; in lower case.
    Other(String),
}

impl Task {
    const NAMED: [Self; 3] = [Self::ImageClassification, Self::FeatureExtraction, Self::ObjectDetection];

    /// Words at least this similar (0 to 1) to a named task are typing errors rather than tasks of their own:
    /// two letters in twenty differ, whereas `text-classification` scores 0.75 against `image-classification`.
    const TYPO: f64 = 0.85;
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ImageClassification => "image-classification",
            Self::FeatureExtraction => "feature-extraction",
            Self::ObjectDetection => "object-detection",
            Self::Other(task) => task,
        })
    }
}

/// A task is any word, but a near miss of a named one is refused.
impl FromStr for Task {
    type Err = UnknownKeyword;

    fn from_str(text: &str) -> Result<Self, UnknownKeyword> {
        let word = text.trim().to_ascii_lowercase();
        let similarity = |task: &Self| normalized_levenshtein(&task.to_string(), &word);
        if let Some(task) = Self::NAMED.into_iter().find(|task| task.to_string() == word) {
            return Ok(task);
        }
        if word.is_empty() || Self::NAMED.iter().any(|task| similarity(task) >= Self::TYPO) {
            let allowed = Self::NAMED.map(|task| task.to_string()).join(", ");
            return Err(UnknownKeyword { given: text.to_string(), allowed });
        }
        Ok(Self::Other(word))
    }
}

/// The image tensor a model takes: four dimensions, one of them the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Name of the input in the graph.
    pub name: String,
    /// Pixels from left to right, 1 to 16,384.
    pub width: u32,
    /// Pixels from top to bottom, 1 to 16,384.
    pub height: u32,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Number and order of the channels.
    pub channels: Channels,
    /// Type of the numbers.
    pub element: Element,
}

keywords! {
    /// Order of an image tensor's dimensions.
    pub enum Layout {
        /// Batch, channel, row, column.
        Nchw = "NCHW",
        /// Batch, row, column, channel.
        Nhwc = "NHWC",
    }
}

keywords! {
    /// Number and order of an image tensor's channels.
    pub enum Channels {
        /// Red, green, blue.
        Rgb = "RGB",
        /// Blue, green, red, as OpenCV has it.
        Bgr = "BGR",
        /// Luminance alone: a grey picture.
        L = "L",
    }
}

impl Channels {
    /// How many numbers a pixel has: 1 or 3.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3,
            Self::L => 1,
        }
    }
}

keywords! {
    /// Type of a tensor's numbers.
    pub enum Element {
        /// IEEE 754 single precision.
        F32 = "float32",
        /// IEEE 754 half precision.
        F16 = "float16",
        /// Bytes.
        U8 = "uint8",
    }
}

/// How a decoded picture becomes the numbers of the input tensor: input = (pixel × rescale − mean) / std.
#[derive(Debug, Clone, PartialEq)]
pub struct Preprocessing {
    /// Factor for a channel's byte, usually 1/255.
    pub rescale: f32,
    /// Subtracted after rescaling, in the order of the channels; a grey model uses the first.
    pub mean: [f32; 3],
    /// Divides last, in the order of the channels, each above 0; a grey model uses the first.
    pub std: [f32; 3],
    /// How a picture of another shape is made to fit.
    pub resize: Resize,
    /// Brightness of the bars that [`Resize::Letterbox`] adds, as a byte of all channels before rescaling.
    pub padding: u8,
    /// Share of the short side that [`Resize::Crop`] keeps, above 0 and at most 1.
    pub crop_fraction: f32,
    /// How new pixels are computed from old ones.
    pub interpolation: Interpolation,
}

keywords! {
    /// How a picture of another shape is made to fit the input.
    pub enum Resize {
        /// Cuts the centre out, then resizes it: the edges are lost.
        Crop = "crop",
        /// Resizes the whole picture: proportions are lost.
        Stretch = "stretch",
        /// Resizes the whole picture in proportion and pads the rest.
        Letterbox = "letterbox",
    }
}

keywords! {
    /// How new pixels are computed from old ones.
    pub enum Interpolation {
        /// The nearest pixel.
        Nearest = "nearest",
        /// A weighted mean of the neighbours, by a triangle.
        Bilinear = "bilinear",
        /// A weighted mean of the neighbours, by Catmull and Rom's cubic (a = −0.5).
        Bicubic = "bicubic",
        /// A weighted mean of the neighbours, by a sinc cut off at its third zero.
        Lanczos = "lanczos",
        /// The mean of the old pixels that a new one covers.
        Box = "box",
        /// A weighted mean of the neighbours, by a sinc under Hamming's window.
        Hamming = "hamming",
    }
}

/// The tensor a model gives, and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// Name of the output in the graph.
    pub name: String,
    /// Classes for [`Task::ImageClassification`], dimensions of the vector for [`Task::FeatureExtraction`]
    /// (both from a tensor `[batch, classes]` or `[batch, classes, 1, 1]`), else the number of labels.
    pub classes: usize,
    /// What still has to be applied to the numbers.
    pub activation: Activation,
}

/// The output that is an image's vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingSpec {
    /// Name of the output in the graph.
    pub name: String,
    /// Dimensions of the vector, at most 2^24.
    pub length: usize,
}

keywords! {
    /// Where among its outputs a classifier has the class of pictures that show none of its classes.
    pub enum Background {
        /// Nowhere: every output is a class.
        None = "none",
        /// At 0, before the first class, as classifiers of 1001 outputs have it that TensorFlow's Slim trained.
        First = "first",
        /// After the last class.
        Last = "last",
    }
}

keywords! {
    /// The function that makes scores of a model's last numbers.
    pub enum Activation {
        /// Scores of all classes add up to 1.
        Softmax = "softmax",
        /// Each score is between 0 and 1 by itself.
        Sigmoid = "sigmoid",
        /// The numbers are taken as they are.
        None = "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_its_own_is_kept() {
        assert_eq!("Depth-Estimation".parse(), Ok(Task::Other("depth-estimation".to_string())));
        assert_eq!("text-classification".parse(), Ok(Task::Other("text-classification".to_string())));
        assert_eq!("Image-Classification".parse(), Ok(Task::ImageClassification));
    }

    #[test]
    fn a_mistyped_task_is_refused() {
        let error = "image_clasification".parse::<Task>().map_err(|error| error.to_string());
        let expected =
            "'image_clasification' is not one of image-classification, feature-extraction, object-detection";
        assert_eq!(error, Err(expected.to_string()));
    }
}

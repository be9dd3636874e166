//! The messages of our operators.
//!
//! A message starts with [`MARK`], which none of Ballista's does, and the version that wrote it. Change [`FORMAT`] with
//! anything that a process of the former format would read wrong.

use datafusion::error::{DataFusionError, Result};
use datafusion_proto::protobuf;
use prost::Message;
use seequel_cluster::datafusion_proto;
use seequel_udfs::Request;

/// How messages of our operators start.
pub(in crate::cluster) const MARK: &[u8] = b"seequel\0";

/// The version of the messages.
const FORMAT: u32 = 6;

/// One of our operators.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Operator {
    /// What wrote it.
    #[prost(string, tag = "1")]
    pub(in crate::cluster) version: String,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7, 8")]
    pub(in crate::cluster) kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(in crate::cluster) enum Kind {
    /// Reads images; its input has the entries of their listing.
    #[prost(message, tag = "2")]
    Fetch(Box<ImagesScan>),
    #[prost(message, tag = "3")]
    Infer(Box<Infer>),
    /// Lists images.
    #[prost(message, tag = "4")]
    List(Box<ImagesScan>),
    #[prost(message, tag = "5")]
    Join(Join),
    #[prost(message, tag = "6")]
    Shards(Shards),
    /// Writes the rows of a task.
    #[prost(message, tag = "7")]
    Parts(Parts),
    /// Tells which rows of a task have failed.
    #[prost(message, tag = "8")]
    TellFailed(TellFailed),
}

/// The scan of an images table.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct ImagesScan {
    /// The location as the user wrote it, for messages.
    #[prost(string, tag = "1")]
    pub(in crate::cluster) written: String,
    /// The folder that the files are in and that the partition columns start from, or the file.
    #[prost(string, tag = "2")]
    pub(in crate::cluster) url: String,
    #[prost(string, repeated, tag = "3")]
    pub(in crate::cluster) partition_columns: Vec<String>,
    #[prost(uint32, repeated, tag = "4")]
    pub(in crate::cluster) projection: Vec<u32>,
    #[prost(uint64, optional, tag = "5")]
    pub(in crate::cluster) limit: Option<u64>,
    /// The files are those that match one of these.
    #[prost(string, repeated, tag = "6")]
    pub(in crate::cluster) patterns: Vec<String>,
    /// The files are these; all if there are neither files nor patterns.
    #[prost(string, repeated, tag = "7")]
    pub(in crate::cluster) files: Vec<String>,
    /// The only folder below the location that is listed.
    #[prost(string, optional, tag = "8")]
    pub(in crate::cluster) folder: Option<String>,
    /// On the columns that come from the listing.
    #[prost(message, optional, tag = "9")]
    pub(in crate::cluster) filter: Option<protobuf::PhysicalExprNode>,
    /// The files that are left out.
    #[prost(message, optional, tag = "10")]
    pub(in crate::cluster) finished: Option<Finished>,
}

/// The files that were finished when a run of a statement that continues began.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Finished {
    /// Its folder as the user wrote it, for messages.
    #[prost(string, tag = "1")]
    pub(in crate::cluster) written: String,
    #[prost(string, tag = "2")]
    pub(in crate::cluster) url: String,
    #[prost(string, tag = "3")]
    pub(in crate::cluster) run: String,
    /// Whether a file that has changed is another.
    #[prost(bool, tag = "4")]
    pub(in crate::cluster) by_version: bool,
}

/// Tells which rows of a task have failed.
#[derive(Clone, Copy, PartialEq, Message)]
pub(in crate::cluster) struct TellFailed {
    /// Whether each is listed, or all are only counted.
    #[prost(bool, tag = "1")]
    pub(in crate::cluster) lists: bool,
}

/// Reads tar files; its input has the entries of their listing.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Shards {
    /// The location as the user wrote it, for messages.
    #[prost(string, tag = "1")]
    pub(in crate::cluster) written: String,
    #[prost(string, tag = "2")]
    pub(in crate::cluster) url: String,
    #[prost(uint32, repeated, tag = "3")]
    pub(in crate::cluster) projection: Vec<u32>,
    #[prost(uint64, optional, tag = "4")]
    pub(in crate::cluster) limit: Option<u64>,
}

/// Inference.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Infer {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::cluster) calls: Vec<Call>,
    /// A field for each call.
    #[prost(message, optional, tag = "2")]
    pub(in crate::cluster) columns: Option<protobuf::Schema>,
    /// Names a row in errors.
    #[prost(message, optional, tag = "3")]
    pub(in crate::cluster) row: Option<protobuf::PhysicalExprNode>,
}

/// A join.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Join {
    /// DataFusion's message of it, over inputs without rows: those of the operator take their place.
    #[prost(message, optional, boxed, tag = "1")]
    pub(in crate::cluster) operator: Option<Box<protobuf::PhysicalPlanNode>>,
    /// Whether one task has all of both sides.
    #[prost(bool, tag = "2")]
    pub(in crate::cluster) in_one_task: bool,
}

/// What a task writes.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Parts {
    /// DataFusion's message of the operator that writes files, over an input without rows.
    #[prost(message, optional, boxed, tag = "1")]
    pub(in crate::cluster) writer: Option<Box<protobuf::PhysicalPlanNode>>,
    /// The folder as the user wrote it, for messages.
    #[prost(string, tag = "2")]
    pub(in crate::cluster) written: String,
    #[prost(string, tag = "3")]
    pub(in crate::cluster) url: String,
    /// Positions of the key's columns.
    #[prost(uint32, repeated, tag = "4")]
    pub(in crate::cluster) positions: Vec<u32>,
    /// The run of the statement.
    #[prost(string, tag = "5")]
    pub(in crate::cluster) run: String,
}

/// The function of a call within an expression, which has the inputs.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct CallInExpr {
    /// What wrote it.
    #[prost(string, tag = "1")]
    pub(in crate::cluster) version: String,
    #[prost(message, optional, tag = "2")]
    pub(in crate::cluster) call: Option<Call>,
}

/// A call of a model.
#[derive(Clone, PartialEq, Message)]
pub(in crate::cluster) struct Call {
    #[prost(enumeration = "Function", tag = "1")]
    pub(in crate::cluster) function: i32,
    /// Of `classify_top_k`.
    #[prost(uint64, tag = "2")]
    pub(in crate::cluster) k: u64,
    #[prost(message, repeated, tag = "3")]
    pub(in crate::cluster) inputs: Vec<protobuf::PhysicalExprNode>,
    #[prost(message, optional, tag = "4")]
    pub(in crate::cluster) predictor: Option<SentPredictor>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(in crate::cluster) enum Function {
    Unknown = 0,
    Classify = 1,
    ClassifyTopK = 2,
    Embed = 3,
    Detect = 4,
    Predict = 5,
    ImageError = 6,
    /// A function of an image, which is the only input.
    OfImage = 7,
}

/// A model, an ensemble or neither, as it travels.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentPredictor {
    /// Its name in SQL, empty if it has none.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    /// The model, or each member; none if images are only decoded.
    #[prost(message, repeated, tag = "2")]
    pub(crate) models: Vec<SentModel>,
    #[prost(message, optional, tag = "3")]
    pub(crate) ensemble: Option<SentEnsemble>,
}

/// A model.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentModel {
    /// Its specification, as JSON.
    #[prost(string, tag = "1")]
    pub(crate) spec: String,
    /// Its file, and those of its external weights.
    #[prost(message, repeated, tag = "2")]
    pub(crate) files: Vec<SentFile>,
    /// With which the client offers them.
    #[prost(string, tag = "3")]
    pub(crate) secret: String,
}

/// A file of a model.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentFile {
    /// Of weights: the path in the folder of the model. Empty for the model itself.
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(uint64, tag = "2")]
    pub(crate) bytes: u64,
    /// In lower-case hex.
    #[prost(string, tag = "3")]
    pub(crate) sha256: String,
}

/// What an ensemble is beside its members.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SentEnsemble {
    #[prost(string, tag = "1")]
    pub(crate) combine: String,
    #[prost(float, repeated, tag = "2")]
    pub(crate) weights: Vec<f32>,
}

/// What this process writes and reads.
pub(in crate::cluster) fn version() -> String {
    format!("{} (plans {FORMAT})", env!("CARGO_PKG_VERSION"))
}

/// Refuses what another version wrote.
///
/// # Errors
/// Another version than that of this process.
pub(in crate::cluster) fn check_version(theirs: &str) -> Result<()> {
    let ours = version();
    if theirs == ours {
        return Ok(());
    }
    Err(DataFusionError::Execution(format!(
        "the plan is of Seequel {theirs}, and this process is Seequel {ours}: run the same version on all machines \
         of the cluster, and where queries come from"
    )))
}

/// Writes `message` so that it is known for ours.
fn encode_marked(message: &impl Message, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.extend_from_slice(MARK);
    message.encode(buffer).map_err(|error| DataFusionError::External(Box::new(error)))
}

impl Operator {
    pub(in crate::cluster) fn encode_marked(kind: Kind, buffer: &mut Vec<u8>) -> Result<()> {
        encode_marked(&Self { version: version(), kind: Some(kind) }, buffer)
    }
}

impl CallInExpr {
    pub(in crate::cluster) fn encode_marked(call: Call, buffer: &mut Vec<u8>) -> Result<()> {
        encode_marked(&Self { version: version(), call: Some(call) }, buffer)
    }
}

impl Call {
    pub(in crate::cluster) fn of(
        request: Request,
        inputs: Vec<protobuf::PhysicalExprNode>,
        predictor: SentPredictor,
    ) -> Self {
        let (function, k) = match request {
            Request::Classify => (Function::Classify, 0),
            Request::ClassifyTopK { k } => (Function::ClassifyTopK, k as u64),
            Request::Embed => (Function::Embed, 0),
            Request::Detect => (Function::Detect, 0),
            Request::Predict => (Function::Predict, 0),
            Request::ImageError => (Function::ImageError, 0),
            Request::ImageFunction => (Function::OfImage, 0),
        };
        Self { function: function.into(), k, inputs, predictor: Some(predictor) }
    }

    /// What is requested; `None` if it is not known.
    pub(in crate::cluster) fn request(&self) -> Option<Request> {
        Some(match self.function() {
            Function::Classify => Request::Classify,
            Function::ClassifyTopK => Request::ClassifyTopK { k: usize::try_from(self.k).ok()? },
            Function::Embed => Request::Embed,
            Function::Detect => Request::Detect,
            Function::Predict => Request::Predict,
            Function::ImageError => Request::ImageError,
            Function::OfImage => Request::ImageFunction,
            Function::Unknown => return None,
        })
    }
}

//! Seequel's SQL functions, one a file, and the small trait through which they reach a model.
//!
//! ```text
//!  SELECT embed(image)  ──► Inference (a ScalarUDF: reads the arguments, asks for the type of the prediction)
//!                              │ most calls: taken out of the plan before it runs
//!                              └ CASE branches, lambdas: Models::predict, row batch by row batch
//!
//!  SELECT l2_distance(a, b) ──► VectorFunction<L2>: evaluated where it stands, as are all of plain_functions()
//! ```
//!
//! Nothing here knows ONNX, files or threads: an inference function is a *marker* that makes a call type-check in every
//! clause. The engine recognises [`Inference`] in a plan and runs it in an operator of its own; only calls that no
//! operator can reach come back through [`Models`].

mod images;
mod inference;
mod signature;
mod vectors;

pub use images::{ImageArray, check_image_type, decoded_image_type, image_column};
pub use inference::{
    Call, Inference, Models, Request, box_fields, classification_fields, classification_type,
    detection_fields, detections_type, embedding_type, ranked_class_fields, ranked_classes_type,
};
pub use signature::{arguments, listed_signature};
pub use vectors::{
    Cosine, CosineSimilarity, HammingDistance, Inner, InnerProduct, Kernel, L2, L2Distance, VectorFunction,
    plain_functions,
};

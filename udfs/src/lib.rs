//! Seequel's SQL functions, one per file, and the trait through which they access models.
//!
//! ```text
//!  SELECT embed(image)  ──► Inference (a ScalarUDF: reads the arguments, resolves the prediction's type)
//!                              │ most calls: replaced in the plan before it runs
//!                              └ CASE branches, lambdas: Models::predict, one record batch at a time
//!
//!  SELECT l2_distance(a, b) ──► VectorFunction<L2>: evaluated in place, like all of plain_functions()
//! ```
//!
//! This crate does not depend on ONNX, files or threads. An inference function is a *marker* that lets a call
//! type-check in every clause. The engine recognises [`Inference`] in a plan and runs it in a separate operator; only
//! calls that no operator can replace are evaluated through [`Models`].

mod images;
mod inference;
mod signature;
mod vectors;

pub use images::{ImageArray, check_image_type, decoded_image_type, image_column};
pub use inference::{
    Call, Inference, Models, Request, box_fields, classification_fields, classification_type,
    detection_fields, detections_type, embedding_type, model_position, ranked_class_fields,
    ranked_classes_type,
};
pub use signature::{arguments, listed_signature};
pub use vectors::{
    Cosine, CosineSimilarity, HammingDistance, Inner, InnerProduct, Kernel, L2, L2Distance, VectorFunction,
    plain_functions,
};

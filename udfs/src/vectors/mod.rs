//! Functions on vectors and hashes, one per file: evaluated in place, without a model.

mod columns;
mod cosine_similarity;
mod hamming_distance;
mod inner_product;
mod l2_distance;
mod vector_function;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub use cosine_similarity::{Cosine, CosineSimilarity};
pub use hamming_distance::HammingDistance;
pub use inner_product::{Inner, InnerProduct};
pub use l2_distance::{L2, L2Distance};
pub use vector_function::{Kernel, VectorFunction};

/// The functions that need neither models nor a decoder.
#[must_use]
pub fn plain_functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(CosineSimilarity::default())),
        Arc::new(ScalarUDF::new_from_impl(HammingDistance::default())),
        Arc::new(ScalarUDF::new_from_impl(InnerProduct::default())),
        Arc::new(ScalarUDF::new_from_impl(L2Distance::default())),
    ]
}

//! Functions of vectors, such as the embeddings of images, and of hashes.

use datafusion::logical_expr::{Expr, ScalarUDF, ScalarUDFImpl};
use seequel_udfs::{CosineSimilarity, HammingDistance, InnerProduct, L2Distance};

/// The cosine of the angle between two vectors: 1 for the same direction, 0 for a right angle, -1 for opposite ones.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::cosine_similarity;
///
/// let similarity = cosine_similarity(col("vector"), col("query"));
/// ```
pub fn cosine_similarity(a: Expr, b: Expr) -> Expr {
    call(CosineSimilarity::default(), vec![a, b])
}

/// The number of bits in which two hashes differ, 0 to 64.
///
/// ```
/// use datafusion::prelude::{col, lit};
/// use seequel::functions::hamming_distance;
///
/// let look_alike = hamming_distance(col("hash"), col("other_hash")).lt_eq(lit(8));
/// ```
pub fn hamming_distance(a: Expr, b: Expr) -> Expr {
    call(HammingDistance::default(), vec![a, b])
}

/// The sum of the products of two vectors' elements.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::inner_product;
///
/// let similarity = inner_product(col("vector"), col("query"));
/// ```
pub fn inner_product(a: Expr, b: Expr) -> Expr {
    call(InnerProduct::default(), vec![a, b])
}

/// The Euclidean distance between two vectors.
///
/// ```
/// use datafusion::prelude::col;
/// use seequel::functions::l2_distance;
///
/// let nearest_first = l2_distance(col("vector"), col("query")).sort(true, false);
/// ```
pub fn l2_distance(a: Expr, b: Expr) -> Expr {
    call(L2Distance::default(), vec![a, b])
}

fn call(function: impl ScalarUDFImpl + 'static, arguments: Vec<Expr>) -> Expr {
    ScalarUDF::new_from_impl(function).call(arguments)
}

//! `cosine_similarity(a, b)`: the similarity of two embeddings.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::vector_function::{Kernel, VectorFunction, documentation, sum_of};

/// The function `cosine_similarity(a, b)`: `Σ aᵢbᵢ / √(Σ aᵢ² · Σ bᵢ²)`, from -1 to 1.
///
/// DataFusion's `cosine_distance` is one minus this, up to rounding. Both are NULL for a vector of zeros.
pub type CosineSimilarity = VectorFunction<Cosine>;

/// The kernel of [`CosineSimilarity`].
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Cosine;

impl Kernel for Cosine {
    const NAME: &'static str = "cosine_similarity";
    const SIGNATURE: &'static str = "cosine_similarity(a, b)";

    fn measure<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B]) -> Option<f64> {
        // A single root of the product, so that equal vectors give exactly 1.
        let lengths = (sum_of(a, a, |x, y| x * y) * sum_of(b, b, |x, y| x * y)).sqrt();
        // Rounding may give slightly more than 1, which is not a valid cosine.
        (lengths != 0.0).then(|| (sum_of(a, b, |x, y| x * y) / lengths).clamp(-1.0, 1.0))
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            documentation(
                "The cosine of the angle between two vectors: 1 for the same direction, 0 for a right angle, -1 for opposite directions. NULL for a vector of zeros.",
                Cosine::SIGNATURE,
                "SELECT cosine_similarity([1.0, 2.0], [2.0, 4.0]);",
            )
        });
        &DOCUMENTATION
    }
}

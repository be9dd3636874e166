//! `l2_distance(a, b)`: the distance of two embeddings.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::vector_function::{Kernel, VectorFunction, documentation, sum_of};

/// The function `l2_distance(a, b)`: the Euclidean distance `√Σ (aᵢ - bᵢ)²`.
///
/// DataFusion's equivalent is `array_distance`, which casts and expands its arguments.
pub type L2Distance = VectorFunction<L2>;

/// The kernel of [`L2Distance`].
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct L2;

impl Kernel for L2 {
    const NAME: &'static str = "l2_distance";
    const SIGNATURE: &'static str = "l2_distance(a, b)";

    fn measure<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B]) -> Option<f64> {
        Some(sum_of(a, b, |x, y| (x - y) * (x - y)).sqrt())
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            documentation(
                "The Euclidean distance between two vectors.",
                L2::SIGNATURE,
                "SELECT l2_distance([1.0, 2.0], [4.0, 6.0]);",
            )
        });
        &DOCUMENTATION
    }
}

//! `inner_product(a, b)`: the dot product of two embeddings.

use std::sync::LazyLock;

use datafusion::logical_expr::Documentation;

use super::vector_function::{Kernel, VectorFunction, documentation, sum_of};

/// The function `inner_product(a, b)`, also called `dot_product`: `Σ aᵢbᵢ`.
///
/// It replaces DataFusion's function of these names, with the same results for all lists of numbers, NULLs and empty
/// vectors. DataFusion's function first casts every vector to a list of Float64 and repeats a literal for each row,
/// which writes and reads several times the bytes of the embeddings.
pub type InnerProduct = VectorFunction<Inner>;

/// The kernel of [`InnerProduct`].
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Inner;

impl Kernel for Inner {
    const NAME: &'static str = "inner_product";
    const SIGNATURE: &'static str = "inner_product(a, b)";

    fn measure<A: Into<f64> + Copy, B: Into<f64> + Copy>(a: &[A], b: &[B]) -> Option<f64> {
        Some(sum_of(a, b, |x, y| x * y))
    }

    fn aliases() -> &'static [String] {
        static ALIASES: LazyLock<[String; 1]> = LazyLock::new(|| ["dot_product".to_owned()]);
        ALIASES.as_slice()
    }

    fn documentation() -> &'static Documentation {
        static DOCUMENTATION: LazyLock<Documentation> = LazyLock::new(|| {
            documentation(
                "The sum of the products of two vectors' elements, which orders normalised embeddings as cosine_similarity does.",
                Inner::SIGNATURE,
                "SELECT inner_product([1.0, 2.0], [3.0, 4.0]);",
            )
        });
        &DOCUMENTATION
    }
}

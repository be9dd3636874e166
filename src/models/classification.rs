//! From a model's output to a class: activation, best class, confidence.

use super::spec::Activation;

/// The most probable class of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BestClass {
    /// Index into the model's output, from 0.
    pub(crate) class: usize,
    /// Probability, 0 to 1.
    pub(crate) confidence: f32,
}

/// The best class of one row of output values, or `None` if the row is empty or holds anything but numbers.
///
/// Softmax: `exp(x_i − max) / Σ exp(x_j − max)`, which for the largest value is `1 / Σ exp(x_j − max)`.
pub(crate) fn best_class(values: &[f32], activation: Activation) -> Option<BestClass> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let (class, best) = values.iter().copied().enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a })?;
    let confidence = match activation {
        Activation::Softmax => 1.0 / values.iter().map(|value| (value - best).exp()).sum::<f32>(),
        Activation::Sigmoid => 1.0 / (1.0 + (-best).exp()),
        Activation::None => best,
    };
    confidence.is_finite().then_some(BestClass { class, confidence })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_is_stable_for_large_logits() {
        let best = best_class(&[1000.0, 1001.0, 999.0], Activation::Softmax);
        let expected = 1.0 / (1.0 + (-1f32).exp() + (-2f32).exp());
        assert!(best.is_some_and(|best| best.class == 1 && (best.confidence - expected).abs() < 1e-6));
    }

    #[test]
    fn probabilities_pass_through_and_sigmoid_is_per_class() {
        assert_eq!(best_class(&[0.2, 0.7], Activation::None), Some(BestClass { class: 1, confidence: 0.7 }));
        assert_eq!(
            best_class(&[0.0, -4.0], Activation::Sigmoid),
            Some(BestClass { class: 0, confidence: 0.5 })
        );
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(best_class(&[0.5, 0.5], Activation::None).map(|best| best.class), Some(0));
    }

    #[test]
    fn not_a_number_is_no_answer() {
        assert_eq!(best_class(&[0.1, f32::NAN], Activation::Softmax), None);
        assert_eq!(best_class(&[f32::INFINITY, 0.0], Activation::Softmax), None);
        assert_eq!(best_class(&[], Activation::None), None);
    }
}

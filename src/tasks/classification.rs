//! Converts a classifier's output to confidences and best classes.

use super::output::Activation;

/// A class of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Class {
    /// Index into the model's output, from 0.
    pub(crate) class: usize,
    /// Probability, 0 to 1.
    pub(crate) confidence: f32,
}

/// The best class of one row of output values, or `None` if the row is empty or the result is not finite.
///
/// Softmax: `exp(x_i − max) / Σ exp(x_j − max)`, which for the largest value is `1 / Σ exp(x_j − max)`.
pub(crate) fn best_class(values: &[f32], activation: Activation) -> Option<Class> {
    let (class, best) = largest(values)?;
    let confidence = match activation {
        Activation::Softmax => 1.0 / values.iter().map(|value| (value - best).exp()).sum::<f32>(),
        Activation::Sigmoid => sigmoid(best),
        Activation::None => best,
    };
    confidence.is_finite().then_some(Class { class, confidence })
}

/// The confidences of all classes of one row of output values, or `None` if one is not finite.
pub(crate) fn confidences(values: &[f32], activation: Activation) -> Option<Vec<f32>> {
    let (_, best) = largest(values)?;
    let confidences: Vec<f32> = match activation {
        Activation::Softmax => {
            let sum = values.iter().map(|value| (value - best).exp()).sum::<f32>();
            values.iter().map(|value| (value - best).exp() / sum).collect()
        }
        Activation::Sigmoid => values.iter().copied().map(sigmoid).collect(),
        Activation::None => values.to_vec(),
    };
    confidences.iter().all(|confidence| confidence.is_finite()).then_some(confidences)
}

/// The `k` classes of highest confidence, best first, ties in order of class; all if there are fewer.
pub(crate) fn top_classes(confidences: &[f32], k: usize) -> Vec<Class> {
    let mut classes: Vec<_> = confidences
        .iter()
        .enumerate()
        .map(|(class, confidence)| Class { class, confidence: *confidence })
        .collect();
    let better = |a: &Class, b: &Class| b.confidence.total_cmp(&a.confidence).then(a.class.cmp(&b.class));
    if (1..classes.len()).contains(&k) {
        classes.select_nth_unstable_by(k - 1, better);
        classes.truncate(k);
    }
    classes.sort_unstable_by(better);
    classes
}

/// `1 / (1 + exp(−x))`.
pub(crate) fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

/// Index and value of the largest value, the first in case of ties; `None` if the slice is empty or contains NaN.
fn largest(values: &[f32]) -> Option<(usize, f32)> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    values.iter().copied().enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a })
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
        assert_eq!(best_class(&[0.2, 0.7], Activation::None), Some(Class { class: 1, confidence: 0.7 }));
        assert_eq!(best_class(&[0.0, -4.0], Activation::Sigmoid), Some(Class { class: 0, confidence: 0.5 }));
    }

    #[test]
    fn ties_go_to_the_first_class() {
        assert_eq!(best_class(&[0.5, 0.5], Activation::None).map(|best| best.class), Some(0));
    }

    #[test]
    fn non_finite_values_give_no_prediction() {
        assert_eq!(best_class(&[0.1, f32::NAN], Activation::Softmax), None);
        assert_eq!(best_class(&[f32::INFINITY, 0.0], Activation::Softmax), None);
        assert_eq!(best_class(&[], Activation::None), None);
        assert_eq!(confidences(&[0.1, f32::NAN], Activation::None), None);
        assert_eq!(confidences(&[f32::INFINITY, 0.0], Activation::Softmax), None);
    }

    #[test]
    fn confidences_agree_with_the_best_class() {
        for activation in [Activation::Softmax, Activation::Sigmoid, Activation::None] {
            let values = [0.3, 0.9, 0.5];
            let all = confidences(&values, activation).unwrap();
            assert_eq!(top_classes(&all, 1), [best_class(&values, activation).unwrap()]);
        }
    }

    #[test]
    fn top_classes_are_sorted_and_limited() {
        let numbers = |k| top_classes(&[0.1, 0.4, 0.1, 0.4], k).iter().map(|c| c.class).collect::<Vec<_>>();
        assert_eq!(numbers(3), [1, 3, 0]);
        assert_eq!(numbers(1), [1]);
        assert_eq!(numbers(9), [1, 3, 0, 2]);
    }
}

//! Means and products of the numbers that a layer multiplies by its weights.

/// Share of the mean variance that is added to each variance, so that rounding does not rely on what few images show.
const DAMPING: f64 = 0.01;

/// Sums over the patches that were seen.
#[derive(Debug, Clone)]
pub struct Moments {
    length: usize,
    count: usize,
    sums: Vec<f64>,
    /// Of each pair of numbers; only those whose first is not after the second are kept up to date.
    products: Vec<f64>,
}

impl Moments {
    /// For patches of `length` numbers.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { length, count: 0, sums: vec![0.0; length], products: vec![0.0; length * length] }
    }

    /// Adds patches: for each of their numbers, its values at `positions` positions.
    pub fn add(&mut self, patches: &[f32], positions: usize) {
        if positions == 0 || patches.len() != self.length * positions {
            return;
        }
        self.count += positions;
        let rows: Vec<&[f32]> = patches.chunks_exact(positions).collect();
        for (first, row) in rows.iter().enumerate() {
            self.sums[first] += row.iter().map(|number| f64::from(*number)).sum::<f64>();
            let products = &mut self.products[first * self.length..(first + 1) * self.length];
            for (product, other) in products[first..].iter_mut().zip(&rows[first..]) {
                *product += f64::from(dot(row, other));
            }
        }
    }

    /// The covariance of each pair of numbers, damped.
    pub(crate) fn covariance(&self) -> Vec<f32> {
        let (length, count) = (self.length, self.count.max(1) as f64);
        let mut covariance = vec![0.0; length * length];
        for first in 0..length {
            for second in first..length {
                let means = self.sums[first] * self.sums[second] / (count * count);
                let number = self.products[first * length + second] / count - means;
                covariance[first * length + second] = number as f32;
                covariance[second * length + first] = number as f32;
            }
        }
        let variances = (0..length).map(|number| f64::from(covariance[number * (length + 1)]));
        let damping = (DAMPING * variances.sum::<f64>() / length.max(1) as f64) as f32;
        (0..length).for_each(|number| covariance[number * (length + 1)] += damping);
        covariance
    }

    pub(crate) fn length(&self) -> usize {
        self.length
    }
}

/// The sum of products, in eight partial sums that a processor can keep in one register.
fn dot(first: &[f32], second: &[f32]) -> f32 {
    let ((firsts, first_rest), (seconds, second_rest)) = (first.as_chunks::<8>(), second.as_chunks::<8>());
    let mut sums = [0.0_f32; 8];
    for (first, second) in firsts.iter().zip(seconds) {
        for lane in 0..8 {
            sums[lane] += first[lane] * second[lane];
        }
    }
    let rest: f32 = first_rest.iter().zip(second_rest).map(|(first, second)| first * second).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn covariance_is_of_all_patches_together() {
        let mut moments = Moments::new(2);
        moments.add(&[1.0, 3.0, 2.0, 2.0], 2);
        moments.add(&[5.0, 5.0], 1);
        // Numbers 1, 3, 5 and 2, 2, 5: variances 8/3 and 2, covariance 2.
        let damping = 0.01 * (8.0 / 3.0 + 2.0) / 2.0;
        let expected = [8.0 / 3.0 + damping, 2.0, 2.0, 2.0 + damping];
        for (number, expected) in moments.covariance().iter().zip(expected) {
            assert!((f64::from(*number) - expected).abs() < 1e-5, "{number} {expected}");
        }
    }

    #[test]
    fn long_rows_are_added_up_whole() {
        let row: Vec<f32> = (0..19).map(|number| number as f32).collect();
        assert_eq!(dot(&row, &row), 2109.0);
    }
}

//! How sure a mean is: the bootstrap's percentile interval.
//!
//! Efron, "Bootstrap methods: another look at the jackknife", 1979: the mean of numbers that are drawn from the measured
//! ones, with repetition, again and again, varies as the mean of new measurements would.

/// Means that are drawn.
const DRAWS: usize = 1000;

/// The mean of `values`, with the ends of an interval that holds it in 95 of 100 cases. All three are the same for a
/// single value. The same values always give the same interval.
pub(super) fn interval(values: &[f64]) -> Option<[f64; 3]> {
    let mean = mean(values)?;
    let mut seed = 1;
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let drawn = values.iter().map(|_| values[draw(&mut seed, values.len())]);
            drawn.sum::<f64>() / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    Some([mean, means[DRAWS / 40], means[DRAWS - 1 - DRAWS / 40]])
}

pub(super) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// A number below `most`, by Knuth's MMIX generator.
fn draw(seed: &mut u64, most: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*seed >> 33) % most as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_about_the_mean_and_narrows_with_agreement() {
        assert_eq!(interval(&[]), None);
        assert_eq!(interval(&[3.0]), Some([3.0, 3.0, 3.0]));
        let [mean, low, high] = interval(&[9.0, 10.0, 11.0, 10.0]).unwrap();
        assert_eq!(mean, 10.0);
        assert!((9.0..10.0).contains(&low) && (10.0..=11.0).contains(&high), "{low} {high}");
        let [_, closer, _] = interval(&[9.9, 10.0, 10.1, 10.0]).unwrap();
        assert!(closer > low);
    }
}

//! Integers for the weights of a layer.

use std::thread;

use crate::Moments;

/// Times that all weights are visited. Few change after the second.
const SWEEPS: usize = 4;

/// Products from which on more threads than one are started.
const WORTH_THREADS: usize = 1 << 20;

/// Rounds `weights`, a row for each output, to integers in units of the row's scale, from `-largest` to `largest`.
///
/// Starts at the nearest integers, then moves one weight at a time to where the variance of the output's error is least,
/// given all others (coordinate descent). The error's mean is left to the bias.
#[must_use]
pub fn round(weights: &[f32], scales: &[f32], moments: &Moments, largest: i8) -> Vec<i8> {
    let length = moments.length();
    let mut integers = vec![0; weights.len()];
    if length == 0 || weights.len() != scales.len() * length {
        return integers;
    }
    let covariance = moments.covariance();
    let is_much = weights.len() * length > WORTH_THREADS;
    let threads = if is_much { thread::available_parallelism().map_or(1, usize::from) } else { 1 };
    let rows = scales.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let parts =
            integers.chunks_mut(rows * length).zip(weights.chunks(rows * length)).zip(scales.chunks(rows));
        for ((integers, weights), scales) in parts {
            let covariance = &covariance;
            let mut work = move || {
                let rows = integers.chunks_exact_mut(length).zip(weights.chunks_exact(length)).zip(scales);
                rows.for_each(|((integers, weights), scale)| {
                    round_row(integers, weights, *scale, covariance, largest)
                });
            };
            if threads == 1 {
                work();
            } else {
                scope.spawn(work);
            }
        }
    });
    integers
}

fn round_row(integers: &mut [i8], weights: &[f32], scale: f32, covariance: &[f32], largest: i8) {
    let (length, most) = (weights.len(), f32::from(largest));
    let row = |number: usize| &covariance[number * length..(number + 1) * length];
    // Half of the slope of the error's variance along each weight.
    let mut slopes = vec![0.0_f32; length];
    for (number, weight) in weights.iter().enumerate() {
        let nearest = (weight / scale).round().clamp(-most, most);
        integers[number] = nearest as i8;
        add(&mut slopes, nearest * scale - weight, row(number));
    }
    for _ in 0..SWEEPS {
        let mut is_changed = false;
        for number in 0..length {
            let (variance, old) = (row(number)[number], f32::from(integers[number]));
            if variance > 0.0 {
                let new = (old - slopes[number] / (variance * scale)).round().clamp(-most, most);
                if new != old {
                    integers[number] = new as i8;
                    add(&mut slopes, (new - old) * scale, row(number));
                    is_changed = true;
                }
            }
        }
        if !is_changed {
            break;
        }
    }
}

fn add(to: &mut [f32], factor: f32, numbers: &[f32]) {
    if factor != 0.0 {
        to.iter_mut().zip(numbers).for_each(|(to, number)| *to += factor * number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_that_occur_together_share_an_error() {
        let mut moments = Moments::new(2);
        moments.add(&[-1.0, 1.0, -1.0, 1.0], 2);
        // Both weights are 0.4: together they are nearer to 1 than to 0.
        let integers = round(&[0.4, 0.4], &[1.0], &moments, 127);
        assert_eq!(integers.iter().sum::<i8>(), 1);
        let mut apart = Moments::new(2);
        apart.add(&[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0], 4);
        assert_eq!(round(&[0.4, 0.4], &[1.0], &apart, 127), [0, 0]);
    }

    #[test]
    fn integers_stay_within_their_bounds() {
        let mut moments = Moments::new(1);
        moments.add(&[-1.0, 1.0], 2);
        assert_eq!(round(&[100.0, -100.0, 3.4], &[1.0, 1.0, 1.0], &moments, 63), [63, -63, 3]);
    }

    #[test]
    fn inputs_that_never_change_leave_the_nearest_integers() {
        let mut moments = Moments::new(2);
        moments.add(&[2.0, 2.0, 3.0, 3.0], 2);
        assert_eq!(round(&[0.4, 0.6], &[1.0], &moments, 127), [0, 1]);
    }
}

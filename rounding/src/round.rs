//! Integers for the weights of a layer.

use std::thread;

use crate::Moments;

/// Times that all weights are visited. Few change after the second.
const SWEEPS: usize = 4;

/// The largest integer for a weight.
pub const LARGEST: i8 = 127;

/// The largest sum of two weights of one sign whose products are added in 16 bits: 255 × 128 is the most that fits.
pub const LARGEST_PAIR: f32 = 128.0;

/// Products from which on more threads than one are started.
const WORTH_THREADS: usize = 1 << 20;

/// Rounds `weights`, a row for each output, to integers in units of the row's scale, from -[`LARGEST`] to [`LARGEST`].
///
/// Starts at the nearest integers, then moves one weight at a time to where the variance of the output's error is least,
/// given all others (coordinate descent). The error's mean is left to the bias.
///
/// The product of the weight `partners[n]` of a row and that of `n` are added in 16 bits, and never overflow; a weight
/// that is its own partner is added in 32.
#[must_use]
pub fn round(weights: &[f32], scales: &[f32], moments: &Moments, partners: &[usize]) -> Vec<i8> {
    let length = moments.length();
    let mut integers = vec![0; weights.len()];
    if length == 0 || weights.len() != scales.len() * length || partners.len() != length {
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
                    round_row(integers, weights, *scale, covariance, partners)
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

fn round_row(integers: &mut [i8], weights: &[f32], scale: f32, covariance: &[f32], partners: &[usize]) {
    let length = weights.len();
    let row = |number: usize| &covariance[number * length..(number + 1) * length];
    // Half of the slope of the error's variance along each weight.
    let mut slopes = vec![0.0_f32; length];
    for (number, weight) in weights.iter().enumerate() {
        let nearest = within_bounds((weight / scale).round(), number, integers, partners);
        integers[number] = nearest as i8;
        add(&mut slopes, nearest * scale - weight, row(number));
    }
    for _ in 0..SWEEPS {
        let mut is_changed = false;
        for number in 0..length {
            let (variance, old) = (row(number)[number], f32::from(integers[number]));
            if variance > 0.0 {
                let best = (old - slopes[number] / (variance * scale)).round();
                let new = within_bounds(best, number, integers, partners);
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

/// The integer nearest to `integer` that the weight may have beside its partner.
fn within_bounds(integer: f32, number: usize, integers: &[i8], partners: &[usize]) -> f32 {
    let (most, partner) = (f32::from(LARGEST), partners[number]);
    let beside = if partner == number { 0.0 } else { f32::from(integers[partner]) };
    let least = (-LARGEST_PAIR - beside.min(0.0)).max(-most);
    integer.clamp(least, (LARGEST_PAIR - beside.max(0.0)).min(most))
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
        let integers = round(&[0.4, 0.4], &[1.0], &moments, &[0, 1]);
        assert_eq!(integers.iter().sum::<i8>(), 1);
        let mut apart = Moments::new(2);
        apart.add(&[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0], 4);
        assert_eq!(round(&[0.4, 0.4], &[1.0], &apart, &[0, 1]), [0, 0]);
    }

    #[test]
    fn integers_stay_within_their_bounds() {
        let mut moments = Moments::new(1);
        moments.add(&[-1.0, 1.0], 2);
        assert_eq!(round(&[200.0, -200.0, 3.4], &[1.0, 1.0, 1.0], &moments, &[0]), [127, -127, 3]);
    }

    #[test]
    fn partners_of_one_sign_are_small_enough_to_be_added() {
        let mut moments = Moments::new(2);
        moments.add(&[-1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, 1.0], 4);
        let rows = [100.0, 90.0, -100.0, -90.0, 100.0, -90.0];
        let round = |partners| round(&rows, &[1.0, 1.0, 1.0], &moments, partners);
        assert_eq!(round(&[1, 0]), [100, 28, -100, -28, 100, -90]);
        assert_eq!(round(&[0, 1]), [100, 90, -100, -90, 100, -90]);
    }

    #[test]
    fn inputs_that_never_change_leave_the_nearest_integers() {
        let mut moments = Moments::new(2);
        moments.add(&[2.0, 2.0, 3.0, 3.0], 2);
        assert_eq!(round(&[0.4, 0.6], &[1.0], &moments, &[0, 1]), [0, 1]);
    }
}

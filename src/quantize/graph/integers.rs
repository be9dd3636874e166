//! Numbers as integers: `real = scale × (integer − zero)`.

use seequel_rounding::LARGEST;

use super::pairs::widen;

/// Numbers that a tensor takes, as seen in calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Range {
    pub(crate) low: f32,
    pub(crate) high: f32,
}

/// How activations of one tensor become unsigned 8-bit integers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::quantize) struct Activation {
    pub(in crate::quantize) scale: f32,
    pub(in crate::quantize) zero: u8,
}

impl Activation {
    /// Spreads a range, extended to zero, over 0 to 255. Zero itself is exact, since convolutions pad with it.
    ///
    /// `None` for a range that is not finite.
    pub(in crate::quantize) fn of(range: Range) -> Option<Self> {
        let (low, high) = (range.low.min(0.0), range.high.max(0.0));
        if !(low.is_finite() && high.is_finite()) {
            return None;
        }
        let scale = ((f64::from(high) - f64::from(low)) / 255.0) as f32;
        if scale < f32::MIN_POSITIVE {
            return Some(Self { scale: 1.0, zero: 0 });
        }
        Some(Self { scale, zero: (-low / scale).round().clamp(0.0, 255.0) as u8 })
    }
}

/// Weights as signed 8-bit integers, with a scale for each channel or one for all.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::quantize) struct Weights {
    pub(in crate::quantize) integers: Vec<i8>,
    pub(in crate::quantize) scales: Vec<f32>,
    pub(in crate::quantize) dims: Vec<i64>,
    /// The dimension of the channels.
    pub(in crate::quantize) axis: usize,
}

/// How finely weights are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::quantize) struct Steps {
    /// A scale for each channel instead of one for all.
    pub(in crate::quantize) per_channel: bool,
    /// Whether the processor adds two products at a time in 16 bits.
    pub(in crate::quantize) adds_pairs: bool,
}

impl Weights {
    /// Rounds `numbers` of shape `dims`, whose channels are along `axis`. `bias` is in units of `input` × scale, so each
    /// scale is large enough for its number of the bias to be a 32-bit integer. `partners` has for each weight of an
    /// output the other one of its pair.
    ///
    /// `None` if the shape does not fit or a number is not finite.
    pub(in crate::quantize) fn of(
        numbers: &[f32],
        dims: &[i64],
        axis: usize,
        bias: Option<(&[f32], Activation)>,
        partners: &[usize],
        per_channel: bool,
    ) -> Option<Self> {
        let lengths: Vec<usize> =
            dims.iter().map(|length| usize::try_from(*length).ok()).collect::<Option<_>>()?;
        let channels = *lengths.get(axis)?;
        let inner: usize = lengths.get(axis + 1..)?.iter().product();
        if channels == 0 || inner == 0 || numbers.len() != lengths.iter().product::<usize>() {
            return None;
        }
        let channel = |position: usize| (position / inner) % channels;
        let mut largest = vec![0.0_f32; channels];
        for (position, number) in numbers.iter().enumerate() {
            if !number.is_finite() {
                return None;
            }
            let largest = &mut largest[channel(position)];
            *largest = largest.max(number.abs());
        }
        let mut scales: Vec<f32> = largest.iter().map(|number| number / f32::from(LARGEST)).collect();
        let seen = numbers.len() / channels;
        widen(&mut scales, partners, |channel, number| match axis {
            0 => numbers[channel * seen + number],
            _ => numbers[number * channels + channel],
        });
        if let Some((bias, input)) = bias {
            if bias.len() != channels {
                return None;
            }
            for (scale, bias) in scales.iter_mut().zip(bias) {
                *scale = scale.max(bias.abs() / (input.scale * (1 << 30) as f32));
            }
        }
        if !per_channel {
            scales = vec![scales.iter().copied().fold(0.0, f32::max); channels];
        }
        for scale in &mut scales {
            if *scale < f32::MIN_POSITIVE {
                *scale = 1.0;
            }
        }
        let integer = |(position, number): (usize, &f32)| (number / scales[channel(position)]).round() as i8;
        let integers = numbers.iter().enumerate().map(integer).collect();
        Some(Self { integers, scales, dims: dims.to_vec(), axis })
    }

    /// A bias in units of `input` × the scale of its channel.
    pub(in crate::quantize) fn bias(&self, bias: &[f32], input: Activation) -> Vec<i32> {
        bias.iter()
            .zip(&self.scales)
            .map(|(number, scale)| {
                (f64::from(*number) / (f64::from(input.scale) * f64::from(*scale))).round() as i32
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(numbers: &[f32], dims: &[i64], axis: usize, partners: &[usize]) -> Option<Weights> {
        Weights::of(numbers, dims, axis, None, partners, true)
    }

    #[test]
    fn zero_is_exact_and_the_ends_of_the_range_are_those_of_the_integers() {
        let of = |low, high| Activation::of(Range { low, high });
        assert_eq!(of(0.0, 6.0), Some(Activation { scale: 6.0 / 255.0, zero: 0 }));
        assert_eq!(of(-1.0, 1.0), Some(Activation { scale: 2.0 / 255.0, zero: 127 }));
        assert_eq!(of(2.0, 4.0), Some(Activation { scale: 4.0 / 255.0, zero: 0 }));
        assert_eq!(of(-5.0, -1.0).map(|activation| activation.zero), Some(255));
        assert_eq!(of(0.0, 0.0), Some(Activation { scale: 1.0, zero: 0 }));
        assert_eq!(of(0.0, f32::INFINITY), None);
        assert_eq!(of(f32::NAN, f32::NAN).map(|activation| activation.zero), Some(0));
    }

    #[test]
    fn each_channel_has_the_scale_of_its_largest_weight() {
        let numbers = [1.27, -0.5, 0.127, 0.0];
        let rows = weights(&numbers, &[2, 2], 0, &[0, 1]);
        assert_eq!(rows.map(|weights| weights.integers), Some(vec![127, -50, 127, 0]));
        let columns = weights(&numbers, &[2, 2], 1, &[0, 1]);
        assert_eq!(columns.map(|weights| weights.integers), Some(vec![127, -127, 13, 0]));
        let one = Weights::of(&numbers, &[2, 2], 0, None, &[0, 1], false);
        assert_eq!(one.map(|weights| weights.integers), Some(vec![127, -50, 13, 0]));
    }

    #[test]
    fn pairs_of_one_sign_are_small_enough_to_be_added() {
        let of = |numbers: &[f32], dims: &[i64], axis, partners: &[usize]| {
            weights(numbers, dims, axis, partners).map(|weights| weights.integers)
        };
        // Signs that differ cancel out.
        assert_eq!(of(&[1.0, -1.0, 1.0, 1.0], &[2, 2], 0, &[1, 0]), Some(vec![127, -127, 64, 64]));
        // The third and fourth are a pair, the second and third are not.
        assert_eq!(of(&[0.0, 1.0, 1.0, 0.0], &[1, 4], 0, &[1, 0, 3, 2]), Some(vec![0, 127, 127, 0]));
        assert_eq!(of(&[1.0, 0.5, 1.0, 0.25], &[2, 2], 1, &[1, 0]), Some(vec![64, 85, 64, 42]));
    }

    #[test]
    fn a_bias_is_an_integer_even_beside_weights_that_are_nearly_zero() {
        let input = Activation { scale: 0.1, zero: 0 };
        let bias = [2.0, 3.0];
        let weights = Weights::of(&[1.27, 1e-30], &[2, 1], 0, Some((&bias, input)), &[0], true);
        let bias = weights.map(|weights| weights.bias(&bias, input)).unwrap_or_default();
        assert_eq!(bias[0], 2000);
        assert!((bias[1] - (1 << 30)).abs() < 100, "{bias:?}");
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        assert_eq!(weights(&[1.0; 3], &[2, 2], 0, &[0, 1]), None);
        assert_eq!(weights(&[1.0; 4], &[2, 2], 2, &[0, 1]), None);
        assert_eq!(weights(&[f32::NAN; 4], &[2, 2], 0, &[0, 1]), None);
    }
}

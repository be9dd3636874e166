//! Weights whose products are added two at a time in 16 bits.
//!
//! x86 processors without VNNI multiply 8-bit integers and add the products in pairs, with saturation
//! (`vpmaddubsw`). ONNX Runtime's documentation recommends seven bits for weights there (`reduce_range`); it is enough
//! to bound the sum of the two weights of a pair, which costs half as much accuracy.
//!
//! ```text
//!  input     255  255    9    0 …
//!  weights   100   28  127  -90 …      the third and fourth cancel out
//!            └─ + ─┘    └─ + ─┘        255 × (100 + 28) is the most that fits
//! ```

use seequel_rounding::LARGEST_PAIR;

/// The largest sum of two weights of one sign before they are rounded, which may move each of them by a half.
const LARGEST_SUM: f32 = LARGEST_PAIR - 1.0;

/// For each weight of an output, in the order of the file, the other one of its pair: the second for the first, the
/// fourth for the third, and so on, in ONNX Runtime's order, which has the channels of a position side by side.
/// `window` has the positions of a convolution. The last of an odd number of weights is its own.
pub(super) fn pairs(length: usize, window: usize) -> Vec<usize> {
    let channels = (length / window.max(1)).max(1);
    let partner = |number: usize| {
        let other = (number % window * channels + number / window) ^ 1;
        if other < length { other % channels * window + other / channels } else { number }
    };
    (0..length).map(partner).collect()
}

/// Raises the scale of each channel until no pair of its weights can overflow. `at` gives a weight by its channel and
/// its number.
pub(super) fn widen(scales: &mut [f32], partners: &[usize], at: impl Fn(usize, usize) -> f32) {
    for (channel, scale) in scales.iter_mut().enumerate() {
        for (number, partner) in partners.iter().enumerate().filter(|(number, partner)| number < partner) {
            let (one, other) = (at(channel, number), at(channel, *partner));
            if one * other > 0.0 {
                *scale = scale.max((one + other).abs() / LARGEST_SUM);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_a_position_are_side_by_side() {
        assert_eq!(pairs(5, 1), [1, 0, 3, 2, 4]);
        // Two channels of a window of three: each with the other at the same position.
        assert_eq!(pairs(6, 3), [3, 4, 5, 0, 1, 2]);
        // Three channels of a window of two, in the kernel's order: 0 2 4 1 3 5.
        assert_eq!(pairs(6, 2), [2, 4, 0, 5, 1, 3]);
        assert!(pairs(0, 1).is_empty());
    }
}

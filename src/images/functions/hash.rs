//! The perceptual hash: 64 bits that are similar for images that look alike.
//!
//! ```text
//!  image ─► 32 × 32 greys ─► DCT-II ─► its 8 × 8 lowest frequencies ─► above their median? ─► 64 bits
//! ```
//!
//! It equals the `phash` of Python's ImageHash (hash_size 8, highfreq_factor 4) bit for bit, except for rounding of
//! coefficients close to the median: the 8 × 8 coefficients, including that of the mean brightness, row by row from
//! vertical frequency 0, the first in the highest bit.

use std::f64::consts::PI;

/// Side of the grey image that is transformed.
pub(crate) const SIDE: u32 = 32;
const GREYS: usize = SIDE as usize;
/// Number of frequencies kept in each direction.
const FREQUENCIES: usize = 8;

/// Rec. 601 luma weights, as in Pillow's `convert("L")`.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];

/// Minimum distance of a coefficient above the median: larger than the rounding errors of the sums, which would
/// otherwise determine the hash of a uniform grey, and far smaller than the effect of one grey level.
const ROUNDING: f64 = 1e-6;

/// The hash of `pixels`, 32 × 32 of RGB.
pub(crate) fn hash(pixels: &[u8]) -> u64 {
    let coefficients = low_frequencies(&greys(pixels));
    let mut sorted = coefficients;
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let median = f64::midpoint(sorted[middle - 1], sorted[middle]);
    let bit = |coefficient: &f64| u64::from(*coefficient > median + ROUNDING);
    coefficients.iter().fold(0, |hash, coefficient| hash << 1 | bit(coefficient))
}

fn greys(pixels: &[u8]) -> [f64; GREYS * GREYS] {
    let mut greys = [0.0; GREYS * GREYS];
    for (grey, pixel) in greys.iter_mut().zip(pixels.chunks_exact(LUMA.len())) {
        let luma: f64 = pixel.iter().zip(LUMA).map(|(value, weight)| f64::from(*value) * weight).sum();
        *grey = luma.round();
    }
    greys
}

/// The lowest coefficients of the two-dimensional DCT-II, not normalised: `Σ Σ grey(x, y) · cos u(x) · cos v(y)`.
fn low_frequencies(greys: &[f64; GREYS * GREYS]) -> [f64; FREQUENCIES * FREQUENCIES] {
    let basis = basis();
    let mut coefficients = [0.0; FREQUENCIES * FREQUENCIES];
    for row in 0..GREYS {
        let line = &greys[row * GREYS..][..GREYS];
        for (u, wave) in basis.iter().enumerate() {
            let horizontal: f64 = line.iter().zip(wave).map(|(grey, cosine)| grey * cosine).sum();
            for (v, wave) in basis.iter().enumerate() {
                coefficients[v * FREQUENCIES + u] += horizontal * wave[row];
            }
        }
    }
    coefficients
}

/// `cos(π k (2n + 1) / 64)` for each frequency `k` and position `n`.
fn basis() -> [[f64; GREYS]; FREQUENCIES] {
    std::array::from_fn(|frequency| {
        std::array::from_fn(|position| {
            (PI * frequency as f64 * (2 * position + 1) as f64 / (2 * GREYS) as f64).cos()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(grey: impl Fn(usize, usize) -> u8) -> u64 {
        let pixels: Vec<u8> = (0..GREYS)
            .flat_map(|y| (0..GREYS).map(move |x| (x, y)))
            .flat_map(|(x, y)| [grey(x, y); 3])
            .collect();
        hash(&pixels)
    }

    #[test]
    fn a_uniform_image_sets_only_the_brightness_bit() {
        assert_eq!(hash_of(|_, _| 0), 0);
        for grey in [1, 100, 255] {
            assert_eq!(hash_of(|_, _| grey), 1 << 63, "{grey}");
        }
    }

    #[test]
    fn a_ramp_sets_the_lowest_frequency_of_its_direction() {
        // The cosine of the lowest frequency falls from left to right, or from top to bottom.
        let bit = |u: u32, v: u32| 1_u64 << (63 - 8 * v - u);
        let right = hash_of(|x, _| 255 - 8 * x as u8);
        assert_eq!(right & (bit(0, 0) | bit(1, 0) | bit(0, 1)), bit(0, 0) | bit(1, 0));
        let down = hash_of(|_, y| 255 - 8 * y as u8);
        assert_eq!(down & (bit(0, 0) | bit(1, 0) | bit(0, 1)), bit(0, 0) | bit(0, 1));
    }

    #[test]
    fn brightness_and_contrast_do_not_change_the_hash() {
        let pattern = |x: usize, y: usize| (x * x + 3 * y + x * y) as u8 % 100;
        let hash = hash_of(pattern);
        assert_eq!(hash_of(|x, y| pattern(x, y) + 50), hash);
        assert_eq!(hash_of(|x, y| pattern(x, y) * 2), hash);
    }
}

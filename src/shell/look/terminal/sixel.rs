//! Sixels: bands of six lines, each drawn colour by colour from a palette of 256.
//!
//! ```text
//!  ESC P 0;1 q "1;1;W;H   #0;2;R;G;B …   #0 characters $ #1 characters - (next band) …   ESC \
//!                         palette, in %  a character is a column of six pixels
//! ```

use std::fmt::Write;

use color_quant::NeuQuant;
use image::RgbaImage;
use itertools::Itertools;

/// Colours of the palette.
const COLOURS: usize = 256;
/// Pixels that the palette is learnt from; more would take longer than they improve it.
const SAMPLES: u32 = 40_000;
/// Lines of a band.
const BAND: u32 = 6;
/// Added to the six bits of a character.
const FIRST_CHARACTER: u8 = b'?';

/// An image as sixels; transparent pixels are left as they are on the screen.
pub(crate) fn sixel(pixels: &RgbaImage) -> String {
    let (width, height) = pixels.dimensions();
    // Of so many pixels, one is learnt from.
    let sampling = (width * height / SAMPLES).clamp(1, 30);
    let quantizer = NeuQuant::new(sampling.cast_signed(), COLOURS, pixels.as_raw());
    let mut text = format!("\x1bP0;1q\"1;1;{width};{height}");
    for (index, colour) in quantizer.color_map_rgb().chunks_exact(3).enumerate() {
        let [red, green, blue] = [colour[0], colour[1], colour[2]].map(|level| u32::from(level) * 100 / 255);
        // Writing to a String can't fail.
        let _ = write!(text, "#{index};2;{red};{green};{blue}");
    }
    for top in (0..height).step_by(BAND as usize) {
        band(&mut text, pixels, top, &quantizer);
    }
    text + "\x1b\\"
}

fn band(text: &mut String, pixels: &RgbaImage, top: u32, quantizer: &NeuQuant) {
    let width = pixels.width() as usize;
    // For each colour of the band, a character a column.
    let mut columns: Vec<Option<Vec<u8>>> = vec![None; COLOURS];
    for y in top..pixels.height().min(top + BAND) {
        for x in 0..pixels.width() {
            let pixel = pixels.get_pixel(x, y).0;
            if pixel[3] < 128 {
                continue;
            }
            let colour = quantizer.index_of(&pixel);
            let bits = columns[colour].get_or_insert_with(|| vec![0; width]);
            bits[x as usize] |= 1 << (y - top);
        }
    }
    for (colour, bits) in columns.iter().enumerate() {
        let Some(bits) = bits else { continue };
        let _ = write!(text, "#{colour}");
        for (count, bits) in bits.iter().dedup_with_count() {
            let character = char::from(FIRST_CHARACTER + bits);
            let _ = if count > 3 {
                write!(text, "!{count}{character}")
            } else {
                write!(text, "{}", character.to_string().repeat(count))
            };
        }
        text.push('$');
    }
    text.push('-');
}

#[cfg(test)]
mod tests {
    use image::Rgba;

    use super::*;

    /// The colour in % of each pixel that sixels draw.
    fn drawn(text: &str) -> Vec<((u32, u32), [u32; 3])> {
        let body = text.split_once('q').unwrap().1.strip_suffix("\x1b\\").unwrap();
        let (mut palette, mut pixels) = (vec![[0; 3]; COLOURS], vec![]);
        let (mut x, mut top, mut colour, mut count) = (0, 0, 0, 1);
        let mut rest = body.trim_start_matches(|c: char| c == '"' || c == ';' || c.is_ascii_digit());
        while let Some(first) = rest.chars().next() {
            let numbers = rest[1..].split(|c: char| c != ';' && !c.is_ascii_digit()).next().unwrap();
            let values: Vec<u32> = numbers.split(';').filter_map(|number| number.parse().ok()).collect();
            rest = &rest[1..];
            match first {
                '#' => {
                    colour = values[0] as usize;
                    if let [_, 2, red, green, blue] = values[..] {
                        palette[colour] = [red, green, blue];
                    }
                    rest = &rest[numbers.len()..];
                }
                '!' => {
                    count = values[0];
                    rest = &rest[numbers.len()..];
                }
                '$' => x = 0,
                '-' => (x, top) = (0, top + BAND),
                character => {
                    let bits = character as u8 - FIRST_CHARACTER;
                    for column in x..x + count {
                        let set = (0..BAND).filter(|line| bits & (1 << line) != 0);
                        pixels.extend(set.map(|line| ((column, top + line), palette[colour])));
                    }
                    (x, count) = (x + count, 1);
                }
            }
        }
        pixels
    }

    #[test]
    fn every_opaque_pixel_is_drawn_once_near_its_colour() {
        let pixels = RgbaImage::from_fn(200, 121, |x, y| match (x < 100, y < 80) {
            (true, true) => Rgba([255, 0, 0, 255]),
            (true, false) => Rgba([0, 0, 255, 255]),
            (false, true) => Rgba([0, 255, 0, 255]),
            (false, false) => Rgba([9, 9, 9, 0]),
        });
        let mut drawn = drawn(&sixel(&pixels));
        drawn.sort_unstable();
        let opaque = pixels.enumerate_pixels().filter(|(_, _, pixel)| pixel.0[3] == 255);
        let mut expected: Vec<_> = opaque.map(|(x, y, pixel)| ((x, y), pixel.0)).collect();
        expected.sort_unstable();
        assert_eq!(drawn.len(), expected.len());
        for ((place, colour), (expected_place, expected)) in drawn.iter().zip(expected) {
            assert_eq!(*place, expected_place);
            let near = colour.iter().zip(expected).all(|(a, b)| a.abs_diff(u32::from(b) * 100 / 255) < 15);
            assert!(near, "{place:?}: {colour:?} should be {expected:?}");
        }
    }
}

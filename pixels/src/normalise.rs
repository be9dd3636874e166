//! RGB pixels as a slot of a model's tensor, and CMYK pixels as RGB.

use half::f16;

/// Rec. 601 luma weights in 1/65536, as Pillow's `convert("L")` has them.
const LUMA: [u32; 3] = [19_595, 38_470, 7_471];

/// What a channel of a tensor is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A channel of the RGB pixel: 0 is red, 1 green, 2 blue.
    Channel(usize),
    /// The luma of the pixel.
    Luma,
}

/// The order of a tensor's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Channel after channel: CHW.
    Planar,
    /// Pixel after pixel: HWC.
    Interleaved,
}

/// One image's part of a tensor.
#[derive(Debug)]
pub enum Target<'a> {
    /// Single precision.
    F32(&'a mut [f32]),
    /// Half precision.
    F16(&'a mut [f16]),
    /// Bytes.
    U8(&'a mut [u8]),
    /// 16 bits, unsigned.
    U16(&'a mut [u16]),
    /// 16 bits, signed.
    I16(&'a mut [i16]),
    /// 32 bits, signed.
    I32(&'a mut [i32]),
    /// 64 bits, signed.
    I64(&'a mut [i64]),
}

/// Writes interleaved RGB `pixels` into `target`: a channel for each of `sources`, each value looked up in the channel's
/// table of 256.
///
/// A target that is shorter than pixels × channels is filled, and the rest of the pixels is ignored.
///
/// ```
/// use seequel_pixels::{Order, Source, Target, normalise};
///
/// let halves = std::array::from_fn(|value| value as f32 / 2.0);
/// let channels = [(Source::Channel(2), halves), (Source::Channel(0), halves)];
/// let mut tensor = [0.0; 4];
/// normalise(&[10, 20, 30, 40, 50, 60], &channels, Order::Planar, Target::F32(&mut tensor));
/// assert_eq!(tensor, [15.0, 30.0, 5.0, 20.0]);
/// ```
pub fn normalise(pixels: &[u8], channels: &[(Source, [f32; 256])], order: Order, target: Target<'_>) {
    match target {
        Target::F32(target) => write(pixels, channels, order, target, |value| value),
        Target::F16(target) => write(pixels, channels, order, target, f16::from_f32),
        Target::U8(target) => write(pixels, channels, order, target, |value| value.round() as u8),
        Target::U16(target) => write(pixels, channels, order, target, |value| value.round() as u16),
        Target::I16(target) => write(pixels, channels, order, target, |value| value.round() as i16),
        Target::I32(target) => write(pixels, channels, order, target, |value| value.round() as i32),
        Target::I64(target) => write(pixels, channels, order, target, |value| value.round() as i64),
    }
}

fn write<T: Copy>(
    pixels: &[u8],
    channels: &[(Source, [f32; 256])],
    order: Order,
    target: &mut [T],
    convert: impl Fn(f32) -> T,
) {
    let (pixel_step, channel_step) = match order {
        Order::Planar => (1, pixels.len() / 3),
        Order::Interleaved => (channels.len(), 1),
    };
    for (channel, (source, table)) in channels.iter().enumerate() {
        let table = table.map(&convert);
        let target = target.get_mut(channel * channel_step..).unwrap_or_default();
        let slots = target.iter_mut().step_by(pixel_step);
        let pixels = pixels.as_chunks().0.iter();
        match *source {
            Source::Channel(0) => look_up(slots, pixels.map(|[red, _, _]: &[u8; 3]| *red), &table),
            Source::Channel(1) => look_up(slots, pixels.map(|[_, green, _]: &[u8; 3]| *green), &table),
            Source::Channel(_) => look_up(slots, pixels.map(|[_, _, blue]: &[u8; 3]| *blue), &table),
            Source::Luma => look_up(slots, pixels.map(luma), &table),
        }
    }
}

fn look_up<'a, T: Copy + 'a>(
    slots: impl Iterator<Item = &'a mut T>,
    values: impl Iterator<Item = u8>,
    table: &[T; 256],
) {
    for (slot, value) in slots.zip(values) {
        *slot = table[usize::from(value)];
    }
}

fn luma(pixel: &[u8; 3]) -> u8 {
    let sum: u32 = pixel.iter().zip(LUMA).map(|(value, weight)| u32::from(*value) * weight).sum();
    ((sum + 0x8000) >> 16) as u8
}

/// Turns CMYK pixels as Adobe stores them (255 is no ink) into RGB, rounded as Pillow rounds.
///
/// ```
/// assert_eq!(seequel_pixels::inverted_cmyk_to_rgb(&[255, 0, 128, 255]), [255, 0, 128]);
/// ```
#[must_use]
pub fn inverted_cmyk_to_rgb(pixels: &[u8]) -> Vec<u8> {
    let pixels = pixels.as_chunks().0.iter();
    pixels.flat_map(|&[c, m, y, k]: &[u8; 4]| [c, m, y].map(|light| k - scale_byte(255 - light, k))).collect()
}

/// `a × b / 255` to the nearest byte; never more than either factor.
fn scale_byte(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b);
    let rounded = (product + 127) / 255;
    u8::try_from(rounded).unwrap_or(u8::MAX)
}

//! Small generated images for the tests.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};

use crate::images::decode::Format;

pub(crate) const ALL_FORMATS: [Format; 6] = Format::ALL;

pub(crate) const RED: [u8; 3] = [255, 0, 0];
pub(crate) const GREEN: [u8; 3] = [0, 255, 0];
pub(crate) const BLUE: [u8; 3] = [0, 0, 255];
pub(crate) const WHITE: [u8; 3] = [255, 255, 255];

/// Red and green above blue and white, in tiles that fit the blocks of a JPEG.
pub(crate) fn tiles(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => WHITE,
        })
    })
}

pub(crate) fn encode(image: &DynamicImage, format: Format) -> Vec<u8> {
    let mut bytes = Vec::new();
    match format {
        Format::Jpeg => image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, 95)).unwrap(),
        Format::Gif => GifEncoder::new(&mut bytes)
            .encode(image.to_rgb8().as_raw(), image.width(), image.height(), ExtendedColorType::Rgb8)
            .unwrap(),
        Format::Png => write(image, ImageFormat::Png, &mut bytes),
        Format::WebP => write(image, ImageFormat::WebP, &mut bytes),
        Format::Bmp => write(image, ImageFormat::Bmp, &mut bytes),
        Format::Tiff => write(image, ImageFormat::Tiff, &mut bytes),
    }
    bytes
}

fn write(image: &DynamicImage, format: ImageFormat, bytes: &mut Vec<u8>) {
    image.write_to(Cursor::new(bytes), format).unwrap();
}

/// `image` as a JPEG, PNG or WebP with the EXIF orientation `orientation`, 1 to 8.
pub(crate) fn encode_turned(image: &RgbImage, format: Format, orientation: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let image = DynamicImage::ImageRgb8(image.clone());
    match format {
        Format::Jpeg => write_turned(&image, JpegEncoder::new_with_quality(&mut bytes, 95), orientation),
        Format::Png => write_turned(&image, PngEncoder::new(&mut bytes), orientation),
        Format::WebP => write_turned(&image, WebPEncoder::new_lossless(&mut bytes), orientation),
        Format::Gif | Format::Bmp | Format::Tiff => unreachable!("the sample has no EXIF data"),
    }
    bytes
}

fn write_turned(image: &DynamicImage, mut encoder: impl ImageEncoder, orientation: u8) {
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    image.write_with_encoder(encoder).unwrap();
}

/// EXIF data with one entry: tag 0x0112, a SHORT.
fn exif(orientation: u8) -> Vec<u8> {
    let mut bytes = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    bytes.extend([0, orientation, 0, 0, 0, 0, 0, 0]);
    bytes
}

/// `jpeg` with segments of `length` zero bytes in total after its first marker, like a large colour profile.
pub(crate) fn pad_jpeg(jpeg: &[u8], length: usize) -> Vec<u8> {
    let mut padded = jpeg[..2].to_vec();
    for _ in 0..length.div_ceil(65_533) {
        padded.extend([0xFF, 0xE2, 0xFF, 0xFF]);
        padded.resize(padded.len() + 65_533, 0);
    }
    padded.extend(&jpeg[2..]);
    padded
}

/// A PNG with a header of 50,000 × 50,000 pixels and no pixel data.
pub(crate) const HUGE_PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0\
    \xc4\xcd\xaa\x9d\0\0\0\0IDAT\x35\xaf\x06\x1e\0\0\0\0IEND\xae\x42\x60\x82";

/// A PNG of two palette pixels: red, and a fully transparent blue.
pub(crate) const PALETTE_PNG: &[u8] = &[
    137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82, 0, 0, 0, 2, 0, 0, 0, 1, 8, 3, 0, 0, 0, 195,
    252, 143, 184, 0, 0, 0, 6, 80, 76, 84, 69, 255, 0, 0, 0, 0, 255, 108, 161, 253, 142, 0, 0, 0, 2, 116, 82,
    78, 83, 255, 0, 229, 183, 48, 74, 0, 0, 0, 14, 73, 68, 65, 84, 120, 1, 1, 3, 0, 252, 255, 0, 0, 1, 0, 4,
    0, 2, 11, 33, 139, 113, 0, 0, 0, 0, 73, 69, 78, 68, 174, 66, 96, 130,
];
/// A TIFF of two pixels in CMYK: red and black.
pub(crate) const CMYK_TIFF: &[u8] = &[
    73, 73, 42, 0, 8, 0, 0, 0, 9, 0, 0, 1, 4, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 1, 4, 0, 1, 0, 0, 0, 1, 0, 0, 0,
    2, 1, 3, 0, 4, 0, 0, 0, 122, 0, 0, 0, 3, 1, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 6, 1, 3, 0, 1, 0, 0, 0, 5, 0,
    0, 0, 17, 1, 4, 0, 1, 0, 0, 0, 130, 0, 0, 0, 21, 1, 3, 0, 1, 0, 0, 0, 4, 0, 0, 0, 22, 1, 4, 0, 1, 0, 0,
    0, 1, 0, 0, 0, 23, 1, 4, 0, 1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 8, 0, 8, 0, 8, 0, 0, 255, 255, 0,
    0, 0, 0, 255,
];

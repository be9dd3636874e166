//! Photos of the sizes that `make bench` has, as JPEG and as PNG: the centre of one that set-up fetches, resized.

use std::io::Cursor;

use image::imageops::FilterType::Lanczos3;
use image::{DynamicImage, ImageFormat};
use turbojpeg::{PixelFormat, Subsamp};

use crate::home;

/// Name, width and height in pixels, as in `benches/photos.py`.
pub(crate) const SIZES: [(&str, u32, u32); 2] = [("500x375", 500, 375), ("1920x1440", 1920, 1440)];

/// JPEG quality, as in `benches/photos.py`.
const QUALITY: i32 = 92;

/// A photo of that size.
pub(crate) fn photo(width: u32, height: u32) -> DynamicImage {
    let original = image::open(home().join("photos/china.jpg")).unwrap();
    let rgb = original.resize_to_fill(width, height, Lanczos3).into_rgb8();
    DynamicImage::ImageRgb8(rgb)
}

/// With chroma at half the resolution, as most JPEGs have it.
pub(crate) fn jpeg(photo: &DynamicImage) -> Vec<u8> {
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    let format = PixelFormat::RGB;
    let image = turbojpeg::Image { pixels: photo.as_bytes(), width, pitch: width * 3, height, format };
    turbojpeg::compress(image, QUALITY, Subsamp::Sub2x2).unwrap().to_vec()
}

pub(crate) fn png(photo: &DynamicImage) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    photo.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

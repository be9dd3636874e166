use image::{DynamicImage, Rgb, Rgba};

use super::*;
use crate::images::samples::{self, BLUE, GREEN, RED, WHITE};

const MAX_PIXELS: u64 = 1_000_000;

fn decode_full(bytes: &[u8]) -> Result<RgbImage, ImageError> {
    decode(bytes, &Limits::pixels(MAX_PIXELS), |_, _| 1.0)
}

/// Colour at the centre of each quarter: top left, top right, bottom left, bottom right.
fn quarters(image: &RgbImage) -> [[u8; 3]; 4] {
    let (left, right) = (image.width / 4, image.width * 3 / 4);
    let (top, bottom) = (image.height / 4, image.height * 3 / 4);
    [(left, top), (right, top), (left, bottom), (right, bottom)].map(|(x, y)| {
        let at = 3 * (y as usize * image.width as usize + x as usize);
        [image.pixels[at], image.pixels[at + 1], image.pixels[at + 2]]
    })
}

fn assert_quarters(image: &RgbImage, expected: [[u8; 3]; 4], label: &str) {
    let found = quarters(image);
    let close = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 6;
    let all_close = found.as_flattened().iter().zip(expected.as_flattened()).all(close);
    assert!(all_close, "{label}: {found:?} should be {expected:?}");
}

fn sized(image: &RgbImage) -> (u32, u32, usize) {
    (image.width, image.height, image.pixels.len())
}

#[test]
fn decodes_every_format_to_rgb() {
    let image = DynamicImage::ImageRgb8(samples::tiles(64, 32));
    for format in samples::ALL_FORMATS {
        let decoded = decode_full(&samples::encode(&image, format)).unwrap();
        assert_eq!(sized(&decoded), (64, 32, 64 * 32 * 3), "{format:?}");
        assert_eq!((decoded.original_width, decoded.original_height), (64, 32), "{format:?}");
        assert_quarters(&decoded, [RED, GREEN, BLUE, WHITE], format.name());
    }
}

#[test]
fn turns_images_upright_for_each_orientation() {
    let image = samples::tiles(64, 32);
    let expected = [
        [RED, GREEN, BLUE, WHITE],
        [GREEN, RED, WHITE, BLUE],
        [WHITE, BLUE, GREEN, RED],
        [BLUE, WHITE, RED, GREEN],
        [RED, BLUE, GREEN, WHITE],
        [BLUE, RED, WHITE, GREEN],
        [WHITE, GREEN, BLUE, RED],
        [GREEN, WHITE, RED, BLUE],
    ];
    for format in [Format::Jpeg, Format::Png, Format::WebP] {
        for (orientation, expected) in (1..).zip(expected) {
            let decoded = decode_full(&samples::encode_turned(&image, format, orientation)).unwrap();
            let size = if orientation < 5 { (64, 32) } else { (32, 64) };
            let label = format!("{format:?} of orientation {orientation}");
            assert_eq!((decoded.width, decoded.height), size, "{label}");
            assert_eq!((decoded.original_width, decoded.original_height), size, "{label}");
            assert_quarters(&decoded, expected, &label);
        }
    }
}

#[test]
fn a_jpeg_is_decoded_at_the_smallest_sufficient_scale() {
    let jpeg = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(160, 99)), Format::Jpeg);
    for (min_scale, width, height) in
        [(1.0, 160, 99), (0.51, 160, 99), (0.5, 80, 50), (0.26, 80, 50), (0.2, 40, 25), (0.01, 20, 13)]
    {
        let decoded = decode(&jpeg, &Limits::pixels(MAX_PIXELS), |_, _| min_scale).unwrap();
        assert_eq!((decoded.width, decoded.height), (width, height), "at {min_scale}");
        assert_eq!((decoded.original_width, decoded.original_height), (160, 99), "at {min_scale}");
        assert_quarters(&decoded, [RED, GREEN, BLUE, WHITE], "scaled");
    }
}

#[test]
fn the_scale_is_chosen_by_the_size_as_displayed() {
    let jpeg = samples::encode_turned(&samples::tiles(64, 32), Format::Jpeg, 6);
    let mut seen = None;
    decode(&jpeg, &Limits::pixels(MAX_PIXELS), |width, height| {
        seen = Some((width, height));
        1.0
    })
    .unwrap();
    assert_eq!(seen, Some((32, 64)));
}

/// Bytes that decoding an image asks for, at an eighth of its size if it is a JPEG.
fn asked_for(bytes: &[u8]) -> u64 {
    let asked = std::cell::Cell::new(0);
    let admit = |bytes| {
        asked.set(asked.get() + bytes);
        true
    };
    decode(bytes, &Limits { max_pixels: MAX_PIXELS, memory_limit: None, admit: &admit }, |_, _| 0.1).unwrap();
    asked.get()
}

#[test]
fn coefficients_of_progressive_jpegs_count_as_memory() {
    let tiles = samples::tiles(160, 96);
    let image = turbojpeg::Image {
        pixels: tiles.as_raw().as_slice(),
        width: 160,
        pitch: 480,
        height: 96,
        format: turbojpeg::PixelFormat::RGB,
    };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    let plain = compressor.compress_to_vec(image).unwrap();
    compressor.set_progressive(true).unwrap();
    let pixels = asked_for(&plain);
    assert_eq!(pixels, 20 * 12 * 4);
    for (subsamp, samples) in
        [(turbojpeg::Subsamp::None, 6), (turbojpeg::Subsamp::Sub2x2, 3), (turbojpeg::Subsamp::Gray, 2)]
    {
        compressor.set_subsamp(subsamp).unwrap();
        assert_eq!(asked_for(&compressor.compress_to_vec(image).unwrap()), pixels + 160 * 96 * samples);
    }
    // One that is not progressive, and has a scan for each component, as its first scan's count says.
    let mut scans = plain;
    let scan = scans.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    assert_eq!(scans[scan + 4], 3);
    assert!(!JpegHeader::has_partial_scan(&mut std::io::Cursor::new(&scans)).unwrap());
    scans[scan + 4] = 1;
    assert!(JpegHeader::has_partial_scan(&mut std::io::Cursor::new(&scans)).unwrap());
}

#[test]
fn grey_and_turned_pixels_count_as_the_rgb_that_they_become() {
    let grey = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(16, 16, image::Luma([77])));
    assert_eq!(asked_for(&samples::encode(&grey, Format::Png)), 16 * 16 * (1 + 3));
    let tiles = samples::tiles(64, 32);
    assert_eq!(asked_for(&samples::encode_turned(&tiles, Format::Png, 1)), 64 * 32 * (3 + 3));
    assert_eq!(asked_for(&samples::encode_turned(&tiles, Format::Png, 6)), 64 * 32 * (3 + 2 * 3));
}

/// A decompressor that had decoded another image used its tables, and gave its errors.
#[test]
fn a_damaged_jpeg_has_the_same_outcome_after_any_other() {
    let whole = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
    let table = whole.windows(2).position(|marker| marker == [0xff, 0xdb]).unwrap();
    let length = usize::from(u16::from_be_bytes([whole[table + 2], whole[table + 3]]));
    let without_table = [&whole[..table], &whole[table + 2 + length..]].concat();
    let mut corrupt = whole.clone();
    let middle = whole.len() * 3 / 4;
    corrupt[middle..middle + 8].copy_from_slice(&[0xff, 0xd3, 0xff, 0xd4, 0x12, 0x34, 0x56, 0x78]);
    let cut = &whole[..whole.len() - 2];
    let images = [&whole[..], &without_table, &corrupt, cut];
    let alone = images.map(|bytes| {
        std::thread::spawn({
            let bytes = bytes.to_vec();
            move || decode_full(&bytes)
        })
        .join()
        .unwrap()
    });
    assert!(alone[0].is_ok() && alone[1].is_err() && alone[2].is_ok() && alone[3].is_err(), "{alone:?}");
    for first in images {
        for (second, alone) in images.into_iter().zip(&alone) {
            drop(decode_full(first));
            assert_eq!(&decode_full(second), alone);
        }
    }
}

#[test]
fn grey_deep_and_transparent_pixels_become_rgb8() {
    let grey = DynamicImage::ImageLuma8(image::GrayImage::from_pixel(16, 16, image::Luma([77])));
    for format in [Format::Jpeg, Format::Png, Format::Bmp, Format::Tiff] {
        assert_quarters(&decode_full(&samples::encode(&grey, format)).unwrap(), [[77; 3]; 4], "grey");
    }
    let deep = image::ImageBuffer::from_pixel(16, 16, Rgb([0xFFFF_u16, 0x8080, 0]));
    let deep = DynamicImage::ImageRgb16(deep);
    for format in [Format::Png, Format::Tiff] {
        assert_quarters(&decode_full(&samples::encode(&deep, format)).unwrap(), [[255, 128, 0]; 4], "16 bit");
    }
    let transparent = image::RgbaImage::from_pixel(16, 16, Rgba([10, 20, 30, 0]));
    let transparent = DynamicImage::ImageRgba8(transparent);
    for format in [Format::Png, Format::Tiff] {
        assert_quarters(
            &decode_full(&samples::encode(&transparent, format)).unwrap(),
            [[10, 20, 30]; 4],
            "alpha",
        );
    }
}

#[test]
fn palettes_become_rgb() {
    let decoded = decode_full(samples::PALETTE_PNG).unwrap();
    assert_eq!(decoded.pixels, [RED, BLUE].as_flattened());
}

#[test]
fn cmyk_becomes_rgb() {
    let decoded = decode_full(samples::CMYK_TIFF).unwrap();
    assert_eq!(decoded.pixels, [RED, [0, 0, 0]].as_flattened());

    // Stored inverted, as Adobe does: C=255, M=128, Y=0, K=128, where 255 is no ink.
    let pixels = [255, 128, 0, 128].repeat(16 * 16);
    let cmyk = turbojpeg::Image {
        pixels: pixels.as_slice(),
        width: 16,
        pitch: 64,
        height: 16,
        format: turbojpeg::PixelFormat::CMYK,
    };
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(100).unwrap();
    compressor.set_subsamp(turbojpeg::Subsamp::None).unwrap();
    let jpeg = compressor.compress_to_vec(cmyk).unwrap();
    assert_quarters(&decode_full(&jpeg).unwrap(), [[128, 64, 0]; 4], "CMYK JPEG");
}

#[test]
fn rejects_non_images() {
    assert_eq!(decode_full(b"").unwrap_err().to_string(), "empty file");
    for text in ["<html>not found</html>", "x", "\u{0}\u{0}\u{0}"] {
        assert_eq!(decode_full(text.as_bytes()).unwrap_err(), ImageError::NotAnImage, "{text:?}");
    }
}

#[test]
fn rejects_truncated_files_of_every_format_and_length() {
    let image = DynamicImage::ImageRgb8(samples::tiles(64, 64));
    for format in samples::ALL_FORMATS {
        let bytes = samples::encode(&image, format);
        for kept in [3, 8, 13, 30, bytes.len() / 4, bytes.len() / 2, bytes.len() * 3 / 4] {
            assert!(
                decode_full(&bytes[..kept]).is_err(),
                "{format:?} cut to {kept} of {} bytes",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_truncated_jpeg_is_reported_as_truncated() {
    let noise = image::RgbImage::from_fn(64, 64, |x, y| {
        Rgb([(x * 37 % 251) as u8, (y * 91 % 241) as u8, (x * y) as u8])
    });
    let jpeg = samples::encode(&DynamicImage::ImageRgb8(noise), Format::Jpeg);
    let error = decode_full(&jpeg[..jpeg.len() / 2]).unwrap_err();
    assert_eq!(error.to_string(), "truncated or damaged jpeg: TurboJPEG error: Premature end of JPEG file");
}

#[test]
fn odd_but_complete_jpegs_decode() {
    let jpeg = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
    let second_segment = 4 + usize::from(jpeg[4]) * 256 + usize::from(jpeg[5]);
    let with_garbage_at = |at: usize| [&jpeg[..at], &[0x55; 9], &jpeg[at..]].concat();
    for at in [jpeg.len(), jpeg.len() - 2, second_segment] {
        assert_quarters(&decode_full(&with_garbage_at(at)).unwrap(), [RED, GREEN, BLUE, WHITE], "odd");
    }
}

#[test]
fn the_first_frame_header_of_a_jpeg_counts() {
    // A differential frame, as of hierarchical files, which the lenient decoder skips.
    const SECOND: &[u8] = b"\xff\xc6\0\x0b\x08\x01\x01\x01\0\x01\x01\x11\0";
    let jpeg = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
    let scan = jpeg.windows(2).position(|bytes| bytes == [0xFF, 0xDA]).unwrap();
    let twice = [&jpeg[..scan], SECOND, &jpeg[scan..]].concat();
    let image = decode_full(&twice).unwrap();
    let header = Header::of(&twice).unwrap();
    assert_eq!((header.width, header.height), (64, 32));
    assert_eq!((image.original_width, image.original_height), (64, 32));
}

#[test]
fn rejects_more_pixels_than_allowed_before_decoding() {
    assert_eq!(
        decode(samples::HUGE_PNG, &Limits::pixels(100_000_000), |_, _| 1.0).unwrap_err().to_string(),
        "50000 × 50000 pixels are more than inference.max_image_pixels (100000000)"
    );
    let image = DynamicImage::ImageRgb8(samples::tiles(64, 32));
    for format in samples::ALL_FORMATS {
        let error = decode(&samples::encode(&image, format), &Limits::pixels(2047), |_, _| 0.1).unwrap_err();
        assert_eq!(error, ImageError::TooLarge { width: 64, height: 32, max_pixels: 2047 }, "{format:?}");
    }
}

#[test]
fn corrupt_bytes_never_panic() {
    let image = DynamicImage::ImageRgb8(samples::tiles(32, 32));
    for format in samples::ALL_FORMATS {
        let bytes = samples::encode(&image, format);
        for at in 0..bytes.len().min(200) {
            for value in [0, 0x7F, 0xFF] {
                let mut corrupt = bytes.clone();
                corrupt[at] = value;
                // Either result is correct.
                let _ = decode(&corrupt, &Limits::pixels(MAX_PIXELS), |_, _| 0.3);
            }
        }
    }
}

#[test]
fn an_animation_gives_its_first_frame() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for colour in [RED, GREEN] {
        let [r, g, b] = colour;
        let frame = image::RgbaImage::from_pixel(8, 8, Rgba([r, g, b, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    assert_quarters(&decode_full(&bytes).unwrap(), [RED; 4], "first frame");
}

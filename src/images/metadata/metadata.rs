//! Metadata of an image file, read without decoding its pixels.

use std::io::Cursor;

use gif::DecodeOptions;
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageDecoder};

use super::exif_data::ExifData;
use crate::images::decode::{
    Format, ImageError, JpegFrame, JpegHeader, contain_panic, known_format, upright_size,
};

/// Metadata of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Width in pixels as displayed, with the EXIF orientation applied.
    pub(crate) width: u32,
    /// Height in pixels as displayed.
    pub(crate) height: u32,
    /// `jpeg`, `png`, `webp`, `gif`, `bmp` or `tiff`.
    pub(crate) format: &'static str,
    /// `L` (grey), `LA`, `RGB`, `RGBA` or `CMYK`; a palette counts as the colours in it.
    pub(crate) color: &'static str,
    /// Bits per channel.
    pub(crate) bits: u8,
    /// EXIF orientation of the stored pixels, 1 (upright) to 8.
    pub(crate) orientation: u8,
    /// Number of frames of an animation or images of a TIFF; `None` if they can't be counted.
    pub(crate) frames: Option<u32>,
    /// Maker and model of the camera.
    pub(crate) camera: Option<String>,
    /// Capture time by the camera's clock, which has no time zone, in microseconds since 1970.
    pub(crate) taken: Option<i64>,
}

impl Metadata {
    /// Reads the headers of `bytes`, of at most `max_frames` frames.
    ///
    /// # Errors
    /// [`ImageError`] if they are not those of an image, damaged, or of more frames.
    pub(crate) fn read(bytes: &[u8], max_frames: u64) -> Result<Self, ImageError> {
        if bytes.is_empty() {
            return Err(ImageError::Empty);
        }
        let format = known_format(bytes)?;
        contain_panic(|| Self::read_unguarded(bytes, format, max_frames))
            .unwrap_or_else(|| Err(ImageError::damaged(format, &"the parser failed")))
    }

    fn read_unguarded(bytes: &[u8], format: Format, max_frames: u64) -> Result<Self, ImageError> {
        let Pixels { size, color, bits, orientation } = match format {
            Format::Jpeg => Pixels::of_jpeg(bytes),
            _ => Pixels::of_other(bytes, format),
        }?;
        let (width, height) = upright_size(size, orientation);
        if width == 0 || height == 0 {
            return Err(ImageError::damaged(format, &"it has no pixels"));
        }
        let frames = count_frames(bytes, format, max_frames);
        if frames.is_some_and(|frames| u64::from(frames) > max_frames) {
            return Err(ImageError::TooManyFrames { max_frames });
        }
        let exif = ExifData::read(bytes, format);
        Ok(Self {
            width,
            height,
            format: format.name(),
            color,
            bits,
            orientation: orientation.to_exif(),
            frames,
            camera: exif.as_ref().and_then(ExifData::camera),
            taken: exif.as_ref().and_then(ExifData::taken),
        })
    }
}

/// How the pixels are stored.
struct Pixels {
    size: (u32, u32),
    color: &'static str,
    bits: u8,
    orientation: Orientation,
}

impl Pixels {
    fn of_jpeg(bytes: &[u8]) -> Result<Self, ImageError> {
        let damaged = |reason: &dyn ToString| ImageError::damaged(Format::Jpeg, &reason.to_string());
        let header = JpegHeader::read(&mut Cursor::new(bytes)).map_err(|error| damaged(&error))?;
        let Some(JpegFrame { size, bits, components }) = header.frame else {
            return Err(damaged(&"its header has no size"));
        };
        let color = match components {
            1 => "L",
            4 => "CMYK",
            _ => "RGB",
        };
        Ok(Self { size, color, bits, orientation: header.orientation })
    }

    fn of_other(bytes: &[u8], format: Format) -> Result<Self, ImageError> {
        let mut decoder = seequel_pixels::open_bytes(bytes, format.into())
            .map_err(|error| ImageError::damaged(format, &error))?;
        let (color, bits) = channels(decoder.original_color_type());
        let bits = if format == Format::Png { png_bits(bytes).unwrap_or(bits) } else { bits };
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self { size: decoder.dimensions(), color, bits, orientation })
    }
}

/// Name and bits per channel of a decoder's colour type.
fn channels(found: ExtendedColorType) -> (&'static str, u8) {
    let color = match (found, found.channel_count()) {
        (ExtendedColorType::Cmyk8 | ExtendedColorType::Cmyk16, _) => "CMYK",
        (_, 1) => "L",
        (_, 2) => "LA",
        (_, 3) => "RGB",
        _ => "RGBA",
    };
    let bits = found.bits_per_pixel() / u16::from(found.channel_count().max(1));
    (color, u8::try_from(bits).unwrap_or(u8::MAX))
}

/// Bits per channel of a PNG, which its decoder widens to 8; palette colours have 8.
fn png_bits(bytes: &[u8]) -> Option<u8> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    let info = decoder.read_header_info().ok()?;
    Some(if info.color_type == png::ColorType::Indexed { 8 } else { info.bit_depth as u8 })
}

/// The number of frames, counted no further than to one more than `most`.
fn count_frames(bytes: &[u8], format: Format, most: u64) -> Option<u32> {
    match format {
        Format::Jpeg | Format::Bmp => Some(1),
        Format::Png => count_png(bytes),
        Format::WebP => {
            let decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).ok()?;
            Some(decoder.num_frames().max(1))
        }
        Format::Gif => count_gif(bytes, most),
        Format::Tiff => count_tiff(bytes, most),
    }
}

/// The number of frames that an animated PNG declares.
fn count_png(bytes: &[u8]) -> Option<u32> {
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info().ok()?;
    Some(reader.info().animation_control().map_or(1, |animation| animation.num_frames))
}

/// Counts the frames of a GIF, whose header does not declare them, without decoding.
fn count_gif(bytes: &[u8], most: u64) -> Option<u32> {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let mut decoder = options.read_info(Cursor::new(bytes)).ok()?;
    let mut frames = 0;
    while u64::from(frames) <= most && decoder.next_frame_info().ok()?.is_some() {
        frames += 1;
    }
    Some(frames)
}

fn count_tiff(bytes: &[u8], most: u64) -> Option<u32> {
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).ok()?;
    let mut images = 1;
    while decoder.more_images() && u64::from(images) <= most {
        decoder.next_image().ok()?;
        images += 1;
    }
    Some(images)
}

#[cfg(test)]
mod tests {
    use exif::Tag;
    use image::DynamicImage;

    use super::*;
    use crate::images::metadata::exif_data::tests::with_exif;
    use crate::images::samples;

    fn read(bytes: &[u8]) -> Result<Metadata, ImageError> {
        Metadata::read(bytes, 65_535)
    }

    #[test]
    fn reads_size_colours_and_frames_of_every_format() {
        let image = DynamicImage::ImageRgb8(samples::tiles(64, 32));
        for format in Format::ALL {
            let found = read(&samples::encode(&image, format)).unwrap();
            let expected = Metadata {
                width: 64,
                height: 32,
                format: format.name(),
                color: if format == Format::Gif { "RGBA" } else { "RGB" },
                bits: 8,
                orientation: 1,
                frames: Some(1),
                camera: None,
                taken: None,
            };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn reads_camera_and_time() {
        let photo = with_exif(&[(Tag::Model, "M9"), (Tag::DateTimeOriginal, "2021:03:04 05:06:07")]);
        let found = read(&photo).unwrap();
        assert_eq!((found.camera.as_deref(), found.taken), (Some("M9"), Some(1_614_834_367_000_000)));
    }

    #[test]
    fn reads_channels_and_their_depth() {
        let channels = |image: DynamicImage, format| {
            let found = read(&samples::encode(&image, format)).unwrap();
            (found.color, found.bits)
        };
        let grey = || DynamicImage::ImageLuma8(image::GrayImage::new(8, 8));
        for format in [Format::Jpeg, Format::Png, Format::Tiff] {
            assert_eq!(channels(grey(), format), ("L", 8));
        }
        let deep = || DynamicImage::ImageRgb16(image::ImageBuffer::new(8, 8));
        assert_eq!(channels(deep(), Format::Png), ("RGB", 16));
        assert_eq!(
            channels(DynamicImage::ImageLumaA8(image::ImageBuffer::new(8, 8)), Format::Png),
            ("LA", 8)
        );
        assert_eq!(
            channels(DynamicImage::ImageRgba8(image::ImageBuffer::new(8, 8)), Format::WebP),
            ("RGBA", 8)
        );
        let cmyk = read(samples::CMYK_TIFF).unwrap();
        assert_eq!((cmyk.color, cmyk.bits), ("CMYK", 8));
        let palette = read(samples::PALETTE_PNG).unwrap();
        assert_eq!((palette.color, palette.bits), ("RGBA", 8));
    }

    #[test]
    fn sizes_are_as_displayed() {
        for orientation in 1..=8 {
            let bytes = samples::encode_turned(&samples::tiles(64, 32), Format::Jpeg, orientation);
            let found = read(&bytes).unwrap();
            let size = if orientation < 5 { (64, 32) } else { (32, 64) };
            assert_eq!(((found.width, found.height), found.orientation), (size, orientation));
        }
    }

    #[test]
    fn counts_the_frames_of_an_animation() {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
        for grey in [0, 100, 200] {
            let frame = image::RgbaImage::from_pixel(8, 8, image::Rgba([grey, grey, grey, 255]));
            encoder.encode_frame(image::Frame::new(frame)).unwrap();
        }
        drop(encoder);
        assert_eq!(read(&bytes).unwrap().frames, Some(3));
        assert!(Metadata::read(&bytes, 3).is_ok());
        let error = Metadata::read(&bytes, 2).unwrap_err().to_string();
        assert_eq!(error, "its frames are more than inference.max_frames (2)");
        assert_eq!(read(&bytes[..bytes.len() / 2]).unwrap().frames, None, "cut short");
    }

    #[test]
    fn reports_errors() {
        let jpeg = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
        let png = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Png);
        assert_eq!(read(b""), Err(ImageError::Empty));
        assert_eq!(read(b"text"), Err(ImageError::NotAnImage));
        for cut in [&jpeg[..20], &png[..20]] {
            let error = read(cut).unwrap_err().to_string();
            assert!(error.starts_with("truncated or damaged"), "{error}");
        }
        assert!(read(samples::HUGE_PNG).is_ok(), "no pixels are decoded");
    }

    #[test]
    fn corrupt_bytes_never_panic() {
        let photo = with_exif(&[(Tag::Make, "Leica"), (Tag::DateTimeOriginal, "2021:03:04 05:06:07")]);
        let image = DynamicImage::ImageRgb8(samples::tiles(32, 32));
        let files = Format::ALL.map(|format| samples::encode(&image, format));
        for bytes in files.iter().chain([&photo]) {
            for at in 0..bytes.len().min(250) {
                for value in [0, 0x7F, 0xFF] {
                    let mut corrupt = bytes.clone();
                    corrupt[at] = value;
                    // Either result is correct.
                    let _ = read(&corrupt);
                }
            }
        }
    }
}

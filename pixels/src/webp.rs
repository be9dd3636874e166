//! WebP by the `image-webp` crate: `image`'s decoder of it has no limit on metadata, and allocated 4 GiB for a file of
//! a few hundred bytes whose EXIF chunk claims to be that long.

use std::io::{BufRead, Seek};

use image::error::{DecodingError, ImageFormatHint};
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};

/// Maximum bytes of the EXIF data; longer ones are not read.
const MAX_METADATA: usize = 4 << 20;

/// A decoder of a WebP; an animation gives its first frame.
pub(crate) struct WebPDecoder<R>(image_webp::WebPDecoder<R>);

impl<R: BufRead + Seek> WebPDecoder<R> {
    pub(crate) fn new(reader: R) -> ImageResult<Self> {
        let mut decoder = image_webp::WebPDecoder::new(reader).map_err(image_error)?;
        decoder.set_memory_limit(MAX_METADATA);
        Ok(Self(decoder))
    }
}

impl<R: BufRead + Seek> ImageDecoder for WebPDecoder<R> {
    fn dimensions(&self) -> (u32, u32) {
        self.0.dimensions()
    }

    fn color_type(&self) -> ColorType {
        if self.0.has_alpha() { ColorType::Rgba8 } else { ColorType::Rgb8 }
    }

    fn exif_metadata(&mut self) -> ImageResult<Option<Vec<u8>>> {
        self.0.exif_metadata().map_err(image_error)
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        self.0.read_image(pixels).map_err(image_error)
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

fn image_error(error: image_webp::DecodingError) -> ImageError {
    match error {
        image_webp::DecodingError::IoError(error) => ImageError::IoError(error),
        error => ImageError::Decoding(DecodingError::new(ImageFormatHint::Exact(ImageFormat::WebP), error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::ExtendedColorType;
    use image::codecs::webp::WebPEncoder;

    use super::*;

    /// A WebP of one pixel, with a chunk of EXIF data that claims to have `length` bytes and has none.
    fn with_exif(length: u32) -> Vec<u8> {
        const VP8X: &[u8] = b"VP8X\x0a\0\0\0\x08\0\0\0\0\0\0\0\0\0";
        let mut plain = Vec::new();
        WebPEncoder::new_lossless(&mut plain).encode(&[1, 2, 3], 1, 1, ExtendedColorType::Rgb8).unwrap();
        let chunks = [VP8X, &plain[12..], b"EXIF", &length.to_le_bytes()].concat();
        let size = u32::try_from(chunks.len() + 4).unwrap();
        [b"RIFF", &size.to_le_bytes()[..], b"WEBP", &chunks].concat()
    }

    #[test]
    fn nothing_is_allocated_for_exif_data_that_is_too_long() {
        for (length, expected) in [(u32::MAX - 1, "memory limit"), (100, "fill")] {
            let file = with_exif(length);
            let mut decoder = WebPDecoder::new(Cursor::new(&file)).unwrap();
            let error = decoder.exif_metadata().unwrap_err().to_string().to_lowercase();
            assert!(error.contains(expected), "{error}");
            let mut pixel = [0; 3];
            decoder.read_image(&mut pixel).unwrap();
            assert_eq!(pixel, [1, 2, 3]);
        }
    }
}

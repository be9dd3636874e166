//! Camera and capture time of an image, from its EXIF data.

use std::io::Cursor;

use datafusion::arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use exif::{DateTime, Exif, In, Tag, Value};

use crate::images::decode::Format;

/// Maximum number of characters kept of a text field.
const MAX_CHARACTERS: usize = 128;
const NANOSECONDS_PER_MICROSECOND: i64 = 1_000;

/// The EXIF data of an image, as far as it can be parsed.
pub(crate) struct ExifData(Exif);

impl ExifData {
    /// Reads the data from a file; `None` if it is missing or damaged, which does not make the image invalid.
    pub(crate) fn read(bytes: &[u8], format: Format) -> Option<Self> {
        if matches!(format, Format::Gif | Format::Bmp) {
            return None;
        }
        let mut reader = exif::Reader::new();
        reader.continue_on_error(true);
        let read = reader.read_from_container(&mut Cursor::new(bytes));
        read.or_else(|error| error.distill_partial_result(|_| ())).ok().map(Self)
    }

    /// Maker and model of the camera; the model alone if it starts with the maker's name.
    pub(crate) fn camera(&self) -> Option<String> {
        let (Some(maker), Some(model)) = (self.text(Tag::Make), self.text(Tag::Model)) else {
            return self.text(Tag::Make).or_else(|| self.text(Tag::Model));
        };
        let brand = maker.split_whitespace().next().unwrap_or_default().to_lowercase();
        Some(if model.to_lowercase().starts_with(&brand) { model } else { format!("{maker} {model}") })
    }

    /// Capture time by the camera's clock, in microseconds since 1970.
    pub(crate) fn taken(&self) -> Option<i64> {
        let time = [Tag::DateTimeOriginal, Tag::DateTimeDigitized]
            .into_iter()
            .find_map(|tag| DateTime::from_ascii(self.ascii(tag)?).ok())?;
        // Arrow's parser rejects dates that do not exist.
        let nanoseconds = string_to_timestamp_nanos(&time.to_string()).ok()?;
        Some(nanoseconds / NANOSECONDS_PER_MICROSECOND)
    }

    fn text(&self, tag: Tag) -> Option<String> {
        let text = String::from_utf8_lossy(self.ascii(tag)?);
        let text: String = text.trim_matches(['\0', ' ']).chars().take(MAX_CHARACTERS).collect();
        (!text.is_empty()).then_some(text)
    }

    fn ascii(&self, tag: Tag) -> Option<&[u8]> {
        match &self.0.get_field(tag, In::PRIMARY)?.value {
            Value::Ascii(lines) => lines.first().map(Vec::as_slice),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use exif::Field;
    use exif::experimental::Writer;
    use image::codecs::jpeg::JpegEncoder;
    use image::{DynamicImage, ImageEncoder};

    use super::*;
    use crate::images::samples;

    /// A JPEG with these EXIF text fields.
    pub(in super::super) fn with_exif(texts: &[(Tag, &str)]) -> Vec<u8> {
        let fields: Vec<_> = texts
            .iter()
            .map(|(tag, text)| {
                let value = Value::Ascii(vec![text.as_bytes().to_vec()]);
                Field { tag: *tag, ifd_num: In::PRIMARY, value }
            })
            .collect();
        let mut writer = Writer::new();
        fields.iter().for_each(|field| writer.push_field(field));
        let mut exif = Cursor::new(Vec::new());
        writer.write(&mut exif, false).unwrap();
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new(&mut bytes);
        encoder.set_exif_metadata(exif.into_inner()).unwrap();
        DynamicImage::ImageRgb8(samples::tiles(16, 16)).write_with_encoder(encoder).unwrap();
        bytes
    }

    fn read(jpeg: &[u8]) -> ExifData {
        ExifData::read(jpeg, Format::Jpeg).unwrap()
    }

    #[test]
    fn reads_camera_and_time() {
        let photo = with_exif(&[
            (Tag::Make, "Leica Camera AG"),
            (Tag::Model, "M9"),
            (Tag::DateTimeOriginal, "2021:03:04 05:06:07"),
        ]);
        let found = read(&photo);
        assert_eq!(found.camera().as_deref(), Some("Leica Camera AG M9"));
        assert_eq!(found.taken(), Some(1_614_834_367_000_000));

        let photo = with_exif(&[(Tag::Make, "NIKON CORPORATION"), (Tag::Model, "NIKON D70")]);
        assert_eq!(read(&photo).camera().as_deref(), Some("NIKON D70"));
    }

    #[test]
    fn invalid_times_are_none() {
        for time in ["2021:02:30 00:00:00", "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday"] {
            let photo = with_exif(&[(Tag::Model, "M9"), (Tag::DateTimeOriginal, time)]);
            let found = read(&photo);
            assert_eq!((found.camera().as_deref(), found.taken()), (Some("M9"), None), "{time}");
        }
    }

    #[test]
    fn images_without_exif_data_give_none() {
        let image = DynamicImage::ImageRgb8(samples::tiles(16, 16));
        for format in [Format::Jpeg, Format::Png, Format::WebP, Format::Gif, Format::Bmp] {
            assert!(ExifData::read(&samples::encode(&image, format), format).is_none(), "{format:?}");
        }
    }
}

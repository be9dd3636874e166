//! Formats that are known by name and signature but not decoded, so that errors can say which one a file is in.

/// Extension, in lower case, and name of formats of images, documents and videos.
const NAMES: [(&str, &str); 38] = [
    ("ai", "Adobe Illustrator"),
    ("arw", "Sony ARW"),
    ("avi", "AVI"),
    ("avif", "AVIF"),
    ("cr2", "Canon CR2"),
    ("cr3", "Canon CR3"),
    ("dcm", "DICOM"),
    ("dds", "DDS"),
    ("djvu", "DjVu"),
    ("dng", "DNG"),
    ("emf", "EMF"),
    ("eps", "EPS"),
    ("exr", "OpenEXR"),
    ("hdr", "Radiance HDR"),
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("ico", "ICO"),
    ("j2k", "JPEG 2000"),
    ("jp2", "JPEG 2000"),
    ("jxl", "JPEG XL"),
    ("mkv", "Matroska"),
    ("mov", "QuickTime"),
    ("mp4", "MP4"),
    ("nef", "Nikon NEF"),
    ("orf", "Olympus ORF"),
    ("pbm", "PNM"),
    ("pdf", "PDF"),
    ("pgm", "PNM"),
    ("ppm", "PNM"),
    ("psd", "PSD"),
    ("qoi", "QOI"),
    ("raf", "Fujifilm RAF"),
    ("rw2", "Panasonic RW2"),
    ("svg", "SVG"),
    ("tga", "TGA"),
    ("webm", "WebM"),
    ("wmf", "WMF"),
    ("xcf", "GIMP XCF"),
];

/// Signatures at the start of a file.
const SIGNATURES: [(&[u8], &str); 23] = [
    (b"%!PS", "EPS"),
    (b"%PDF-", "PDF"),
    (b"8BPS", "PSD"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"AT&TFORM", "DjVu"),
    (b"DDS ", "DDS"),
    (b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (b"IIRO", "Olympus ORF"),
    (b"IIRS", "Olympus ORF"),
    (b"MMOR", "Olympus ORF"),
    (b"IIU\0", "Panasonic RW2"),
    (b"P5\n", "PNM"),
    (b"P6\n", "PNM"),
    (b"gimp xcf", "GIMP XCF"),
    (b"qoif", "QOI"),
    (b"v/1\x01", "OpenEXR"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
];

/// Brands of files of the ISO base media format, behind `ftyp`.
const BRANDS: [(&[u8], &str); 16] = [
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"crx ", "Canon CR3"),
    (b"heic", "HEIC"),
    (b"heim", "HEIC"),
    (b"heis", "HEIC"),
    (b"heix", "HEIC"),
    (b"hevc", "HEIC"),
    (b"hevx", "HEIC"),
    (b"mif1", "HEIF"),
    (b"msf1", "HEIF"),
    (b"avc1", "MP4"),
    (b"iso", "MP4"),
    (b"M4V", "MP4"),
    (b"mp4", "MP4"),
    (b"qt  ", "QuickTime"),
];

/// Bytes searched for the root element of an SVG, which may follow a declaration and comments.
const SVG_PROLOGUE: usize = 1024;

/// Tags of a TIFF, and the most entries read of its first directory.
const NEW_SUBFILE_TYPE: u16 = 254;
const MAKE: u16 = 271;
const SUB_DIRECTORIES: u16 = 330;
const DNG_VERSION: u16 = 50706;
const MAX_ENTRIES: usize = 256;

/// The name of the format whose files have this extension.
pub(crate) fn by_extension(extension: &str) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, name)| *name)
}

/// The name of the format that `bytes` are in by their signature.
pub(super) fn by_content(bytes: &[u8]) -> Option<&'static str> {
    let signature = SIGNATURES.iter().find(|(signature, _)| bytes.starts_with(signature));
    signature.map(|(_, name)| *name).or_else(|| brand(bytes)).or_else(|| riff(bytes)).or_else(|| svg(bytes))
}

/// The name of the camera's format if `tiff` is one: these are TIFF files whose first image is a preview.
pub(super) fn camera_raw(tiff: &[u8]) -> Option<&'static str> {
    if tiff.starts_with(b"II*\0\x10\0\0\0CR") {
        return Some("Canon CR2");
    }
    let directory = Directory::first_of(tiff)?;
    if directory.entry(DNG_VERSION).is_some() {
        return Some("DNG");
    }
    let is_preview = directory.entry(NEW_SUBFILE_TYPE).is_some_and(|[.., value]| value == 1);
    if !is_preview || directory.entry(SUB_DIRECTORIES).is_none() {
        return None;
    }
    let make = usize::try_from(directory.entry(MAKE)?[1]).ok()?;
    match tiff.get(make..)? {
        make if make.starts_with(b"NIKON") => Some("Nikon NEF"),
        make if make.starts_with(b"SONY") => Some("Sony ARW"),
        _ => None,
    }
}

fn brand(bytes: &[u8]) -> Option<&'static str> {
    let brand = bytes.get(4..)?.strip_prefix(b"ftyp")?;
    BRANDS.iter().find(|(known, _)| brand.starts_with(known)).map(|(_, name)| *name)
}

fn riff(bytes: &[u8]) -> Option<&'static str> {
    (bytes.starts_with(b"RIFF") && bytes.get(8..12)? == b"AVI ").then_some("AVI")
}

fn svg(bytes: &[u8]) -> Option<&'static str> {
    let start = &bytes[..bytes.len().min(SVG_PROLOGUE)];
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let contains = |tag: &[u8]| text.windows(tag.len()).any(|part| part.eq_ignore_ascii_case(tag));
    (text.starts_with(b"<") && contains(b"<svg") && !contains(b"<html")).then_some("SVG")
}

/// The first directory of a TIFF.
struct Directory<'a> {
    bytes: &'a [u8],
    is_big_endian: bool,
    start: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    fn first_of(bytes: &'a [u8]) -> Option<Self> {
        let is_big_endian = bytes.starts_with(b"MM");
        let directory = Self { bytes, is_big_endian, start: 0, entries: 0 };
        let start = usize::try_from(directory.u32(4)?).ok()?;
        let entries = usize::from(directory.u16(start)?).min(MAX_ENTRIES);
        Some(Self { start: start.checked_add(2)?, entries, ..directory })
    }

    /// Count and value of the entry `tag`; the value is an offset if it is longer than four bytes.
    fn entry(&self, tag: u16) -> Option<[u32; 2]> {
        let start = (0..self.entries)
            .map(|entry| self.start.saturating_add(entry * 12))
            .find(|start| self.u16(*start) == Some(tag))?;
        Some([self.u32(start.checked_add(4)?)?, self.u32(start.checked_add(8)?)?])
    }

    fn u16(&self, start: usize) -> Option<u16> {
        let bytes = self.bytes.get(start..)?.first_chunk()?;
        Some(if self.is_big_endian { u16::from_be_bytes(*bytes) } else { u16::from_le_bytes(*bytes) })
    }

    fn u32(&self, start: usize) -> Option<u32> {
        let bytes = self.bytes.get(start..)?.first_chunk()?;
        Some(if self.is_big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::decode::{Format, ImageError, Limits, decode};
    use crate::images::samples;

    #[test]
    fn formats_are_known_by_their_signatures() {
        for (bytes, expected) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0"[..], Some("HEIC")),
            (b"\0\0\0\x18ftypmif1\0\0\0\0", Some("HEIF")),
            (b"\0\0\0\x18ftypavif\0\0\0\0", Some("AVIF")),
            (b"\0\0\0\x18ftypisom\0\0\0\0", Some("MP4")),
            (b"\0\0\0\x18ftypqt  \0\0\0\0", Some("QuickTime")),
            (b"\xff\x0a\x01", Some("JPEG XL")),
            (b"8BPS\0\x01", Some("PSD")),
            (b"%PDF-1.7", Some("PDF")),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\n<!-- a -->\n<svg xmlns=\"\">", Some("SVG")),
            (b" <svg>", Some("SVG")),
            (b"RIFF\0\0\0\0AVI LIST", Some("AVI")),
            (b"<!doctype html><HTML><svg>", None),
            (b"text about <svg", None),
            (b"", None),
            (b"\0\0\0", None),
        ] {
            assert_eq!(by_content(bytes), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_signature_is_the_error_of_the_image() {
        let error = |bytes: &[u8]| decode(bytes, &Limits::pixels(1_000_000), |_, _| 1.0).unwrap_err();
        let heic = error(b"\0\0\0\x18ftypheic\0\0\0\0");
        assert_eq!(heic.to_string(), "HEIC is not supported; convert it first");
        assert_eq!(error(b"text"), ImageError::NotAnImage);
    }

    /// A TIFF with these entries of type LONG and one value.
    fn tiff(order: &[u8], entries: &[(u16, u32)]) -> Vec<u8> {
        let is_big = order == b"MM";
        let u16_of = |value: u16| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let u32_of = |value: u32| if is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = [order, &u16_of(42), &u32_of(8), &u16_of(entries.len() as u16)].concat();
        for (tag, value) in entries {
            bytes.extend([&u16_of(*tag)[..], &u16_of(4), &u32_of(1), &u32_of(*value)].concat());
        }
        bytes
    }

    #[test]
    fn files_of_cameras_are_no_tiffs() {
        for order in [b"II", b"MM"] {
            assert_eq!(camera_raw(&tiff(order, &[(NEW_SUBFILE_TYPE, 1), (DNG_VERSION, 1)])), Some("DNG"));
            let entries = [(NEW_SUBFILE_TYPE, 1), (MAKE, 46), (SUB_DIRECTORIES, 90)];
            for (make, expected) in [
                (&b"NIKON CORPORATION"[..], Some("Nikon NEF")),
                (b"SONY", Some("Sony ARW")),
                (b"Epson", None),
            ] {
                assert_eq!(camera_raw(&[&tiff(order, &entries), make].concat()), expected);
            }
            assert_eq!(camera_raw(&tiff(order, &[(NEW_SUBFILE_TYPE, 0), (MAKE, 34)])), None);
        }
        assert_eq!(camera_raw(b"II*\0\x10\0\0\0CR\x02\0"), Some("Canon CR2"));
        assert_eq!(camera_raw(b"II*\0\xff\xff\xff\xff"), None);
        assert_eq!(camera_raw(samples::CMYK_TIFF), None);
        let image = image::DynamicImage::ImageRgb8(samples::tiles(8, 8));
        assert_eq!(camera_raw(&samples::encode(&image, Format::Tiff)), None);
    }
}

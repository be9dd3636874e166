//! What the targets call: the engine's own modules that read images, compiled by path, so that they and the C code of
//! libjpeg-turbo are instrumented and DataFusion is not built.
//!
//! Whatever bytes come in, the answer is an image or an error. Findings are what AddressSanitizer reports, allocations
//! beyond the limits, time-outs, panics that are not contained, and answers that contradict each other.

use std::cell::Cell;
use std::collections::HashSet;
use std::panic::{self, Location, PanicHookInfo};
use std::sync::{Mutex, PoisonError};

use datafusion::object_store::ObjectStoreExt;
use datafusion::object_store::memory::InMemory;
use datafusion::object_store::path::Path;
use futures::executor::block_on;
use libfuzzer_sys::Corpus;

use crate::images::decode::{self, Format, Header, ImageError, Limits, MAX_HEADER_BYTES, RgbImage};
use crate::images::metadata::Metadata;

#[expect(dead_code, unused_imports, reason = "the engine uses more of them")]
#[path = "../../src/images"]
mod images {
    pub mod decode;
    pub mod metadata;
}

/// Most pixels of an image. scripts/fuzz.py limits single allocations.
const MAX_PIXELS: u64 = 1 << 20;
/// Most bytes that a decoder is granted.
const MAX_BYTES: u64 = 32 << 20;
/// Most frames that are counted.
const MAX_FRAMES: u64 = 1000;
/// Smaller images are decoded twice.
const FEW_PIXELS: u64 = 1 << 14;

/// Prints where a decoder panics, once for each place. libFuzzer's hook would end the process, although the engine
/// contains such panics and reports them as errors of their images; others still end it.
pub fn report_contained_panics() {
    static PLACES: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    panic::set_hook(Box::new(|info: &PanicHookInfo<'_>| {
        let place = info.location().map(Location::to_string).unwrap_or_default();
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        if places.get_or_insert_default().insert(place) {
            eprintln!("{info}");
        }
    }));
}

/// Decodes an image of the format of this name.
pub fn decode_as(format: &str, bytes: &[u8]) -> Corpus {
    if Format::of(bytes).is_none_or(|found| found.name() != format) {
        return Corpus::Reject;
    }
    // Each JPEG is decoded at one scale, so that seeds are files as they are.
    let scale = [1.0, 0.5, 0.25, 0.125][bytes.len() % 4];
    let decoded = decode_within_limits(bytes, scale);
    if let Ok(image) = &decoded {
        check(image);
        if u64::from(image.width) * u64::from(image.height) <= FEW_PIXELS {
            // A decoder keeps its state from image to image.
            let again = decode_within_limits(bytes, scale);
            assert!(again.is_ok_and(|again| again == *image), "the second time it is another image");
        }
    }
    Corpus::Keep
}

fn decode_within_limits(bytes: &[u8], scale: f64) -> Result<RgbImage, ImageError> {
    let granted = Cell::new(0);
    let admit = |bytes: u64| {
        granted.set(granted.get() + bytes);
        granted.get() <= MAX_BYTES
    };
    decode::decode(bytes, &Limits { max_pixels: MAX_PIXELS, memory_limit: None, admit: &admit }, |_, _| scale)
}

fn check(image: &RgbImage) {
    let RgbImage { width, height, pixels, original_width, original_height } = image;
    assert_eq!(pixels.len() as u64, u64::from(*width) * u64::from(*height) * 3);
    assert!(width <= original_width && height <= original_height, "{image:?}");
    assert!(u64::from(*original_width) * u64::from(*original_height) <= MAX_PIXELS, "{image:?}");
}

/// Reads the header, at once and in the parts that are fetched of a remote file: both are the same, and the size is that
/// of the decoded image.
pub fn header(bytes: &[u8]) -> Corpus {
    let header = Header::of(bytes);
    let store = InMemory::new();
    let fetched = block_on(async {
        let path = Path::from("image");
        store.put(&path, bytes.to_vec().into()).await.ok()?;
        let file = store.head(&path).await.ok()?;
        let mut length = 0;
        let header = Header::fetch(&store, &file, |bytes| length += bytes).await.ok()?;
        Some((header, length as u64))
    });
    let Some((fetched, length)) = fetched else { panic!("the store has lost its file") };
    if length < MAX_HEADER_BYTES {
        assert_eq!(fetched, header);
    }
    if let (Some(header), Ok(image)) = (header, decode_within_limits(bytes, 0.125)) {
        assert_eq!((image.original_width, image.original_height), (header.width, header.height));
    }
    if header.is_some() { Corpus::Keep } else { Corpus::Reject }
}

/// Reads the metadata of an image.
pub fn metadata(bytes: &[u8]) -> Corpus {
    match Metadata::read(bytes, MAX_FRAMES) {
        Ok(found) => {
            assert!(found.width > 0 && found.height > 0 && (1..=8).contains(&found.orientation));
            assert!(found.frames.is_none_or(|frames| u64::from(frames) <= MAX_FRAMES));
            Corpus::Keep
        }
        Err(ImageError::NotAnImage | ImageError::Unsupported(_)) => Corpus::Reject,
        Err(_) => Corpus::Keep,
    }
}

/// Reads the metadata of a JPEG with `exif` as its EXIF data, from the header of the TIFF on.
pub fn exif(exif: &[u8]) -> Corpus {
    const START: &[u8] = b"\xff\xd8\xff\xe1";
    const SIGNATURE: &[u8] = b"Exif\0\0";
    const REST: &[u8] = b"\xff\xc0\0\x0b\x08\0\x01\0\x01\x01\x01\x11\0\xff\xd9";
    let Ok(length) = u16::try_from(exif.len() + SIGNATURE.len() + 2) else { return Corpus::Reject };
    let jpeg = [START, &length.to_be_bytes(), SIGNATURE, exif, REST].concat();
    let found = Metadata::read(&jpeg, MAX_FRAMES);
    assert!(found.is_ok_and(|found| (found.width, found.height) == (1, 1)));
    Corpus::Keep
}

//! Size and format of an image from a few of its bytes: only those that the parser reads are fetched.
//!
//! ```text
//! file   ├─ block 1 ─┤······················├─ block 2 ─┤······
//!        signature, JPEG and PNG sizes       a TIFF's directory, a WebP's EXIF
//! ```
//!
//! The parser reads through [`Parts`], the blocks fetched so far. A read outside them fails; the block there is then
//! fetched and the parser restarts, so that a JPEG's large colour profile is skipped, not read. The decoders' own
//! header parsers are used, so that the width in the table is the width a model gets.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use datafusion::arrow::buffer::Buffer;
use datafusion::object_store::{self, ObjectMeta, ObjectStore, ObjectStoreExt};
use image::ImageDecoder;
use image::metadata::Orientation;

use super::format::Format;
use super::jpeg_header::JpegHeader;
use super::raster::contain_panic;
use crate::images::decode::upright_size;

/// Bytes of the first block; most headers fit.
const FIRST_BLOCK: u64 = 16 << 10;
/// Growth factor of further blocks, so that a long header takes few requests.
const BLOCK_GROWTH: u64 = 4;
/// Bytes of one file after which its header counts as unreadable.
pub(crate) const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Bytes of the longest signature.
const SIGNATURE_BYTES: u64 = 16;

/// The fields of an image header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Width in pixels as displayed, with the EXIF orientation applied.
    pub(crate) width: u32,
    /// Height in pixels as displayed.
    pub(crate) height: u32,
    /// Format by the content.
    pub(crate) format: Format,
}

impl Header {
    /// Reads the header of an image in memory; `None` if it is not an image or damaged.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes))
    }

    /// Reads the header of `file` by ranged requests; calls `on_bytes` with the length of each block.
    ///
    /// # Errors
    /// Those of the store. A file that is not an image is `Ok(None)`.
    pub(crate) async fn fetch(
        store: &dyn ObjectStore,
        file: &ObjectMeta,
        mut on_bytes: impl FnMut(usize),
    ) -> object_store::Result<Option<Self>> {
        let mut parts = Parts::new(file.size);
        let mut block_length = FIRST_BLOCK;
        let mut missing = (file.size > 0).then_some(0_u64);
        let mut header = None;
        while let Some(start) = missing {
            if parts.fetched_bytes() >= MAX_HEADER_BYTES {
                break;
            }
            let end = start.saturating_add(block_length).min(file.size);
            let block = store.get_range(&file.location, start..end).await?;
            if block.is_empty() {
                break;
            }
            on_bytes(block.len());
            parts.blocks.push((start, Buffer::from(block)));
            block_length = (block_length * BLOCK_GROWTH).min(MAX_HEADER_BYTES / BLOCK_GROWTH);
            header = Self::read(&mut parts);
            missing = parts.missing.take();
        }
        Ok(header)
    }

    fn read(reader: &mut (impl BufRead + Seek)) -> Option<Self> {
        contain_panic(|| Self::read_unguarded(reader)).flatten()
    }

    fn read_unguarded(reader: &mut (impl BufRead + Seek)) -> Option<Self> {
        let mut signature = Vec::new();
        reader.rewind().ok()?;
        reader.by_ref().take(SIGNATURE_BYTES).read_to_end(&mut signature).ok()?;
        let format = Format::of(&signature)?;
        reader.rewind().ok()?;
        let (stored_size, orientation) = match format {
            Format::Jpeg => {
                let header = JpegHeader::read(reader).ok()?;
                (header.frame?.size, header.orientation)
            }
            _ => {
                let mut decoder = seequel_pixels::open_decoder(reader, format.into()).ok()?;
                (decoder.dimensions(), decoder.orientation().unwrap_or(Orientation::NoTransforms))
            }
        };
        let (width, height) = upright_size(stored_size, orientation);
        (width > 0 && height > 0).then_some(Self { width, height, format })
    }
}

/// The fetched blocks of a file, read as if they were the whole file.
struct Parts {
    file_size: u64,
    blocks: Vec<(u64, Buffer)>,
    position: u64,
    /// Position of the first read of a byte that has not been fetched.
    missing: Option<u64>,
}

impl Parts {
    fn new(file_size: u64) -> Self {
        Self { file_size, blocks: Vec::new(), position: 0, missing: None }
    }

    fn fetched_bytes(&self) -> u64 {
        self.blocks.iter().map(|(_, block)| block.len() as u64).sum()
    }
}

impl BufRead for Parts {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position >= self.file_size {
            return Ok(&[]);
        }
        let here = self.blocks.iter().find_map(|(start, block)| {
            let offset = usize::try_from(self.position.checked_sub(*start)?).ok()?;
            block.get(offset..).filter(|rest| !rest.is_empty())
        });
        if here.is_none() {
            self.missing.get_or_insert(self.position);
        }
        here.ok_or_else(|| io::Error::other("not fetched yet"))
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.position.saturating_add(amount as u64);
    }
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let amount = available.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&available[..amount]);
        self.consume(amount);
        Ok(amount)
    }
}

impl Seek for Parts {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.file_size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::object_store::PutPayload;
    use datafusion::object_store::memory::InMemory;
    use datafusion::object_store::path::Path;
    use image::DynamicImage;

    use super::*;
    use crate::images::samples;

    /// The header by ranged reads, and the number of bytes fetched.
    async fn fetch(bytes: &[u8]) -> (Option<Header>, usize) {
        let store = InMemory::new();
        let path = Path::from("image");
        store.put(&path, PutPayload::from(bytes.to_vec())).await.unwrap();
        let file = store.head(&path).await.unwrap();
        let mut fetched = 0;
        let header = Header::fetch(&store, &file, |bytes| fetched += bytes).await.unwrap();
        (header, fetched)
    }

    #[tokio::test]
    async fn reads_size_and_format_of_every_format() {
        let image = DynamicImage::ImageRgb8(samples::tiles(64, 32));
        for format in samples::ALL_FORMATS {
            let bytes = samples::encode(&image, format);
            let expected = Some(Header { width: 64, height: 32, format });
            assert_eq!(Header::of(&bytes), expected);
            assert_eq!(fetch(&bytes).await.0, expected);
        }
    }

    #[tokio::test]
    async fn sizes_are_as_displayed() {
        for format in [Format::Jpeg, Format::Png, Format::WebP] {
            for orientation in 1..=8 {
                let bytes = samples::encode_turned(&samples::tiles(64, 32), format, orientation);
                let (width, height) = if orientation < 5 { (64, 32) } else { (32, 64) };
                assert_eq!(fetch(&bytes).await.0, Some(Header { width, height, format }), "{orientation}");
            }
        }
    }

    #[tokio::test]
    async fn skips_large_segments_instead_of_reading_them() {
        let jpeg = samples::encode_turned(&samples::tiles(64, 32), Format::Jpeg, 6);
        let padded = samples::pad_jpeg(&jpeg, 10 << 20);
        let (header, fetched) = fetch(&padded).await;
        assert_eq!(header, None, "so many segments are given up");
        assert!(fetched < 6 << 20, "{fetched}");

        let padded = samples::pad_jpeg(&jpeg, 100 << 10);
        let (header, fetched) = fetch(&padded).await;
        assert_eq!(header, Some(Header { width: 32, height: 64, format: Format::Jpeg }));
        assert!(fetched < padded.len(), "{fetched} of {}", padded.len());
    }

    #[tokio::test]
    async fn finds_the_directory_at_the_end_of_a_tiff() {
        let image = DynamicImage::ImageRgb8(samples::tiles(2000, 2000));
        let tiff = samples::encode(&image, Format::Tiff);
        let (header, fetched) = fetch(&tiff).await;
        assert_eq!(header, Some(Header { width: 2000, height: 2000, format: Format::Tiff }));
        assert!(fetched < 100 << 10, "{fetched} of {}", tiff.len());
    }

    #[tokio::test]
    async fn non_images_have_no_header() {
        let jpeg = samples::encode(&DynamicImage::ImageRgb8(samples::tiles(64, 32)), Format::Jpeg);
        for bytes in [b"".as_slice(), b"text", &[0; 100_000], &jpeg[..3], &jpeg[..20]] {
            assert_eq!(Header::of(bytes), None);
            assert_eq!(fetch(bytes).await.0, None);
        }
    }
}

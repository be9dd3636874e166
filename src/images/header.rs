//! Size and format of an image from a few of its bytes, fetched only where the parser looks.
//!
//! ```text
//! file   ├─ block 1 ─┤······················├─ block 2 ─┤······
//!        signature, JPEG and PNG sizes       a TIFF's directory, a WebP's EXIF
//! ```
//!
//! The parser reads through [`Parts`], the blocks fetched so far. Where it touches a hole, it is stopped, the block
//! there is fetched and it starts again; a JPEG's large colour profile is thus skipped, not read. The decoders' own
//! header parsers are used, so that a width in the table is the width a model sees.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use datafusion::arrow::buffer::Buffer;
use datafusion::object_store::{self, ObjectMeta, ObjectStore, ObjectStoreExt};
use image::ImageDecoder;
use image::metadata::Orientation;

use super::decode::{JpegHeader, contain_panic, open_decoder, upright_size};
use super::format::Format;

/// Bytes of the first block; most headers fit.
const FIRST_BLOCK: u64 = 16 << 10;
/// Each further block is this many times as long, so that a long header takes few requests.
const BLOCK_GROWTH: u64 = 4;
/// Bytes of one file after which its header is given up as unreadable.
pub(crate) const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Bytes of the longest signature.
const SIGNATURE_BYTES: u64 = 16;

/// What an image says of itself before its pixels.
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
    /// Reads the header of an image held in memory; `None` if it is no image or a damaged one.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes))
    }

    /// Reads the header of `file` by ranged requests, and adds up their bytes in `on_bytes`.
    ///
    /// # Errors
    /// Those of the store. A file that is no image is `Ok(None)`.
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
        reader
            .by_ref()
            .take(SIGNATURE_BYTES)
            .read_to_end(&mut signature)
            .ok()?;
        let format = Format::of(&signature)?;
        reader.rewind().ok()?;
        let (stored_size, orientation) = match format {
            Format::Jpeg => {
                let header = JpegHeader::read(reader).ok()?;
                (header.size?, header.orientation)
            }
            _ => {
                let mut decoder = open_decoder(reader, format).ok()?;
                (
                    decoder.dimensions(),
                    decoder.orientation().unwrap_or(Orientation::NoTransforms),
                )
            }
        };
        let (width, height) = upright_size(stored_size, orientation);
        (width > 0 && height > 0).then_some(Self {
            width,
            height,
            format,
        })
    }
}

/// The blocks of a file that have been fetched, read as if they were the whole file.
struct Parts {
    file_size: u64,
    blocks: Vec<(u64, Buffer)>,
    position: u64,
    /// Where the reader came to a byte that has not been fetched.
    missing: Option<u64>,
}

impl Parts {
    fn new(file_size: u64) -> Self {
        Self {
            file_size,
            blocks: Vec::new(),
            position: 0,
            missing: None,
        }
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

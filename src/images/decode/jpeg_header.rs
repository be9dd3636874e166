//! Reads the segments of a JPEG up to its first scan, for size and orientation.

use std::io::{self, BufRead, Seek, SeekFrom};

use image::metadata::Orientation;

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
const APP1: u8 = 0xE1;
const EXIF_SIGNATURE: &[u8] = b"Exif\0\0";

/// The fields of a JPEG's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JpegHeader {
    /// The frame header; `None` if a scan or the end of the image comes first.
    pub(crate) frame: Option<JpegFrame>,
    /// How to turn the stored pixels upright.
    pub(crate) orientation: Orientation,
}

/// The start of a frame: size and sample format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JpegFrame {
    /// Width and height as stored.
    pub(crate) size: (u32, u32),
    /// Bits per sample.
    pub(crate) bits: u8,
    /// Number of channels.
    pub(crate) components: u8,
}

impl JpegHeader {
    /// Reads the segments from the start of `reader` and seeks past irrelevant ones.
    ///
    /// # Errors
    /// Those of `reader`; `UnexpectedEof` if the file ends inside its header.
    pub(crate) fn read(reader: &mut (impl BufRead + Seek)) -> io::Result<Self> {
        reader.seek(SeekFrom::Start(2))?;
        let mut frame = None;
        let mut orientation = None;
        while frame.is_none() || orientation.is_none() {
            let marker = next_marker(reader)?;
            if matches!(marker, START_OF_SCAN | END_OF_IMAGE) {
                break;
            }
            if is_standalone(marker) {
                continue;
            }
            let length = payload_length(reader)?;
            let payload_start = reader.stream_position()?;
            // Decoders ignore a second one, or reject the file.
            if is_start_of_frame(marker) && frame.is_none() {
                frame = Some(read_frame(reader)?);
            } else if marker == APP1 && orientation.is_none() {
                orientation = exif_orientation(reader, length)?;
            }
            reader.seek(SeekFrom::Start(payload_start + u64::from(length)))?;
        }
        Ok(Self { frame, orientation: orientation.unwrap_or(Orientation::NoTransforms) })
    }

    /// Whether the first scan lacks a component, so that a decoder keeps the coefficients of all pixels until the last one.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub(crate) fn has_partial_scan(reader: &mut (impl BufRead + Seek)) -> io::Result<bool> {
        reader.seek(SeekFrom::Start(2))?;
        let mut components = 0;
        loop {
            let marker = next_marker(reader)?;
            if marker == END_OF_IMAGE {
                return Ok(false);
            }
            if is_standalone(marker) {
                continue;
            }
            let length = payload_length(reader)?;
            let payload_start = reader.stream_position()?;
            if marker == START_OF_SCAN {
                return Ok(read_byte(reader)? < components);
            }
            if is_start_of_frame(marker) {
                components = read_frame(reader)?.components;
            }
            reader.seek(SeekFrom::Start(payload_start + u64::from(length)))?;
        }
    }
}

/// Skips to the next marker, over fill bytes and any garbage that some writers leave between segments.
fn next_marker(reader: &mut impl BufRead) -> io::Result<u8> {
    loop {
        while read_byte(reader)? != 0xFF {}
        let mut code = 0xFF;
        while code == 0xFF {
            code = read_byte(reader)?;
        }
        if code != 0 {
            return Ok(code);
        }
    }
}

/// Markers without a length: TEM, the restarts and a second start of image.
fn is_standalone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xD0..=0xD8)
}

/// SOF0 to SOF15; DHT, JPG and DAC share their range.
fn is_start_of_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

fn read_frame(reader: &mut impl BufRead) -> io::Result<JpegFrame> {
    let bits = read_byte(reader)?;
    let height = read_u16(reader)?;
    let width = read_u16(reader)?;
    let components = read_byte(reader)?;
    Ok(JpegFrame { size: (width.into(), height.into()), bits, components })
}

/// Orientation of an APP1 segment of `length` bytes, if it is EXIF and has one.
fn exif_orientation(reader: &mut impl BufRead, length: u16) -> io::Result<Option<Orientation>> {
    let mut signature = [0; EXIF_SIGNATURE.len()];
    let Some(exif_length) = usize::from(length).checked_sub(signature.len()) else {
        return Ok(None);
    };
    reader.read_exact(&mut signature)?;
    if signature != EXIF_SIGNATURE {
        return Ok(None);
    }
    let mut exif = vec![0; exif_length];
    reader.read_exact(&mut exif)?;
    Ok(Orientation::from_exif_chunk(&exif))
}

fn payload_length(reader: &mut impl BufRead) -> io::Result<u16> {
    let length = read_u16(reader)?;
    length.checked_sub(2).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a segment of no length"))
}

fn read_byte(reader: &mut impl BufRead) -> io::Result<u8> {
    let mut byte = [0];
    reader.read_exact(&mut byte)?;
    Ok(byte[0])
}

fn read_u16(reader: &mut impl BufRead) -> io::Result<u16> {
    let mut bytes = [0; 2];
    reader.read_exact(&mut bytes)?;
    Ok(u16::from_be_bytes(bytes))
}

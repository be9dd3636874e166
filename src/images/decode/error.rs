//! Why bytes did not become pixels, in the words a row's `error` field shows.

use super::format::Format;

/// An error of one image; it concerns no other row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// There are no bytes at all.
    #[error("empty file")]
    Empty,

    /// The first bytes are the signature of none of the formats.
    #[error("not an image: the content is no JPEG, PNG, WebP, GIF, BMP or TIFF")]
    NotAnImage,

    /// The bytes end early, contradict themselves or use a feature that the decoder lacks.
    #[error("truncated or damaged {format}: {reason}")]
    Damaged {
        /// Format by the content: `jpeg`, `png`, `webp`, `gif`, `bmp` or `tiff`.
        format: &'static str,
        /// What the decoder said.
        reason: String,
    },

    /// The header announces more pixels than the session allows.
    #[error("{width} × {height} pixels are more than inference.max_image_pixels ({max_pixels})")]
    TooLarge {
        /// Width in pixels, as displayed.
        width: u32,
        /// Height in pixels, as displayed.
        height: u32,
        /// The limit on width × height.
        max_pixels: u64,
    },

    /// The session's memory limit leaves no room for the pixels.
    #[error("decoding takes {megabytes} MiB, more than the memory limit leaves")]
    NoMemory {
        /// What decoding takes, in MiB.
        megabytes: u64,
    },
}

impl ImageError {
    /// [`Self::Damaged`], for the reason that a decoder gave.
    pub(crate) fn damaged(format: Format, reason: &impl ToString) -> Self {
        Self::Damaged { format: format.name(), reason: reason.to_string() }
    }
}

//! Decoding errors, with the messages shown in a row's `error` field.

use super::format::Format;

/// An error of one image; other rows are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// There are no bytes.
    #[error("empty file")]
    Empty,

    /// The first bytes match no format's signature.
    #[error("not an image: the content is not JPEG, PNG, WebP, GIF, BMP or TIFF")]
    NotAnImage,

    /// A format that is known but not decoded, by its name: `HEIC`.
    #[error("{0} is not supported; convert it first")]
    Unsupported(&'static str),

    /// The bytes end early, contradict themselves or use a feature that the decoder lacks.
    #[error("truncated or damaged {format}: {reason}")]
    Damaged {
        /// Format by the content: `jpeg`, `png`, `webp`, `gif`, `bmp` or `tiff`.
        format: &'static str,
        /// The decoder's error.
        reason: String,
    },

    /// The header declares more pixels than the session allows.
    #[error("{width} × {height} pixels are more than inference.max_image_pixels ({max_pixels})")]
    TooLarge {
        /// Width in pixels, as displayed.
        width: u32,
        /// Height in pixels, as displayed.
        height: u32,
        /// The limit on width × height.
        max_pixels: u64,
    },

    /// There are more frames than the session allows.
    #[error("its frames are more than inference.max_frames ({max_frames})")]
    TooManyFrames {
        /// The limit on their number.
        max_frames: u64,
    },

    /// The session's memory limit has no room for the pixels.
    #[error(
        "decoding takes {megabytes} MiB, more than the memory limit{}; --memory-limit or SET datafusion.runtime.memory_limit raises it",
        .limit.map_or_else(String::new, |limit| format!(" ({limit} MiB)"))
    )]
    NoMemory {
        /// Memory that decoding takes, in MiB.
        megabytes: u64,
        /// The limit in MiB, if it is known.
        limit: Option<u64>,
    },
}

impl ImageError {
    /// [`Self::Damaged`] with a decoder's reason.
    pub(crate) fn damaged(format: Format, reason: &impl ToString) -> Self {
        Self::Damaged { format: format.name(), reason: reason.to_string() }
    }
}

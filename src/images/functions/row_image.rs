//! The image of a row that a function decodes, and whoever asks what came of it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use datafusion::config::ConfigOptions;
use parking_lot::Mutex;

use crate::config::unlisted_setting;
use crate::images::decode::{Limits, RgbImage, decode};

/// The encoded image of a row.
pub(crate) struct RowImage<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) limits: &'a Limits<'a>,
    /// Why it can't be decoded, if it can't; `None` as long as nothing has decoded it.
    decoded: RefCell<Option<Result<(), String>>>,
}

impl fmt::Debug for RowImage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowImage").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl<'a> RowImage<'a> {
    pub(crate) fn new(bytes: &'a [u8], limits: &'a Limits<'a>) -> Self {
        Self { bytes, limits, decoded: RefCell::new(None) }
    }

    /// The pixels, at the scale that `min_scale` gives for the size: see [`decode`].
    ///
    /// # Errors
    /// Bytes that are no image, or exceed the limits.
    pub(crate) fn decode(&self, min_scale: impl FnOnce(u32, u32) -> f64) -> Result<RgbImage, String> {
        let decoded = decode(self.bytes, self.limits, min_scale).map_err(|error| error.to_string());
        *self.decoded.borrow_mut() = Some(decoded.as_ref().map(|_| ()).map_err(Clone::clone));
        decoded
    }

    /// What came of decoding it, if that was tried.
    pub(super) fn into_decoded(self) -> Option<Result<(), String>> {
        self.decoded.into_inner()
    }
}

/// What came of decoding the rows of a batch: why there is no image, if there is none. A function that finds this among its
/// settings tells it of each image that it decodes, and leaves those that it can't decode to whoever reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct DecodedRows(Arc<Mutex<BTreeMap<usize, Option<String>>>>);

unlisted_setting!(DecodedRows, "inference_decoded_rows");

impl DecodedRows {
    /// Whoever asks a function with these settings.
    pub(super) fn of(config: &ConfigOptions) -> Option<&Self> {
        config.extensions.get()
    }

    pub(super) fn add(&self, row: usize, decoded: Result<(), String>) {
        self.0.lock().insert(row, decoded.err());
    }

    /// The rows that were decoded, and those that could not be.
    pub(crate) fn take(&self) -> BTreeMap<usize, Option<String>> {
        std::mem::take(&mut self.0.lock())
    }
}

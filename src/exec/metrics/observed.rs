//! The images of a morsel while they are decoded, for the record of the query.

use std::time::Duration;

use parking_lot::Mutex;

use super::row_record::RowRecord;
use super::row_sample::Chosen;
use crate::images::RgbImage;

/// Is told of each image of a morsel, from any thread.
#[derive(Debug)]
pub(crate) struct Observed<'a> {
    record: &'a RowRecord,
    /// The rows that the record's sample may keep.
    chosen: &'a [Chosen],
    times: Mutex<Vec<(usize, Duration)>>,
}

impl<'a> Observed<'a> {
    pub(in crate::exec) fn new(record: &'a RowRecord, chosen: &'a [Chosen]) -> Self {
        Self { record, chosen, times: Mutex::default() }
    }

    /// The image of `row` has been decoded.
    pub(in crate::exec) fn see(&self, row: usize, image: &RgbImage) {
        if let Some(chosen) = self.chosen.iter().find(|chosen| chosen.row == row) {
            self.record.show_image(chosen, image);
        }
    }

    /// Decoding the image of `row` took `time`, whether or not it succeeded.
    pub(in crate::exec) fn add_time(&self, row: usize, time: Duration) {
        self.times.lock().push((row, time));
    }

    /// The time that each image took.
    pub(in crate::exec) fn into_times(self) -> Vec<(usize, Duration)> {
        self.times.into_inner()
    }
}

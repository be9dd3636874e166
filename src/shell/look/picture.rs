//! Decodes images for looking at, no larger than they are shown.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use datafusion::common::Result;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::DataFusionError;
use futures::{Stream, TryStreamExt};
use image::RgbImage;
use image::imageops::thumbnail;

use super::rows::Row;
use crate::images::decode;
use crate::images::decode::Limits;

/// Most images decoded at the same time.
const MAX_CONCURRENCY: usize = 8;

/// An image as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    pub(crate) pixels: RgbImage,
    /// Width and height of the image in the file, as displayed.
    pub(crate) original: (u32, u32),
}

impl Picture {
    /// Decodes an image and shrinks it to fit `size`; it is never enlarged.
    ///
    /// # Errors
    /// Why the image can't be decoded.
    pub(crate) fn decode(bytes: &[u8], max_pixels: u64, (width, height): (u32, u32)) -> Result<Self, String> {
        let scale = |original: (u32, u32)| {
            let ratio = |to: u32, from: u32| f64::from(to) / f64::from(from.max(1));
            ratio(width, original.0).min(ratio(height, original.1)).min(1.0)
        };
        let decoded = decode(bytes, &Limits::pixels(max_pixels), |width, height| scale((width, height)))
            .map_err(|error| error.to_string())?;
        let original = (decoded.original_width, decoded.original_height);
        let scale = scale(original);
        let side = |length: u32| (f64::from(length) * scale).round().max(1.0) as u32;
        let pixels = RgbImage::from_raw(decoded.width, decoded.height, decoded.pixels)
            .ok_or("the decoder returned too few pixels")?;
        Ok(Self { pixels: thumbnail(&pixels, side(original.0), side(original.1)), original })
    }
}

/// Applies `work`, which decodes, to each row on blocking threads, several at a time; results are in order.
pub(crate) fn for_each_row<T: Send + 'static>(
    rows: impl Stream<Item = Result<Row>>,
    work: impl Fn(Row) -> T + Send + Sync + 'static,
) -> impl Stream<Item = Result<T>> {
    let concurrency = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_CONCURRENCY);
    let work = Arc::new(work);
    rows.map_ok(move |row| {
        let work = Arc::clone(&work);
        async move {
            let task = SpawnedTask::spawn_blocking(move || work(row));
            task.join().await.map_err(|error| DataFusionError::ExecutionJoin(Box::new(error)))
        }
    })
    .try_buffered(concurrency)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat};

    use super::*;

    #[test]
    fn pictures_fit_and_are_never_enlarged() {
        let png = |width, height| {
            let mut png = Cursor::new(Vec::new());
            DynamicImage::new_rgb8(width, height).write_to(&mut png, ImageFormat::Png).unwrap();
            png.into_inner()
        };
        for (size, fitted) in
            [((400, 100), (80, 20)), ((100, 400), (15, 60)), ((7, 5), (7, 5)), ((4000, 1), (80, 1))]
        {
            let picture = Picture::decode(&png(size.0, size.1), 1_000_000, (80, 60)).unwrap();
            assert_eq!((picture.pixels.dimensions(), picture.original), (fitted, size));
        }
        let reason = Picture::decode(&png(400, 100), 39_999, (80, 60)).err().unwrap_or_default();
        assert!(reason.contains("400 × 100 pixels"), "{reason}");
    }
}

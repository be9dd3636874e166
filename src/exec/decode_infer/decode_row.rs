//! Decodes the image of one row, once at each scale that models need.

use std::cell::Cell;
use std::time::Duration;

use datafusion::error::Result;

use super::context::Context;
use super::inference_plan::ModelPlan;
use super::worker_memory::Pixels;
use crate::clock::Clock;
use crate::failures::{Failure, Stage};
use crate::images::decode::{ImageError, Limits, RgbImage, decode, decoder_scale};

/// Decodes `bytes`, the image of `row`, and calls `give` with the position of each model and its image, or the reason why
/// there is none. Returns that reason. `clock` is that of the thread.
///
/// # Errors
/// The first error of `give`.
pub(crate) fn decode_row<B>(
    row: usize,
    bytes: &[u8],
    plans: &[ModelPlan],
    pixels: &Pixels<'_, B>,
    context: &Context<'_>,
    clock: &Clock,
    mut give: impl FnMut(usize, std::result::Result<&RgbImage, &ImageError>) -> Result<()>,
) -> Result<Option<Failure>> {
    let Context { metrics, cancellation, decoders, .. } = context;
    let memory_wait_time =
        if decoders.is_some() { &metrics.decoders_memory_wait_time } else { &metrics.memory_wait_time };
    let mut failure = None;
    metrics.decoded_bytes.add(bytes.len());
    let mut scales = Scales::new(plans);
    let mut is_decoded = false;
    let mut spent = Duration::ZERO;
    while !scales.is_done {
        // Between an image and the next one is next to nothing.
        let decoding = clock.next(&metrics.decode_time);
        let waited = Cell::new(Duration::ZERO);
        let admit = |bytes: u64| {
            let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
            // Most don't wait, and reading the clock costs more than this.
            if pixels.try_add(bytes) {
                return true;
            }
            let waiting = clock.during(memory_wait_time);
            let is_admitted = pixels.add(bytes, || cancellation.check()).is_ok();
            waited.set(waited.get() + waiting.end());
            is_admitted
        };
        let limits = Limits {
            max_pixels: context.bounds.max_image_pixels,
            memory_limit: context.reservation.limit(),
            admit: &admit,
        };
        let decoded = decode(bytes, &limits, |width, height| scales.next(width, height));
        spent += decoding.end().saturating_sub(waited.get());
        metrics.decodes.add(1);
        is_decoded |= decoded.is_ok();
        match (&decoded, context.observed) {
            (Ok(image), Some(observed)) => observed.see(row, image),
            (Ok(_), None) => {}
            (Err(reason), _) => failure = Some(Failure::new(Stage::Decode, reason.to_string())),
        }
        scales.take().into_iter().try_for_each(|model| give(model, decoded.as_ref()))?;
        drop(decoded);
        pixels.clear();
    }
    metrics.decoded_images.add(usize::from(is_decoded));
    if let Some(observed) = context.observed {
        observed.add_time(row, spent);
    }
    Ok(failure)
}

/// The scales at which the models need one image, largest first.
///
/// A model always gets the same pixels as if it ran alone: other calls of a query must not change its predictions.
struct Scales<'a> {
    plans: &'a [ModelPlan],
    /// One per model, once the decoder has asked for a scale; a decoder with a single scale never asks.
    of_models: Vec<f64>,
    /// The scale of the last decode that asked for one.
    current: f64,
    /// Whether the current decode has asked for a scale.
    has_asked: bool,
    is_done: bool,
}

impl<'a> Scales<'a> {
    fn new(plans: &'a [ModelPlan]) -> Self {
        Self { plans, of_models: vec![], current: f64::INFINITY, has_asked: false, is_done: false }
    }

    /// The scale to decode an image of `width` × `height` pixels at next.
    fn next(&mut self, width: u32, height: u32) -> f64 {
        let scale = |plan: &ModelPlan| decoder_scale(plan.model.spec().least_scale(width, height));
        self.of_models = self.plans.iter().map(scale).collect();
        let smaller = self.of_models.iter().copied().filter(|scale| *scale < self.current);
        self.current = smaller.fold(0.0, f64::max);
        self.has_asked = true;
        self.current
    }

    /// The models that need the image just decoded: all remaining ones if the decoder did not ask for a scale.
    fn take(&mut self) -> Vec<usize> {
        let has_asked = std::mem::take(&mut self.has_asked);
        let is_smaller = |model: &usize| self.of_models.get(*model).is_none_or(|scale| *scale < self.current);
        let (left, others): (Vec<_>, Vec<_>) = (0..self.plans.len()).partition(is_smaller);
        self.is_done = left.is_empty() || !has_asked;
        if has_asked {
            others.into_iter().filter(|model| self.of_models[*model] == self.current).collect()
        } else {
            left
        }
    }
}

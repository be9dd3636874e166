//! Images to calibrate on and to compare predictions on, and the runs of a model on them.
//!
//! ```text
//!  encoded image ─ decode ─ preprocess ─► tensor ─ Model::run ─► outputs ─► what the caller keeps of them
//! ```
//!
//! Images stay encoded between runs: a hundred photos take some ten megabytes, their tensors ten times that.

use std::thread;

use crate::bounds::Bounds;
use crate::clock::Clock;
use crate::images::decode::{Limits, decode, decoder_scale};
use crate::model::Model;
use crate::model::runtime::{Batch, Cancellation, RunTimes};
use crate::model::tensor::{BatchOutput, Placement, Preprocessor, Tensor};
use crate::{Error, Result};

/// Encoded images.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    pub(crate) images: Vec<Vec<u8>>,
    /// Maximum pixels of an image.
    pub(crate) max_pixels: u64,
    /// Whether each image is there mirrored, too, left to right, after all that are not.
    with_mirrored: bool,
}

/// One of the samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample<'a> {
    image: &'a [u8],
    max_pixels: u64,
    is_mirrored: bool,
}

/// Runs models on images until it is cancelled.
#[derive(Debug)]
pub(crate) struct Runner<'a> {
    pub(crate) cancellation: &'a Cancellation,
}

impl Samples {
    /// The images as they are.
    pub(crate) fn new(images: Vec<Vec<u8>>, max_pixels: u64) -> Self {
        Self { images, max_pixels, with_mirrored: false }
    }

    /// Without the images that can't be decoded.
    pub(crate) fn decodable(mut self) -> Self {
        let limits = Limits::pixels(self.max_pixels);
        self.images.retain(|image| decode(image, &limits, |_, _| 0.125).is_ok());
        self
    }

    /// Splits the images: every second one is kept aside, and mirrored, since twice as many predictions tell agreement
    /// more precisely. Images that can't be decoded are left out.
    pub(crate) fn split(self) -> (Self, Self) {
        let max_pixels = self.max_pixels;
        let mut halves = (vec![], vec![]);
        for (number, image) in self.decodable().images.into_iter().enumerate() {
            if number % 2 == 0 { halves.0.push(image) } else { halves.1.push(image) }
        }
        (Self::new(halves.0, max_pixels), Self { with_mirrored: true, ..Self::new(halves.1, max_pixels) })
    }

    /// How many there are, mirrored ones included.
    pub(crate) fn count(&self) -> usize {
        self.images.len() * if self.with_mirrored { 2 } else { 1 }
    }

    pub(crate) fn get(&self, number: usize) -> Option<Sample<'_>> {
        let is_mirrored = self.with_mirrored && number >= self.images.len();
        let image = self.images.get(if is_mirrored { number - self.images.len() } else { number })?;
        Some(Sample { image, max_pixels: self.max_pixels, is_mirrored })
    }

    /// At most the first `most`.
    pub(crate) fn first(&self, most: usize) -> Self {
        let images = self.images.iter().take(most).cloned().collect();
        Self { images, ..*self }
    }
}

impl Runner<'_> {
    /// Runs `model` on each image by itself, several at once, and returns what `read` makes of the named outputs.
    ///
    /// # Errors
    /// A model that can't be loaded or run, an error of `read`, cancellation.
    pub(crate) fn map<T: Send>(
        &self,
        model: &Model,
        samples: &Samples,
        outputs: &[String],
        read: impl Fn(&[BatchOutput], &Placement) -> Result<T, String> + Sync,
    ) -> Result<Vec<T>> {
        let workers = model.sizing()?.sessions.min(samples.count()).max(1);
        let work = |first: usize| {
            let mut input = ImageInput::new(model)?;
            let own = (first..samples.count()).step_by(workers);
            let own = own.filter_map(|number| Some((number, samples.get(number)?)));
            let run = |(number, sample): (usize, Sample<'_>)| {
                let placement = input.write(sample)?;
                let outputs = self.run(model, &input, outputs)?;
                read(&outputs, &placement).map(|value| (number, value)).map_err(|reason| error(model, reason))
            };
            own.map(run).collect::<Result<Vec<_>>>()
        };
        let mut all = thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|first| scope.spawn(move || work(first))).collect();
            let joined = workers.into_iter().map(|worker| {
                worker
                    .join()
                    .unwrap_or_else(|_| Err(error(model, "a thread that ran it panicked".to_owned())))
            });
            joined.collect::<Result<Vec<_>>>()
        })?
        .into_iter()
        .flatten()
        .collect::<Vec<_>>();
        all.sort_by_key(|(number, _)| *number);
        Ok(all.into_iter().map(|(_, value)| value).collect())
    }

    /// Checks for cancellation between runs.
    ///
    /// # Errors
    /// Cancellation.
    pub(crate) fn check(&self) -> Result<()> {
        Ok(self.cancellation.check()?)
    }

    /// Runs `model` once on an image that is already written.
    pub(crate) fn run(
        &self,
        model: &Model,
        input: &ImageInput,
        outputs: &[String],
    ) -> Result<Vec<BatchOutput>> {
        let (times, clock) = (RunTimes::default(), Clock::default());
        let max_output_elements = Bounds::default().max_output_elements;
        let batch = Batch { rows: 1, images: Some((&input.tensor, 0)), numbers: vec![], max_output_elements };
        model
            .run(&batch, outputs, &times, &clock, self.cancellation)?
            .map_err(|reason| error(model, reason.to_string()))
    }
}

/// The tensor of a model for one image.
pub(crate) struct ImageInput<'a> {
    model: &'a Model,
    preprocessor: Preprocessor,
    tensor: Tensor,
    slots: usize,
}

impl<'a> ImageInput<'a> {
    pub(crate) fn new(model: &'a Model) -> Result<Self> {
        let spec = model.spec();
        let image = spec.image().ok_or_else(|| error(model, "it takes no image".to_owned()))?;
        let slots = spec.fixed_batch.unwrap_or(1);
        let (preprocessor, tensor) = (Preprocessor::new(image), Tensor::new(&image.input, slots));
        Ok(Self { model, preprocessor, tensor, slots })
    }

    /// Decodes an image as queries do, and writes it into the tensor; into all slots where the batch is fixed.
    pub(crate) fn write(&mut self, sample: Sample<'_>) -> Result<Placement> {
        let spec = self.model.spec();
        let scale = |width, height| decoder_scale(spec.least_scale(width, height));
        let decoded = decode(sample.image, &Limits::pixels(sample.max_pixels), scale);
        let decoded = decoded.map_err(|reason| error(self.model, reason.to_string()))?;
        let decoded = if sample.is_mirrored { decoded.mirrored() } else { decoded };
        for slot in 0..self.slots {
            let written = self.preprocessor.write(&decoded, &mut self.tensor, slot);
            written.map_err(|reason| error(self.model, reason))?;
        }
        let image = spec.image().ok_or_else(|| error(self.model, "it takes no image".to_owned()))?;
        Ok(Placement::new(image, &decoded))
    }
}

fn error(model: &Model, reason: String) -> Error {
    Error::Model { model: model.spec().name.clone(), reason }
}

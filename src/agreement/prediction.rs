//! How far the predictions of two models agree on the same images.
//!
//! | task | agreement |
//! |---|---|
//! | `image-classification` | share of the images whose best class is the same |
//! | `object-detection` | share of the boxes that have one of the other model's with the same class and an IoU of 0.5 |
//! | `feature-extraction`, others | median of the cosines between the vectors |

use super::samples::{Runner, Samples};
use crate::Result;
use crate::model::tensor::{BatchOutput, Placement};
use crate::model::{Model, ModelSpec};
use crate::tasks::detection::{Detection, detections, overlap};
use crate::tasks::{Class, Task, best_class};

/// Least intersection over union of boxes that are the same object, as in PASCAL VOC and COCO's AP50.
const SAME_OBJECT: f32 = 0.5;

/// The prediction for one image.
#[derive(Debug, Clone)]
pub(crate) struct Prediction {
    class: Option<Class>,
    objects: Option<Vec<Detection>>,
    /// The embedding, or the first output of a task without a function of its own.
    vector: Option<Vec<f32>>,
}

/// How far two models agree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// 0 to 1, by the task.
    pub(crate) share: f64,
    /// Largest difference between confidences of the same class or object, if there are confidences.
    pub(crate) confidence_difference: Option<f64>,
    /// Median cosine between the vectors, if there are vectors.
    pub(crate) cosine: Option<f64>,
}

/// The outputs that predictions are read from.
pub(crate) fn outputs(spec: &ModelSpec) -> Vec<String> {
    let mut outputs = match (&spec.task, &spec.detector) {
        (Task::ObjectDetection, Some(detector)) => {
            detector.outputs().into_iter().map(str::to_owned).collect()
        }
        _ => vec![spec.output.name.clone()],
    };
    outputs.extend(vector_output(spec));
    outputs.dedup();
    outputs
}

/// The output whose numbers are compared as a vector.
fn vector_output(spec: &ModelSpec) -> Option<String> {
    match (&spec.task, &spec.embedding) {
        (Task::ObjectDetection, _) => None,
        (_, Some(embedding)) => Some(embedding.name.clone()),
        (Task::Other(_), None) => Some(spec.output.name.clone()),
        (_, None) => None,
    }
}

impl Prediction {
    /// Reads the outputs named by [`outputs`].
    ///
    /// # Errors
    /// Outputs that are not numbers, or of another shape.
    pub(crate) fn read(
        spec: &ModelSpec,
        outputs: &[BatchOutput],
        placement: &Placement,
    ) -> Result<Self, String> {
        let mut prediction = Self { class: None, objects: None, vector: None };
        let floats = |output: Option<&BatchOutput>| {
            let floats = output.and_then(|output| output.floats(0));
            floats.map(<[f32]>::to_vec).ok_or("its output is not of float32")
        };
        match (&spec.task, &spec.detector, spec.image()) {
            (Task::ImageClassification, ..) => {
                prediction.class = best_class(&floats(outputs.first())?, spec.output.activation);
            }
            (Task::ObjectDetection, Some(detector), Some(image)) => {
                let outputs: Vec<_> = outputs.iter().collect();
                prediction.objects = Some(detections(detector, &image.input, &outputs, 0, placement)?);
            }
            _ => {}
        }
        if vector_output(spec).is_some() {
            prediction.vector = Some(floats(outputs.last())?);
        }
        Ok(prediction)
    }
}

/// The predictions of `model` for each of `samples`, read as those of a model with the specification `spec`.
///
/// # Errors
/// A model that can't be loaded or run, outputs of another shape, cancellation.
pub(crate) fn predictions(
    runner: &Runner<'_>,
    spec: &ModelSpec,
    model: &Model,
    samples: &Samples,
) -> Result<Vec<Prediction>> {
    let read = |outputs: &[_], placement: &_| Prediction::read(spec, outputs, placement);
    runner.map(model, samples, &outputs(spec), read)
}

impl Agreement {
    /// Compares the predictions of two models for the same images.
    pub(crate) fn between(task: &Task, originals: &[Prediction], others: &[Prediction]) -> Self {
        let pairs = || originals.iter().zip(others);
        let count = originals.len().max(1) as f64;
        let mut differences: Vec<f64> = vec![];
        let cosines: Vec<f64> =
            pairs().filter_map(|(a, b)| Some(cosine(a.vector.as_deref()?, b.vector.as_deref()?))).collect();
        let cosine = (!cosines.is_empty()).then(|| median(cosines));
        let share = match task {
            Task::ImageClassification => {
                let same = pairs().filter(|(a, b)| match (a.class, b.class) {
                    (Some(a), Some(b)) if a.class == b.class => {
                        differences.push(f64::from((a.confidence - b.confidence).abs()));
                        true
                    }
                    (a, b) => a.is_none() && b.is_none(),
                });
                same.count() as f64 / count
            }
            Task::ObjectDetection => {
                let (mut matched, mut all) = (0, 0);
                for (a, b) in pairs() {
                    let (a, b) = (a.objects.as_deref().unwrap_or(&[]), b.objects.as_deref().unwrap_or(&[]));
                    let matches = matches(a, b);
                    matched += 2 * matches.len();
                    all += a.len() + b.len();
                    differences.extend(matches);
                }
                if all == 0 { 1.0 } else { f64::from(matched as u32) / f64::from(all as u32) }
            }
            Task::FeatureExtraction | Task::Other(_) => cosine.unwrap_or(0.0),
        };
        let confidence_difference = differences.into_iter().reduce(f64::max);
        Self { share, confidence_difference, cosine }
    }
}

/// Pairs objects, surest first; returns the differences of their confidences.
fn matches(originals: &[Detection], others: &[Detection]) -> Vec<f64> {
    let mut free: Vec<&Detection> = others.iter().collect();
    let mut differences = vec![];
    for object in originals {
        let candidates = free.iter().enumerate().filter(|(_, other)| other.class == object.class);
        let overlaps =
            candidates.map(|(position, other)| (overlap(&object.corners, &other.corners), position));
        if let Some((best, position)) = overlaps.max_by(|a, b| a.0.total_cmp(&b.0))
            && best >= SAME_OBJECT
        {
            let other = free.swap_remove(position);
            differences.push(f64::from((object.confidence - other.confidence).abs()));
        }
    }
    differences
}

/// The cosine between two vectors: 1 if both are zero, 0 if one is.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let (product, lengths) = (dot(a, b), (dot(a, a) * dot(b, b)).sqrt());
    if a == b {
        1.0
    } else if lengths > 0.0 {
        product / lengths
    } else {
        0.0
    }
}

pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(class: usize, confidence: f32) -> Prediction {
        Prediction { class: Some(Class { class, confidence }), objects: None, vector: None }
    }

    fn objects(objects: &[(usize, f32, [f32; 4])]) -> Prediction {
        let objects = objects.iter().map(|(class, confidence, corners)| Detection {
            class: *class,
            confidence: *confidence,
            corners: *corners,
        });
        Prediction { class: None, objects: Some(objects.collect()), vector: None }
    }

    #[test]
    fn classes_are_compared_by_image() {
        let (a, b) = ([class(1, 0.9), class(2, 0.5)], [class(1, 0.8), class(3, 0.5)]);
        let agreement = Agreement::between(&Task::ImageClassification, &a, &b);
        assert_eq!(agreement.share, 0.5);
        assert!(agreement.confidence_difference.is_some_and(|difference| (difference - 0.1).abs() < 1e-6));
    }

    #[test]
    fn boxes_are_compared_by_overlap_and_class() {
        let a = [objects(&[(0, 0.9, [0.0, 0.0, 10.0, 10.0]), (1, 0.8, [20.0, 20.0, 30.0, 30.0])])];
        let b = [objects(&[(0, 0.7, [0.0, 0.0, 10.0, 9.0]), (2, 0.8, [20.0, 20.0, 30.0, 30.0])])];
        let agreement = Agreement::between(&Task::ObjectDetection, &a, &b);
        assert_eq!(agreement.share, 0.5);
        let nothing = [objects(&[])];
        assert_eq!(Agreement::between(&Task::ObjectDetection, &nothing, &nothing).share, 1.0);
    }

    #[test]
    fn vectors_are_compared_by_cosine() {
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f64.sqrt()).abs() < 1e-9);
        assert_eq!((cosine(&[0.0], &[0.0]), cosine(&[0.0], &[1.0])), (1.0, 0.0));
    }
}

//! Converts a detector's outputs to boxes in the original image: decodes candidates, then suppresses overlapping ones.
//!
//! ```text
//!  outputs ── decode by layout ──► candidates above `confidence` ── per class: drop those that overlap one of higher
//!                                             confidence by more than `iou` ──► boxes in the image's pixels
//! ```
//!
//! Boxes that the graph has suppressed itself are not suppressed again.

use super::layout::{AnchorHead, Detector, Layout};
use crate::model::input::InputSpec;
use crate::model::tensor::{BatchOutput, Placement};
use crate::tasks::sigmoid;

/// Maximum number of candidates, those of highest confidence: suppression compares them in pairs.
const MAX_CANDIDATES: usize = 3_000;

/// Maximum boxes per image, those of highest confidence; the limit of Ultralytics.
const MAX_BOXES: usize = 300;

/// An object in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Detection {
    /// Number of the class, from 0.
    pub(crate) class: usize,
    /// Probability, 0 to 1.
    pub(crate) confidence: f32,
    /// Left, top, right and bottom, in pixels.
    pub(crate) corners: [f32; 4],
}

/// The objects in image `image` of a batch, by descending confidence, in pixels of the original; `outputs` are the ones
/// named by [`Detector::outputs`].
///
/// # Errors
/// Outputs whose shape doesn't match the layout, or that contain NaN.
pub(crate) fn detections(
    detector: &Detector,
    input: &InputSpec,
    outputs: &[&BatchOutput],
    image: usize,
    placement: &Placement,
) -> Result<Vec<Detection>, String> {
    let mut candidates = Candidates { min_confidence: detector.confidence, found: vec![] };
    let input = [input.width as f32, input.height as f32];
    match &detector.layout {
        Layout::Anchors(heads) => {
            for (head, output) in heads.iter().zip(outputs) {
                candidates.add_grid(head, output, image, input)?;
            }
        }
        Layout::Rows { .. } => candidates.add_rows(outputs, image)?,
        Layout::Columns { .. } => candidates.add_columns(outputs, image)?,
        Layout::Suppressed { .. } => candidates.add_suppressed(outputs, image)?,
    }
    let iou = if matches!(detector.layout, Layout::Suppressed { .. }) { 1.0 } else { detector.iou };
    let mut found = suppressed(candidates.found, iou);
    for object in &mut found {
        object.corners = placement.to_original(object.corners);
    }
    Ok(found)
}

/// Boxes with a confidence of at least `min_confidence`, in pixels of the model's input.
struct Candidates {
    min_confidence: f32,
    found: Vec<Detection>,
}

impl Candidates {
    /// Adds a box, given its centre and size, if its confidence is high enough.
    fn add(&mut self, class: usize, confidence: f32, [x, y, width, height]: [f32; 4]) {
        let corners = [x - width / 2.0, y - height / 2.0, x + width / 2.0, y + height / 2.0];
        self.add_corners(class, confidence, corners);
    }

    fn add_corners(&mut self, class: usize, confidence: f32, corners: [f32; 4]) {
        if confidence >= self.min_confidence && corners.iter().all(|corner| corner.is_finite()) {
            self.found.push(Detection { class, confidence, corners });
        }
    }

    /// Adds the boxes of a grid, one per cell and anchor: x = (σ(tx) + column) × stride, width = anchor × exp(tw), and
    /// the confidence of a class is σ(object) × σ(class).
    fn add_grid(
        &mut self,
        head: &AnchorHead,
        output: &BatchOutput,
        image: usize,
        [input_width, input_height]: [f32; 2],
    ) -> Result<(), String> {
        let (Some(values), [channels, rows, columns]) = (output.floats(image), output.shape()) else {
            return Err(unexpected(output));
        };
        let (cells, numbers) = (rows * columns, channels / head.anchors.len());
        let stride = [input_width / *columns as f32, input_height / *rows as f32];
        for (anchor, numbers_of_anchor) in
            head.anchors.iter().zip(values.chunks_exact((numbers * cells).max(1)))
        {
            let number = |index: usize, cell: usize| numbers_of_anchor[index * cells + cell];
            for cell in 0..cells {
                let object = sigmoid(number(4, cell));
                if object.is_nan() {
                    return Err(not_numbers(&head.output));
                }
                // The confidence of a class never exceeds that of the object.
                if object < self.min_confidence {
                    continue;
                }
                let Some((class, logit)) = best((5..numbers).map(|index| number(index, cell))) else {
                    continue;
                };
                let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
                let centre = [
                    (sigmoid(number(0, cell)) + column) * stride[0],
                    (sigmoid(number(1, cell)) + row) * stride[1],
                ];
                let size = [anchor[0] * number(2, cell).exp(), anchor[1] * number(3, cell).exp()];
                self.add(class, object * sigmoid(logit), [centre[0], centre[1], size[0], size[1]]);
            }
        }
        Ok(())
    }

    fn add_rows(&mut self, outputs: &[&BatchOutput], image: usize) -> Result<(), String> {
        let [output] = outputs else { return Ok(()) };
        let (Some(values), [_, numbers]) = (output.floats(image), output.shape()) else {
            return Err(unexpected(output));
        };
        for row in values.chunks_exact((*numbers).max(1)) {
            let [x, y, width, height, object, scores @ ..] = row else { continue };
            if let Some((class, score)) = best(scores.iter().copied()) {
                self.add(class, object * score, [*x, *y, *width, *height]);
            }
        }
        Ok(())
    }

    fn add_suppressed(&mut self, outputs: &[&BatchOutput], image: usize) -> Result<(), String> {
        let [output] = outputs else { return Ok(()) };
        let (Some(values), [_, 6]) = (output.floats(image), output.shape()) else {
            return Err(unexpected(output));
        };
        for [left, top, right, bottom, score, class] in values.as_chunks().0 {
            // The rows after the last box are zeros.
            if *class >= 0.0 && class.fract() == 0.0 {
                self.add_corners(*class as usize, *score, [*left, *top, *right, *bottom]);
            }
        }
        Ok(())
    }

    fn add_columns(&mut self, outputs: &[&BatchOutput], image: usize) -> Result<(), String> {
        let [output] = outputs else { return Ok(()) };
        let (Some(values), [numbers, boxes]) = (output.floats(image), output.shape()) else {
            return Err(unexpected(output));
        };
        let number = |index: usize, column: usize| values[index * boxes + column];
        for column in 0..*boxes {
            if let Some((class, score)) = best((4..*numbers).map(|index| number(index, column))) {
                self.add(class, score, std::array::from_fn(|index| number(index, column)));
            }
        }
        Ok(())
    }
}

fn unexpected(output: &BatchOutput) -> String {
    format!("the model gave boxes of shape {:?}", output.shape())
}

fn not_numbers(output: &str) -> String {
    format!("output '{output}' is not a number")
}

/// Index and value of the largest score.
fn best(scores: impl Iterator<Item = f32>) -> Option<(usize, f32)> {
    scores.enumerate().reduce(|a, b| if b.1 > a.1 { b } else { a })
}

/// Non-maximum suppression: drops boxes that overlap one of higher confidence and the same class by more than `iou`.
fn suppressed(mut candidates: Vec<Detection>, iou: f32) -> Vec<Detection> {
    candidates.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    candidates.truncate(MAX_CANDIDATES);
    let mut kept: Vec<Detection> = vec![];
    for candidate in candidates {
        let is_covered_by = |other: &Detection| {
            other.class == candidate.class && overlap(&other.corners, &candidate.corners) > iou
        };
        if !kept.iter().any(is_covered_by) {
            kept.push(candidate);
        }
        if kept.len() == MAX_BOXES {
            break;
        }
    }
    kept
}

/// Intersection over union, 0 to 1.
pub(crate) fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |[x0, y0, x1, y1]: [f32; 4]| (x1 - x0).max(0.0) * (y1 - y0).max(0.0);
    let intersection = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(*a) + area(*b) - intersection;
    if union > 0.0 { intersection / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::Float32Array;

    use super::*;
    use crate::images::decode::RgbImage;
    use crate::model::input::ImageSpec;
    use crate::model::spec::ModelSpec;
    use crate::model::{Folder, Onnx};

    fn object(class: usize, confidence: f32, corners: [f32; 4]) -> Detection {
        Detection { class, confidence, corners }
    }

    /// A detector of 32 × 32 pixels with one output and the labels `a` and `b`.
    fn spec(shape: &str, options: &[(&str, &str)]) -> ModelSpec {
        spec_of(Onnx::new().node("Conv", &["pixels"], "boxes"), shape, options)
    }

    fn spec_of(onnx: Onnx, shape: &str, options: &[(&str, &str)]) -> ModelSpec {
        let onnx = onnx.input("pixels", "float32", "b,3,32,32").output("boxes", "float32", shape);
        let always = [
            ("task", "object-detection"),
            ("labels", r#"["a", "b"]"#),
            ("resize", "stretch"),
            ("confidence", "0.3"),
        ];
        Folder::with(&onnx).unwrap().resolve(&[&always, options].concat()).unwrap()
    }

    /// The detections of `spec` from `numbers`, for an image of 64 × 64 pixels.
    fn detect(spec: &ModelSpec, shape: &[usize], numbers: &[f32]) -> Result<Vec<Detection>, String> {
        let numbers = Arc::new(Float32Array::from(numbers.to_vec()));
        let output = BatchOutput::new("boxes", &[&[1], shape].concat(), numbers, 1)?;
        let image =
            RgbImage { width: 64, height: 64, pixels: vec![], original_width: 64, original_height: 64 };
        let ImageSpec { input, .. } = spec.image().unwrap();
        let placement = Placement::new(spec.image().unwrap(), &image);
        detections(spec.detector.as_ref().unwrap(), input, &[&output], 0, &placement)
    }

    #[test]
    fn each_row_is_a_box() {
        let rows = [[8.0, 8.0, 4.0, 8.0, 0.9, 0.1, 0.8], [8.0, 8.0, 4.0, 8.0, 0.3, 0.9, 0.0]];
        let found = detect(&spec("b,2,7", &[]), &[2, 7], rows.as_flattened()).unwrap();
        assert_eq!(found, [object(1, 0.9 * 0.8, [12.0, 8.0, 20.0, 24.0])]);
    }

    #[test]
    fn each_column_is_a_box() {
        let numbers = [[8.0, 30.0], [8.0, 30.0], [4.0, 8.0], [8.0, 8.0], [0.8, 0.1], [0.1, 0.5]];
        let found = detect(&spec("b,6,2", &[]), &[6, 2], numbers.as_flattened()).unwrap();
        // The second box extends beyond the edge.
        assert_eq!(
            found,
            [object(0, 0.8, [12.0, 8.0, 20.0, 24.0]), object(1, 0.5, [52.0, 52.0, 64.0, 64.0])]
        );
    }

    #[test]
    fn suppressed_boxes_are_kept_as_they_are() {
        let onnx = Onnx::new().node("TopK", &["pixels"], "boxes").metadata("author", "Ultralytics");
        let near = [0.0, 0.0, 8.0, 9.0, 0.8, 1.0];
        let rows = [[0.0, 0.0, 8.0, 8.0, 0.9, 1.0], near, [1.0, 1.0, 2.0, 2.0, 0.1, 0.0], [0.0; 6]];
        let found = detect(&spec_of(onnx, "b,4,6", &[]), &[4, 6], rows.as_flattened()).unwrap();
        let expected = [object(1, 0.9, [0.0, 0.0, 16.0, 16.0]), object(1, 0.8, [0.0, 0.0, 16.0, 18.0])];
        assert_eq!(found, expected);
    }

    #[test]
    fn each_grid_cell_has_a_box_per_anchor() {
        let spec = spec("b,7,1,2", &[("anchors", r#"{"boxes": [[8, 4]]}"#)]);
        // The second of two cells of 16 × 32 pixels: centre (24, 16), as large as the anchor.
        let numbers = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [-9.0, 9.0], [9.0, -9.0], [9.0, 9.0]];
        let found = detect(&spec, &[7, 1, 2], numbers.as_flattened()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].class, found[0].corners), (1, [40.0, 28.0, 56.0, 36.0]));
        assert!((found[0].confidence - 0.999_75).abs() < 1e-4);
        let nan = detect(&spec, &[7, 1, 2], &[f32::NAN; 14]);
        assert_eq!(nan, Err("output 'boxes' is not a number".to_owned()));
        assert!(detect(&spec, &[14], &[0.0; 14]).is_err());
    }

    #[test]
    fn overlapping_boxes_are_suppressed_within_a_class() {
        let [wide, near, far] = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [0.0, 0.0, 10.0, 4.0]];
        let boxes =
            vec![object(0, 0.5, near), object(0, 0.9, wide), object(1, 0.4, near), object(0, 0.3, far)];
        let kept = suppressed(boxes, 0.45);
        assert_eq!(kept, [object(0, 0.9, wide), object(1, 0.4, near), object(0, 0.3, far)]);
    }

    #[test]
    fn number_of_boxes_is_limited() {
        let many = (0..5000).map(|n| object(0, 0.5, [n as f32, 0.0, n as f32 + 0.5, 1.0])).collect();
        assert_eq!(suppressed(many, 0.45).len(), MAX_BOXES);
    }
}

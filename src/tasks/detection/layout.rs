//! Layouts of boxes in a detector's outputs: those of the YOLO family.
//!
//! | layout | output | numbers of a box |
//! |---|---|---|
//! | anchors (YOLOv2 to v4) | per scale, `[batch, anchors × (5 + classes), rows, columns]` | x, y, width, height, object, classes |
//! | rows (YOLOv5, v7) | `[batch, boxes, 5 + classes]` | x, y, width, height, object, classes |
//! | columns (YOLOv8 and later) | `[batch, 4 + classes, boxes]` | x, y, width, height, classes |
//! | suppressed (Ultralytics) | `[batch, boxes, 6]` | left, top, right, bottom, score, class |
//!
//! Anchors need the option `anchors`; their numbers are raw, before the logistic function. In the other layouts,
//! positions are in pixels of the input, and object, scores and classes are 0 to 1.
//!
//! Rows and columns are distinguished by the dimension that fits the labels; without labels, the shorter dimension is a
//! box. What fits none is refused: see `table.rs`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::{UNDERSTOOD, table};
use crate::Result;
use crate::model::input::InputSpec;
use crate::model::onnx::{Graph, Port, listed};
use crate::model::settings::{HEAD, Settings, Source, number, share};
use crate::tasks::{OutputSpec, Task};

/// Default minimum confidence of a box, as in Ultralytics.
const CONFIDENCE: f32 = 0.25;

/// Default overlap above which two boxes of a class count as one object, as in Darknet and Ultralytics.
const IOU: f32 = 0.45;

/// Maximum anchors per head; the YOLO family has 3 to 9.
const MAX_ANCHORS: usize = 64;

/// How to read boxes from the outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detector {
    /// Layout of the boxes.
    pub layout: Layout,
    /// Minimum confidence of a box, above 0 and at most 1.
    pub confidence: f32,
    /// If the intersection of two boxes of a class is more than this fraction of their union, only the one of higher
    /// confidence is kept.
    pub iou: f32,
}

/// Layout of boxes in the outputs; see the module documentation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Layout {
    /// A grid of anchor boxes for each scale.
    Anchors(Vec<AnchorHead>),
    /// One tensor, with a box per row.
    Rows {
        /// Name of the output in the graph.
        output: String,
    },
    /// One tensor, with a box per column.
    Columns {
        /// Name of the output in the graph.
        output: String,
    },
    /// One tensor, with a box that is left after non-maximum suppression per row.
    Suppressed {
        /// Name of the output in the graph.
        output: String,
    },
}

/// The output of one scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnchorHead {
    /// Name of the output in the graph.
    pub output: String,
    /// Width and height of each anchor, in pixels of the model's input.
    pub anchors: Vec<[f32; 2]>,
}

impl Detector {
    /// Resolves the detection options; `None` for other tasks. `image` is the input that takes the image.
    ///
    /// # Errors
    /// Malformed options, anchors that don't fit the outputs, or an output of an unknown layout.
    pub(crate) fn resolve(
        settings: &mut Settings<'_>,
        graph: &Graph,
        task: &Task,
        output: &OutputSpec,
        image: Option<&InputSpec>,
    ) -> Result<Option<Self>> {
        if *task != Task::ObjectDetection {
            return Ok(None);
        }
        let layout = match settings.get("anchors", |value, _| anchors(value))? {
            Some((anchors, source)) => {
                let heads = heads(graph, anchors, output.classes);
                let heads = heads.map_err(|reason| settings.option_error("anchors", &reason))?;
                let count: usize = heads.iter().map(|head| head.anchors.len()).sum();
                settings.note("anchors", &format!("{count} of {} outputs", heads.len()), source);
                settings.leave_out(&["output"]);
                Layout::Anchors(heads)
            }
            None => {
                let port = graph.outputs.iter().find(|port| port.name == output.name);
                let port = port.ok_or_else(|| settings.model_error("it has no output"))?;
                table(graph, port, output.classes, image).map_err(|reason| {
                    settings.model_error(format!(
                        "output {port} can't be read as boxes: {reason}; {UNDERSTOOD}; with another word as the task, \
                         predict gives its numbers"
                    ))
                })?
            }
        };
        settings.note(HEAD, &layout.describe(graph), Source::Graph);
        let confidence = settings.resolve("confidence", share, CONFIDENCE)?;
        let iou = settings.resolve("iou", share, IOU)?;
        if matches!(layout, Layout::Suppressed { .. }) {
            settings.leave_out(&["iou"]);
        }
        Ok(Some(Self { layout, confidence, iou }))
    }

    /// Names of the outputs that hold boxes.
    pub(crate) fn outputs(&self) -> Vec<&str> {
        self.layout.outputs()
    }
}

impl Layout {
    fn outputs(&self) -> Vec<&str> {
        match self {
            Self::Anchors(heads) => heads.iter().map(|head| head.output.as_str()).collect(),
            Self::Rows { output } | Self::Columns { output } | Self::Suppressed { output } => vec![output],
        }
    }

    /// Its name and the shapes of its outputs, as in `yolov8 [batch, 84, 8400]`.
    fn describe(&self, graph: &Graph) -> String {
        let name = match self {
            Self::Anchors(_) => "anchor boxes",
            Self::Rows { .. } => "yolov5",
            Self::Columns { .. } => "yolov8",
            Self::Suppressed { .. } => "suppressed boxes",
        };
        let outputs = self.outputs();
        let ports = graph.outputs.iter().filter(|port| outputs.contains(&port.name.as_str()));
        format!("{name} {}", ports.map(Port::shape).collect::<Vec<_>>().join(", "))
    }
}

/// Checks the heads of the option `anchors` against the graph.
fn heads(graph: &Graph, anchors: Vec<AnchorHead>, classes: usize) -> Result<Vec<AnchorHead>, String> {
    for AnchorHead { output, anchors } in &anchors {
        let Some(port) = graph.outputs.iter().find(|port| port.name == *output) else {
            return Err(format!("there is no output '{output}'; there {}", listed(&graph.outputs)));
        };
        let channels = match port.dims.as_deref() {
            Some([_, channels, _, _]) if port.has_floats() => channels.fixed(),
            _ => None,
        };
        let fits = |channels: usize| match classes {
            0 => channels.is_multiple_of(anchors.len()) && channels / anchors.len() > 5,
            classes => channels == anchors.len() * (5 + classes),
        };
        if !channels.is_some_and(fits) {
            let count = anchors.len();
            return Err(format!("output {port} is not a grid of {count} anchors × (5 + {classes} classes)"));
        }
    }
    Ok(anchors)
}

/// Reads `{"output": [[width, height], …], …}`, which is text in OPTIONS.
fn anchors(value: &Value) -> Result<Vec<AnchorHead>, String> {
    const FORM: &str = r#"is not a map such as {"head": [[81, 82], [135, 169]]}"#;
    let heads = match value {
        Value::Object(heads) => heads.clone(),
        Value::String(text) => serde_json::from_str(text).map_err(|_| format!("'{text}' {FORM}"))?,
        other => return Err(format!("{other} {FORM}")),
    };
    let head = |(output, list): (String, Value)| {
        let pairs = list.as_array().filter(|pairs| (1..=MAX_ANCHORS).contains(&pairs.len()));
        let Some(pairs) = pairs else {
            return Err(format!("'{output}' needs 1 to {MAX_ANCHORS} anchors, not {list}"));
        };
        Ok(AnchorHead { output, anchors: pairs.iter().map(anchor).collect::<Result<_, _>>()? })
    };
    let heads = heads.into_iter().map(head).collect::<Result<Vec<_>, _>>()?;
    if heads.is_empty() { Err("there is no anchor".to_owned()) } else { Ok(heads) }
}

fn anchor(pair: &Value) -> Result<[f32; 2], String> {
    let error = || format!("{pair} is not the width and height of an anchor");
    let [width, height] = pair.as_array().map(Vec::as_slice).ok_or_else(error)? else { return Err(error()) };
    let sides = [number(width)?, number(height)?];
    if sides.iter().all(|side| *side > 0.0) { Ok(sides) } else { Err(error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Folder, Onnx};

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    const LABELS: (&str, &str) = ("labels", r#"["cat", "dog", "bird"]"#);

    fn detector(outputs: &[(&str, &str)]) -> std::io::Result<Folder> {
        let onnx =
            Onnx::new().input("pixels", "float32", "b,3,64,64").node("Conv", &["pixels"], outputs[0].0);
        Folder::with(&outputs.iter().fold(onnx, |onnx, (name, shape)| onnx.output(name, "float32", shape)))
    }

    fn layout(shape: &str, options: &[(&str, &str)]) -> Result<Option<Layout>, Box<dyn std::error::Error>> {
        let options = [&[("task", "object-detection")], options].concat();
        let spec = detector(&[("boxes", shape)])?.resolve(&options)?;
        Ok(spec.detector.map(|detector| detector.layout))
    }

    #[test]
    fn rows_and_columns_are_distinguished_by_labels_or_length() -> TestResult {
        let output = || "boxes".to_owned();
        assert_eq!(layout("b,8,8", &[LABELS])?, Some(Layout::Rows { output: output() }));
        assert_eq!(layout("b,7,8400", &[LABELS])?, Some(Layout::Columns { output: output() }));
        assert_eq!(layout("b,7,n", &[LABELS])?, Some(Layout::Columns { output: output() }));
        assert_eq!(layout("b,252,85", &[])?, Some(Layout::Rows { output: output() }));
        assert_eq!(layout("b,n,85", &[])?, Some(Layout::Rows { output: output() }));
        assert_eq!(layout("b,80,84", &[])?, Some(Layout::Columns { output: output() }));
        assert!(layout("b,100,91", &[LABELS]).is_err());
        assert!(layout("b,100", &[]).is_err());
        Ok(())
    }

    #[test]
    fn anchors_option_gives_grid_heads() -> TestResult {
        let folder = detector(&[("coarse", "b,16,2,2"), ("fine", "b,8,4,4")])?;
        let anchors = r#"{"coarse": [[8, 8], [16, 16]], "fine": [[4, 4]]}"#;
        let options = [("task", "object-detection"), ("anchors", anchors), LABELS, ("iou", "0.5")];
        let detector = folder.resolve(&options)?.detector;
        let heads = vec![
            AnchorHead { output: "coarse".to_owned(), anchors: vec![[8.0; 2], [16.0; 2]] },
            AnchorHead { output: "fine".to_owned(), anchors: vec![[4.0; 2]] },
        ];
        assert_eq!(detector, Some(Detector { layout: Layout::Anchors(heads), confidence: 0.25, iou: 0.5 }));
        Ok(())
    }

    #[test]
    fn invalid_anchors_are_rejected() -> TestResult {
        let folder = detector(&[("head", "b,16,2,2")])?;
        let error =
            |options: &[_]| folder.error(&[&[("task", "object-detection"), LABELS], options].concat());
        let errors = [
            error(&[("anchors", r#"{"head": [[1, 2]]}"#)]),
            error(&[("anchors", r#"{"tail": [[1, 2], [3, 4]]}"#)]),
            error(&[("anchors", r#"{"head": [[1, 2], [3, -4]]}"#)]),
            error(&[("anchors", r#"{"head": []}"#)]),
            error(&[("anchors", "1,2,3,4")]),
            error(&[("anchors", r#"{"head": [[1, 2], [3, 4]]}"#), ("confidence", "25")]),
        ];
        insta::assert_snapshot!(errors.join("\n"), @r#"
        model 'm': option 'anchors': output 'head' float32 [b, 16, 2, 2] is not a grid of 1 anchors × (5 + 3 classes)
        model 'm': option 'anchors': there is no output 'tail'; there is 'head' float32 [b, 16, 2, 2]
        model 'm': option 'anchors': [3,-4] is not the width and height of an anchor
        model 'm': option 'anchors': 'head' needs 1 to 64 anchors, not []
        model 'm': option 'anchors': '1,2,3,4' is not a map such as {"head": [[81, 82], [135, 169]]}
        model 'm': option 'confidence': 25 is not above 0 and at most 1
        "#);
        Ok(())
    }
}

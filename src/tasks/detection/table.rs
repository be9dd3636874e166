//! Recognises a head that is one table of boxes, and says why another is none.
//!
//! Shapes alone mislead: a table of 5 + 1 numbers may hold a box and the score of one class, or a box after non-maximum
//! suppression with its score and class; and the boxes of YOLOX look like YOLOv5's but count in cells of a grid. What
//! tells them apart is the number of boxes, as a head has a fixed number for each cell; the labels; operators of
//! suppression in the graph; and the notes that Ultralytics' exporter leaves in the file.
//!
//! | head | shape | boxes |
//! |---|---|---|
//! | YOLOv5, v7 | `[batch, boxes, 5 + classes]` | 3 for each cell of grids of 8, 16, 32 (and 64) pixels |
//! | YOLOv8 and later | `[batch, 4 + classes, boxes]` | 1 for each cell |
//! | Ultralytics, suppressed | `[batch, boxes, 6]` | any |

use super::layout::Layout;
use crate::model::input::InputSpec;
use crate::model::onnx::{Dim, Graph, Port};

/// The sides of cells, in pixels, of the grids that heads have.
const GRIDS: [&[usize]; 5] = [&[8, 16, 32], &[8, 16, 32, 64], &[4, 8, 16, 32], &[16, 32], &[32]];

/// Boxes for each cell of a head with anchors.
const ANCHORS: usize = 3;

/// The shapes that are understood, for messages.
pub(super) const UNDERSTOOD: &str = "detect reads [batch, boxes, 5 + classes] (YOLOv5, v7), [batch, 4 + classes, boxes] \
     (YOLOv8 and later), [batch, boxes, 6] (Ultralytics after non-maximum suppression), and grids of anchor boxes with \
     the option anchors";

/// A tensor `[batch, middle, last]`, and what helps to read it.
struct Table<'a> {
    graph: &'a Graph,
    port: &'a Port,
    /// Lengths of the dimensions after the batch, unless they are dynamic.
    middle: Option<usize>,
    last: Option<usize>,
    /// Number of classes, 0 if unknown.
    classes: usize,
    input: Option<&'a InputSpec>,
}

/// The layout of a single tensor of boxes.
///
/// # Errors
/// Why `port` is no head that can be read, as the end of a sentence.
pub(super) fn table(
    graph: &Graph,
    port: &Port,
    classes: usize,
    input: Option<&InputSpec>,
) -> Result<Layout, String> {
    let dims = port.dims.as_deref().unwrap_or_default();
    if let Some(task) = graph.metadata("task").filter(|task| is_ultralytics(graph) && *task != "detect") {
        return Err(format!("its exporter notes the task '{task}', not 'detect'"));
    }
    let [_, middle, last] = dims else {
        let grid = if matches!(dims.len(), 4 | 5) { "; it may be a grid of anchor boxes" } else { "" };
        return Err(format!("it does not have the three dimensions of a table of boxes{grid}"));
    };
    if let Some(other) = partner(graph, port) {
        return Err(format!(
            "boxes and classes are in outputs of their own, {port} and {other}, as in DETR and SSD"
        ));
    }
    Table { graph, port, middle: middle.fixed(), last: last.fixed(), classes, input }.layout()
}

impl Table<'_> {
    fn layout(&self) -> Result<Layout, String> {
        let length = |dim: Option<usize>| dim.unwrap_or(usize::MAX);
        let (middle, last) = (length(self.middle), length(self.last));
        let (rows, columns) = match self.classes {
            0 => (last > 5 && last < middle, middle > 4 && middle < last),
            classes => (last == 5 + classes, middle == 4 + classes),
        };
        let output = self.port.name.clone();
        if last == 6 && self.is_suppressed() {
            return self.suppressed();
        }
        match (rows, columns, self.classes) {
            (true, ..) => self.rows(),
            (false, true, 0) if self.has_masks() => {
                Err("another output holds masks, so that some of its numbers are not classes".to_owned())
            }
            (false, true, 0) if self.is_odd(self.last, 1) => Err(self.odd_count(last, "4")),
            (false, true, _) => Ok(Layout::Columns { output }),
            (false, false, 0) if self.middle.is_none() && self.last.is_none() => {
                Err("both lengths are open; with labels for all classes, the length of a box is known"
                    .to_owned())
            }
            (false, false, 0) => Err("neither dimension has the length of a box and classes".to_owned()),
            (false, false, classes) => Err(format!(
                "with {classes} labels, a box has {} numbers in rows or {} in columns",
                5 + classes,
                4 + classes
            )),
        }
    }

    /// Rows of a box, the score of an object, and scores of classes.
    fn rows(&self) -> Result<Layout, String> {
        let boxes = self.middle.unwrap_or(usize::MAX);
        if is_ultralytics(self.graph) {
            return Err("no head of Ultralytics has boxes in rows, except after suppression".to_owned());
        }
        if self.middle.is_some_and(|boxes| self.is_count_of(boxes, 1)) {
            return Err(format!(
                "{boxes} boxes are one for each cell of its grids, as in YOLOX, whose positions count in cells unless the \
                 export decoded them, which the file does not say"
            ));
        }
        if self.classes == 0 && self.has_masks() {
            return Err("another output holds masks, so that some of its numbers are not classes".to_owned());
        }
        // A single class has the width of a suppressed box with score and class.
        let is_clear = self.classes > 1 || (self.classes == 1 && self.middle.is_none());
        if !is_clear && self.is_odd(self.middle, ANCHORS) {
            return Err(self.odd_count(boxes, "5"));
        }
        Ok(Layout::Rows { output: self.port.name.clone() })
    }

    /// Rows of left, top, right, bottom, score and class.
    fn suppressed(&self) -> Result<Layout, String> {
        if is_ultralytics(self.graph) {
            return Ok(Layout::Suppressed { output: self.port.name.clone() });
        }
        Err("the graph suppresses boxes itself, and the file does not say in which order the 6 numbers of a box are"
            .to_owned())
    }

    /// Whether the graph itself drops boxes.
    fn is_suppressed(&self) -> bool {
        self.graph.has_operator(|operator| {
            operator == "TopK" || operator.contains("NonMaxSuppression") || operator.contains("NMS")
        })
    }

    /// Whether another output is the prototypes of masks.
    fn has_masks(&self) -> bool {
        self.graph
            .outputs
            .iter()
            .any(|port| port.has_floats() && port.dims.as_ref().is_some_and(|dims| dims.len() == 4))
    }

    /// Whether a fixed number of boxes is not `each` for each cell of any grids.
    fn is_odd(&self, boxes: Option<usize>, each: usize) -> bool {
        self.input.is_some() && boxes.is_some_and(|boxes| !self.is_count_of(boxes, each))
    }

    fn odd_count(&self, boxes: usize, before: &str) -> String {
        let size = self.input.map(|input| format!("{}x{}", input.width, input.height)).unwrap_or_default();
        let doubt = if self.classes == 1 {
            "6 numbers may also be two corners, a score and a class".to_owned()
        } else {
            format!("a box may not be {before} numbers and the classes; labels for all classes would tell")
        };
        format!("{boxes} boxes fit no grids over {size} pixels, and {doubt}")
    }

    /// Whether `boxes` is `each` for each cell of some grids over the input.
    fn is_count_of(&self, boxes: usize, each: usize) -> bool {
        let Some(input) = self.input else { return false };
        let (width, height) = (input.width as usize, input.height as usize);
        let cells = |side: &usize| width.div_ceil(*side) * height.div_ceil(*side);
        GRIDS.iter().any(|grids| each * grids.iter().map(cells).sum::<usize>() == boxes)
    }
}

/// Another output with a row for each row of `port`, one of the two with four numbers of a box.
fn partner<'a>(graph: &'a Graph, port: &Port) -> Option<&'a Port> {
    let shape = |port: &Port| match port.dims.as_deref()? {
        [_, rows, length] => Some((rows.clone(), length.fixed())),
        [_, rows] => Some((rows.clone(), None)),
        _ => None,
    };
    let (rows, length) = shape(port)?;
    graph.outputs.iter().filter(|other| other.name != port.name).find(|other| {
        shape(other).is_some_and(|(others, other_length)| {
            others == rows
                && rows != Dim::Dynamic("?".to_owned())
                && (length == Some(4) || other_length == Some(4))
        })
    })
}

fn is_ultralytics(graph: &Graph) -> bool {
    graph.metadata("author") == Some("Ultralytics")
}

#[cfg(test)]
mod tests {
    use crate::model::{Folder, Onnx};

    /// A detector for images of `side` × `side` pixels, whose outputs follow an operator.
    fn onnx(side: usize, operator: &str, outputs: &[(&str, &str)]) -> Onnx {
        let onnx = Onnx::new().input("pixels", "float32", &format!("1,3,{side},{side}"));
        outputs.iter().fold(onnx, |onnx, (name, shape)| {
            onnx.node(operator, &["pixels"], name).output(name, "float32", shape)
        })
    }

    /// The line `head` of `DESCRIBE MODEL`, or the error, up to the list of what is understood.
    fn head(onnx: &Onnx, options: &[(&str, &str)]) -> String {
        let folder = Folder::with(onnx).unwrap();
        let options = [&[("task", "object-detection")], options].concat();
        let Ok(spec) = folder.resolve(&options) else {
            let error = folder.error(&options);
            assert!(error.contains("detect reads [batch, boxes, 5 + classes]"), "{error}");
            return error.split("; detect reads").next().unwrap().to_owned();
        };
        spec.settings.into_iter().find(|line| line.name == "head").unwrap().value
    }

    fn alone(side: usize, shape: &str) -> String {
        head(&onnx(side, "Conv", &[("boxes", shape)]), &[])
    }

    #[test]
    fn heads_are_named() {
        let three = ("labels", r#"["a", "b", "c"]"#);
        let one = ("labels", r#"["a"]"#);
        let boxes = |shape| onnx(640, "Conv", &[("boxes", shape)]);
        let suppressed = onnx(640, "TopK", &[("boxes", "1,300,6")]).metadata("author", "Ultralytics");
        let names = [
            alone(640, "1,84,8400"),
            alone(416, "1,84,3549"),
            alone(640, "1,84,n"),
            alone(640, "1,25200,85"),
            alone(640, "1,25200,6"),
            head(&boxes("1,7,100"), &[three]),
            head(&boxes("1,100,8"), &[three]),
            head(&boxes("1,n,6"), &[one]),
            head(&suppressed.metadata("task", "detect"), &[three]),
        ];
        insta::assert_snapshot!(names.join("\n"), @r"
        yolov8 [1, 84, 8400]
        yolov8 [1, 84, 3549]
        yolov8 [1, 84, n]
        yolov5 [1, 25200, 85]
        yolov5 [1, 25200, 6]
        yolov8 [1, 7, 100]
        yolov5 [1, 100, 8]
        yolov5 [1, n, 6]
        suppressed boxes [1, 300, 6]
        ");
    }

    #[test]
    fn what_is_no_head_is_refused_with_the_reason() {
        let three = ("labels", r#"["a", "b", "c"]"#);
        let of = |outputs: &[(&str, &str)]| head(&onnx(640, "Conv", outputs), &[]);
        let ultralytics =
            |operator, shape| onnx(640, operator, &[("boxes", shape)]).metadata("author", "Ultralytics");
        let errors = [
            alone(416, "1,3549,6"),
            alone(640, "1,8400,85"),
            of(&[("logits", "1,100,92"), ("pred_boxes", "1,100,4")]),
            of(&[("boxes", "1,3000,4"), ("scores", "1,3000,2")]),
            of(&[("detection_boxes", "1,100,4"), ("detection_classes", "1,100")]),
            head(&onnx(640, "NonMaxSuppression", &[("boxes", "1,100,6")]), &[]),
            alone(640, "1,300,6"),
            alone(640, "1,300,84"),
            alone(640, "1,84,100"),
            of(&[("boxes", "1,116,8400"), ("masks", "1,32,160,160")]),
            alone(640, "1,255,20,20"),
            alone(640, "1,4"),
            head(&onnx(640, "Conv", &[("boxes", "1,84,8400")]), &[three]),
            head(&ultralytics("Concat", "1,56,8400").metadata("task", "pose"), &[]),
            head(&ultralytics("Concat", "1,300,8"), &[three]),
        ];
        let errors = errors
            .map(|error| error.replace("model 'm': output ", "").replace("can't be read as boxes: ", ""));
        insta::assert_snapshot!(errors.join("\n"), @r"
        'boxes' float32 [1, 3549, 6] 3549 boxes are one for each cell of its grids, as in YOLOX, whose positions count in cells unless the export decoded them, which the file does not say
        'boxes' float32 [1, 8400, 85] 8400 boxes are one for each cell of its grids, as in YOLOX, whose positions count in cells unless the export decoded them, which the file does not say
        'logits' float32 [1, 100, 92] boxes and classes are in outputs of their own, 'logits' float32 [1, 100, 92] and 'pred_boxes' float32 [1, 100, 4], as in DETR and SSD
        'boxes' float32 [1, 3000, 4] boxes and classes are in outputs of their own, 'boxes' float32 [1, 3000, 4] and 'scores' float32 [1, 3000, 2], as in DETR and SSD
        'detection_boxes' float32 [1, 100, 4] boxes and classes are in outputs of their own, 'detection_boxes' float32 [1, 100, 4] and 'detection_classes' float32 [1, 100], as in DETR and SSD
        'boxes' float32 [1, 100, 6] the graph suppresses boxes itself, and the file does not say in which order the 6 numbers of a box are
        'boxes' float32 [1, 300, 6] 300 boxes fit no grids over 640x640 pixels, and a box may not be 5 numbers and the classes; labels for all classes would tell
        'boxes' float32 [1, 300, 84] 300 boxes fit no grids over 640x640 pixels, and a box may not be 5 numbers and the classes; labels for all classes would tell
        'boxes' float32 [1, 84, 100] 100 boxes fit no grids over 640x640 pixels, and a box may not be 4 numbers and the classes; labels for all classes would tell
        'boxes' float32 [1, 116, 8400] another output holds masks, so that some of its numbers are not classes
        'boxes' float32 [1, 255, 20, 20] it does not have the three dimensions of a table of boxes; it may be a grid of anchor boxes
        'boxes' float32 [1, 4] it does not have the three dimensions of a table of boxes
        'boxes' float32 [1, 84, 8400] with 3 labels, a box has 8 numbers in rows or 7 in columns
        'boxes' float32 [1, 56, 8400] its exporter notes the task 'pose', not 'detect'
        'boxes' float32 [1, 300, 8] no head of Ultralytics has boxes in rows, except after suppression
        ");
    }
}

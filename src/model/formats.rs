//! Runs graphs with every input format that CREATE MODEL supports.
//!
//! The graphs average each channel, so that the output of ONNX Runtime reflects its input.

use prost::Message;

use super::testing::{Folder, Onnx, home};
use crate::Result;
use crate::clock::Clock;
use crate::images::decode::RgbImage;
use crate::model::runtime::{Batch, Cancellation, Model, RunTimes, Runtime};
use crate::model::tensor::{Preprocessor, Tensor};

const COLOUR: [u8; 3] = [50, 100, 200];

/// The fields of ONNX's `ModelProto` that Seequel never reads: the operator set and attributes. Concatenated protobuf
/// messages decode as one message with the fields of both.
#[derive(Clone, PartialEq, Message)]
struct Rest {
    #[prost(message, optional, tag = "7")]
    graph: Option<Nodes>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, Message)]
struct OperatorSet {
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Nodes {
    #[prost(message, repeated, tag = "1")]
    node: Vec<Node>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(string, tag = "1")]
    input: String,
    #[prost(string, tag = "2")]
    output: String,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, optional, tag = "5")]
    attribute: Option<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "3")]
    int: i64,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    /// `AttributeProto.AttributeType`: 2 is INT, 7 is INTS.
    #[prost(int32, tag = "20")]
    kind: i32,
}

/// A graph that averages `pixels` to `means` of `[batch, 3, 1, 1]`.
fn averages(element: &str, shape: &str) -> Vec<u8> {
    let batch = shape.split(',').next().unwrap();
    let onnx = Onnx::new()
        .input("pixels", element, shape)
        .node("GlobalAveragePool", &["pixels"], "means")
        .output("means", element, &format!("{batch},3,1,1"));
    runnable(&onnx, vec![])
}

/// A graph that averages channels-last integers `pixels` in single precision.
fn averages_of(element: &str) -> Vec<u8> {
    let node = |input: &str, op_type: &str, output: &str, attribute| Node {
        input: input.to_owned(),
        output: output.to_owned(),
        op_type: op_type.to_owned(),
        attribute: Some(attribute),
    };
    let float = Attribute { name: "to".to_owned(), int: 1, ints: vec![], kind: 2 };
    let channels_first = Attribute { name: "perm".to_owned(), int: 0, ints: vec![0, 3, 1, 2], kind: 7 };
    let nodes =
        vec![node("pixels", "Cast", "floats", float), node("floats", "Transpose", "planes", channels_first)];
    let onnx = Onnx::new()
        .input("pixels", element, "batch,height,width,3")
        .node("GlobalAveragePool", &["planes"], "means")
        .output("means", "float32", "batch,3,1,1");
    runnable(&onnx, nodes)
}

fn runnable(onnx: &Onnx, nodes: Vec<Node>) -> Vec<u8> {
    let opset_import = vec![OperatorSet { version: 13 }];
    let rest = Rest { graph: Some(Nodes { node: nodes }), opset_import };
    [rest.encode_to_vec(), onnx.bytes()].concat()
}

/// Outputs of the model for `rows` images of [`COLOUR`], three numbers per row.
fn outputs(onnx: &[u8], options: &[(&str, &str)], rows: usize) -> Result<Vec<f32>> {
    run(onnx, &[&[("rescale", "1")], options].concat(), rows)
}

/// Outputs of the model for one image, without options for its pixels.
fn outputs_by_default(onnx: &[u8]) -> Result<Vec<f32>> {
    run(onnx, &[], 1)
}

fn run(onnx: &[u8], options: &[(&str, &str)], rows: usize) -> Result<Vec<f32>> {
    let folder = Folder::classifier().unwrap();
    std::fs::write(folder.path().join("model.onnx"), onnx).unwrap();
    let options = [&[("device", "cpu")], options].concat();
    let spec = folder.resolve(&options)?;
    let image =
        RgbImage { width: 6, height: 5, pixels: COLOUR.repeat(30), original_width: 6, original_height: 5 };
    let image_spec = spec.image().unwrap();
    let mut tensor = Tensor::new(&image_spec.input, spec.fixed_batch.unwrap_or(rows));
    let mut preprocessor = Preprocessor::new(image_spec);
    for row in 0..rows {
        preprocessor.write(&image, &mut tensor, row).unwrap();
    }
    let times = RunTimes::default();
    let outputs = [spec.output.name.clone()];
    let batch = Batch { rows, images: Some((&tensor, 0)), numbers: vec![], max_output_elements: 100 };
    let outputs = Model::new(spec, Runtime::new(&home()))
        .run(&batch, &outputs, &times, &Clock::default(), &Cancellation::default())?
        .unwrap();
    Ok((0..rows).flat_map(|row| outputs[0].floats(row).unwrap().to_vec()).collect())
}

#[test]
fn float32_and_float16_of_any_size_and_batch() -> Result<()> {
    for element in ["float32", "float16"] {
        let open = averages(element, "batch,3,height,width");
        assert_eq!(outputs(&open, &[("input_size", "4")], 2)?, [50.0, 100.0, 200.0].repeat(2));
        assert_eq!(outputs(&open, &[("input_size", "8x6")], 1)?, [50.0, 100.0, 200.0]);
    }
    Ok(())
}

#[test]
fn fixed_batch_is_padded_and_truncated() -> Result<()> {
    let fixed = averages("float32", "4,3,4,4");
    assert_eq!(outputs(&fixed, &[], 3)?, [50.0, 100.0, 200.0].repeat(3));
    Ok(())
}

#[test]
fn bgr_reverses_the_channels() -> Result<()> {
    let open = averages("float32", "batch,3,4,4");
    assert_eq!(outputs(&open, &[("channels", "BGR")], 1)?, [200.0, 100.0, 50.0]);
    Ok(())
}

#[test]
fn mean_and_std_agree_with_and_without_rescale() -> Result<()> {
    let open = averages("float32", "batch,3,4,4");
    let shares = [("rescale", "1/255"), ("mean", "0.2,0.4,0.4"), ("std", "0.5")];
    let bytes = [("mean", "51,102,102"), ("std", "127.5")];
    let (shares, bytes) = (outputs(&open, &shares, 1)?, outputs(&open, &bytes, 1)?);
    for (share, byte) in shares.iter().zip(&bytes) {
        assert!((share - byte).abs() < 1e-5, "{shares:?} {bytes:?}");
    }
    assert!((bytes[2] - 98.0 / 127.5).abs() < 1e-5, "{bytes:?}");
    Ok(())
}

#[test]
fn integers_are_raw_pixels() -> Result<()> {
    for element in ["uint8", "uint16", "int16", "int32", "int64"] {
        let integers = averages_of(element);
        assert_eq!(
            outputs(&integers, &[("input_size", "5x3")], 2)?,
            [50.0, 100.0, 200.0].repeat(2),
            "{element}"
        );
    }
    Ok(())
}

/// Without options, the pixels are those that the graph's own normalisation expects.
#[test]
fn graph_that_normalises_gets_its_pixels() -> Result<()> {
    let graph = |mean: f32| {
        let onnx = Onnx::new()
            .input("pixels", "float32", "batch,3,4,4")
            .constant("mean", &[1, 3, 1, 1], &[mean; 3])
            .node("Sub", &["pixels", "mean"], "centred")
            .node("GlobalAveragePool", &["centred"], "means")
            .output("means", "float32", "batch,3,1,1");
        runnable(&onnx, vec![])
    };
    assert_eq!(outputs_by_default(&graph(100.0))?, [-50.0, 0.0, 100.0]);
    let shares = outputs_by_default(&graph(0.5))?;
    for (share, byte) in shares.iter().zip(COLOUR) {
        assert!((share - (f32::from(byte) / 255.0 - 0.5)).abs() < 1e-6, "{shares:?}");
    }
    Ok(())
}

#[test]
fn uint8_with_channels_last() -> Result<()> {
    let bytes = averages_of("uint8");
    let letterbox = [("input_size", "6x10"), ("resize", "letterbox"), ("padding", "0")];
    assert_eq!(outputs(&bytes, &letterbox, 1)?, [25.0, 50.0, 100.0]);
    Ok(())
}

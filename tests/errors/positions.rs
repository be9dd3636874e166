//! Errors about models, formats and arguments point at their subject.

use crate::support::process::run;

const LITE0: &str = "models/efficientnet_lite0/model.onnx";

/// The error of `sql` without its message: the line of the statement, and the mark below it.
#[track_caller]
fn position(sql: &str) -> String {
    let error = run(&["-q", "-c", sql]).error();
    let (_, position) = error.split_once("\n  |\n").unwrap_or_else(|| panic!("no position: {error}"));
    position.to_owned()
}

#[test]
fn unknown_model_in_a_call() {
    let error = run(&[
        "-q",
        "-c",
        "SELECT 'nope' AS a,\n  upper(classify(image, 'nope')['label']) FROM 'photos/lion.jpg'",
    ]);
    insta::assert_snapshot!(error.error(), @r"
    Error: there is no model 'nope'; the models are 'efficientnet_lite0', 'efficientnet_lite2'; CREATE MODEL adds more
     --> --command:2:25
      |
    2 |   upper(classify(image, 'nope')['label']) FROM 'photos/lion.jpg'
      |                         ^
    ");
    insta::assert_snapshot!(position("SELECT predict('nope', image) FROM 'photos/lion.jpg'"), @r"
    1 | SELECT predict('nope', image) FROM 'photos/lion.jpg'
      |                ^
    ");
}

#[test]
fn unknown_default_model() {
    insta::assert_snapshot!(position("SET inference.default_model = 'nope'; SELECT 1 AS a, classify(NULL)"), @r"
    1 | SET inference.default_model = 'nope'; SELECT 1 AS a, classify(NULL)
      |                                                      ^
    ");
}

#[test]
fn statements_about_models() {
    insta::assert_snapshot!(position("DESCRIBE MODEL nope"), @r"
    1 | DESCRIBE MODEL nope
      |                ^
    ");
    insta::assert_snapshot!(position("SELECT 1; DROP MODEL Nope;"), @r"
    1 | SELECT 1; DROP MODEL Nope;
      |                      ^
    ");
    insta::assert_snapshot!(position("CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, nope)"), @r"
    1 | CREATE MODEL both AS ENSEMBLE OF (efficientnet_lite0, nope)
      |                                                       ^
    ");
    insta::assert_snapshot!(position("CREATE MODEL m FROM 'no/model.onnx'"), @r"
    1 | CREATE MODEL m FROM 'no/model.onnx'
      |                     ^
    ");
    insta::assert_snapshot!(position("CREATE MODEL efficientnet_lite0 FROM 'model.onnx'"), @r"
    1 | CREATE MODEL efficientnet_lite0 FROM 'model.onnx'
      |              ^
    ");
}

#[test]
fn options_of_models() {
    insta::assert_snapshot!(position(&format!("CREATE MODEL m FROM '{LITE0}'\nOPTIONS (rescale 1, lables 'x')")), @r"
    2 | OPTIONS (rescale 1, lables 'x')
      |                     ^
    ");
    insta::assert_snapshot!(position(&format!("CREATE MODEL m FROM '{LITE0}'\nOPTIONS (rescale 1, device 'tpu')")), @r"
    2 | OPTIONS (rescale 1, device 'tpu')
      |                            ^
    ");
    let members = "efficientnet_lite0, efficientnet_lite2";
    insta::assert_snapshot!(position(&format!("CREATE MODEL e AS ENSEMBLE OF ({members})\nOPTIONS (combine 'sum')")), @r"
    2 | OPTIONS (combine 'sum')
      |                  ^
    ");
}

#[test]
fn unquoted_name_of_a_model() {
    let call = |model: &str| {
        let sql = format!("SELECT path, classify(image, {model})['label'] FROM 'photos/lion.jpg'");
        run(&["-q", "-c", &sql]).error()
    };
    insta::assert_snapshot!(call("efficientnet"), @r"
    Error: there is no column 'efficientnet'; the name of a model is written in quotes: classify(image, 'efficientnet_lite0')
     --> --command:1:30
      |
    1 | SELECT path, classify(image, efficientnet)['label'] FROM 'photos/lion.jpg'
      |                              ^
    ");
    let error = call("resnet");
    assert!(error.contains("in quotes: classify(image, 'resnet')\n"), "{error}");
}

#[test]
fn arguments_of_calls() {
    insta::assert_snapshot!(position("SELECT path, classify('resnet', image) FROM 'photos/lion.jpg'"), @r"
    1 | SELECT path, classify('resnet', image) FROM 'photos/lion.jpg'
      |              ^
    ");
    insta::assert_snapshot!(position("SELECT thumbnail(image, 0) FROM 'photos/lion.jpg'"), @r"
    1 | SELECT thumbnail(image, 0) FROM 'photos/lion.jpg'
      |        ^
    ");
    // Which of two different calls is wrong is not known.
    let error = run(&["-q", "-c", "SELECT classify(image), classify(path) FROM 'photos/lion.jpg'"]).error();
    assert!(error.contains("image must be the bytes") && !error.contains("-->"), "{error}");
}

#[test]
fn formats() {
    insta::assert_snapshot!(position("CREATE EXTERNAL TABLE t STORED AS IMAGE LOCATION 'photos'"), @r"
    1 | CREATE EXTERNAL TABLE t STORED AS IMAGE LOCATION 'photos'
      |                                   ^
    ");
}

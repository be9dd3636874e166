//! Invalid calls, settings and statements.

use crate::support::process::run;

fn error(sql: &str) -> String {
    run(&["-q", "-c", sql]).error_line()
}

/// The error of a call on a table with all relevant types.
fn call(arguments: &str) -> String {
    error(&format!("SELECT classify({arguments}) FROM (SELECT *, path AS model FROM read_images('photos'))"))
}

#[test]
fn text_is_not_an_image() {
    let error = call("path");
    assert!(
        error.contains("classify(image [, model]): image must be the bytes of an image file, not text; read_images('folder/')"),
        "{error}"
    );
}

#[test]
fn number_is_not_an_image() {
    let error = call("width");
    assert!(
        error.contains("classify(image [, model]): image must be the bytes of an image file (a binary column), not UInt32"),
        "{error}"
    );
}

#[test]
fn struct_without_bytes_is_not_an_image() {
    let error = call("named_struct('data', image)");
    assert!(
        error.contains(
            "classify(image [, model]): a struct holds an image in its field 'bytes', and this one has none"
        ),
        "{error}"
    );
}

#[test]
fn no_arguments() {
    let error = call("");
    assert!(error.contains("classify"), "{error}");
}

#[test]
fn too_many_arguments() {
    let error = call("image, 'efficientnet_lite0', 5");
    assert!(error.contains("classify"), "{error}");
}

#[test]
fn model_must_be_a_literal() {
    insta::assert_snapshot!(call("image, model"), @"Error: classify(image [, model]): model must be a literal such as 'resnet', because it determines the plan");
}

#[test]
fn model_must_be_text() {
    let error = call("image, 1");
    assert!(
        error.contains("classify(image [, model]): model must be the name of a model, not Int64"),
        "{error}"
    );
}

#[test]
fn unknown_field_of_a_prediction() {
    let error = call("image)['score'] FROM (SELECT image FROM 'photos/lion.jpg') --");
    assert!(error.contains("score"), "{error}");
}

#[test]
fn prediction_of_a_null_image_is_null() {
    let sql =
        "SELECT classify(NULL) IS NULL AS untyped, classify(arrow_cast(NULL, 'BinaryView')) IS NULL AS typed,
                      classify(NULL)['label'] IS NULL AS label, classify(NULL)['error'] IS NULL AS error";
    assert_eq!(
        run(&["-q", "--format", "csv", "-c", sql]).stdout(),
        "untyped,typed,label,error\ntrue,true,true,true\n"
    );
}

#[test]
fn invalid_values_of_settings() {
    insta::assert_snapshot!(error("SET inference.on_error = 'ignore'"), @"Error: inference.on_error is 'null', 'skip' or 'fail', not 'ignore'");
    insta::assert_snapshot!(error("SET inference.max_image_pixels = 0"), @"Error: inference.max_image_pixels is a number of pixels above 0, not '0'");
    insta::assert_snapshot!(error("SET inference.max_image_pixels = 'many'"), @"Error: inference.max_image_pixels is a number of pixels above 0, not 'many'");
}

#[test]
fn unknown_setting_lists_the_valid_ones() {
    insta::assert_snapshot!(error("SET inference.model = 'resnet'"), @"Error: unknown setting inference.model; the settings are default_model, on_error, max_errors, max_error_ratio, timeout, max_image_pixels, max_file_bytes, max_frames, max_text_bytes, max_output_elements, max_model_bytes, max_weight_bytes");
}

#[test]
fn missing_table_is_named() {
    let error = error("SELECT classify(image) FROM pictures");
    assert!(error.contains("'datafusion.public.pictures' not found"), "{error}");
}

#[test]
fn image_tables_have_neither_columns_nor_options() {
    insta::assert_snapshot!(
        error("CREATE EXTERNAL TABLE t (label VARCHAR) STORED AS IMAGES LOCATION 'photos'"),
        @"Error: images 'photos': the columns of images are given; remove 'label' (string columns in PARTITIONED BY may be named)"
    );
    insta::assert_snapshot!(
        error("CREATE EXTERNAL TABLE t STORED AS IMAGES LOCATION 'photos' OPTIONS (quality 'high')"),
        @"Error: images 'photos': unknown option 'quality'; STORED AS IMAGES takes none"
    );
}

#[test]
fn read_images_takes_one_string() {
    insta::assert_snapshot!(error("SELECT * FROM read_images(1)"), @"Error: read_images takes the location as one string, such as read_images('photos/**/*.jpg')");
    insta::assert_snapshot!(error("SELECT * FROM read_images()"), @"Error: read_images takes the location as one string, such as read_images('photos/**/*.jpg')");
}

#[test]
fn swapped_arguments_are_shown_in_order() {
    insta::assert_snapshot!(call("'resnet', image"), @"Error: classify(image [, model]): the arguments are in another order; write classify(image, 'resnet')");
    let from = "FROM 'photos/lion.jpg'";
    insta::assert_snapshot!(error(&format!("SELECT predict(image, 'resnet') {from}")), @"Error: predict(model, input, …): the arguments are in another order; write predict('resnet', input)");
    insta::assert_snapshot!(error(&format!("SELECT classify_top_k(image, 'resnet', 3) {from}")), @"Error: classify_top_k(image, k [, model]): the arguments are in another order; write classify_top_k(image, 3, 'resnet')");
    insta::assert_snapshot!(error(&format!("SELECT detect('resnet', image) {from}")), @"Error: detect(image [, model]): the arguments are in another order; write detect(image, 'resnet')");
}

#[test]
fn unknown_formats_list_those_there_are() {
    insta::assert_snapshot!(error("CREATE EXTERNAL TABLE t STORED AS IMAGE LOCATION 'photos'"), @"Error: there is no format IMAGE; did you mean IMAGES? The formats are ARROW, AVRO, CSV, IMAGES, JSON, NDJSON, PARQUET, WEBDATASET");
    insta::assert_snapshot!(error("CREATE EXTERNAL TABLE t STORED AS PICTURES LOCATION 'photos'"), @"Error: there is no format PICTURES; the formats are ARROW, AVRO, CSV, IMAGES, JSON, NDJSON, PARQUET, WEBDATASET");
    let error = error("COPY (SELECT 1 AS a) TO 'a.csv' STORED AS PARKET");
    assert!(
        error.starts_with("Error: there is no format PARKET; did you mean PARQUET? The formats are ARROW, "),
        "{error}"
    );
}

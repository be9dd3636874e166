//! Predictions equal those of ONNX Runtime in Python with Pillow's decoding, cropping and resizing.
//!
//! `tests/data/reference.json` is made by `scripts/reference.py`, which writes down versions and digests beside them.

use std::collections::BTreeMap;

use datafusion::arrow::array::{AsArray, StructArray};
use datafusion::arrow::datatypes::{Float32Type, Int32Type};
use serde_json::Value;

use crate::support::{Run, engine};

/// Photos whose two best classes are closer than this are near-ties: scaled decoding may swap them.
const NEAR_TIE: f64 = 0.03;

const TOLERANCE: f64 = 0.05;

async fn compare(model: &str) {
    let text = std::fs::read_to_string("tests/data/reference.json").unwrap();
    let reference: Value = serde_json::from_str(&text).unwrap();
    let engine = engine().await;
    let sql = format!(
        "SELECT regexp_replace(path, '.*/', '') AS photo, classify(image, '{model}') AS c FROM images"
    );
    let predicted: BTreeMap<String, (i64, f64)> =
        Run::new(&engine, &sql).await.batches.iter().flat_map(predictions).collect();

    let photos = reference["photos"].as_object().unwrap();
    assert_eq!(predicted.len(), photos.len());
    let mut differing = vec![];
    for (photo, expected) in photos {
        let expected = &expected["predictions"][model];
        let (class, confidence) = predicted[photo];
        let (best, second) = (number(expected, "confidence"), number(expected, "second_confidence"));
        if Some(class) == expected["class"].as_i64() {
            assert!((confidence - best).abs() < TOLERANCE, "{photo}: {confidence} instead of {best}");
        } else {
            assert!(best - second < NEAR_TIE, "{photo}: class {class} instead of {}", expected["class"]);
            differing.push(photo);
        }
    }
    assert!(differing.is_empty(), "other classes than the reference's: {differing:?}");
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("no number '{key}' in {value}"))
}

fn predictions(batch: &datafusion::arrow::array::RecordBatch) -> Vec<(String, (i64, f64))> {
    let answers: &StructArray = batch.column(1).as_struct();
    let classes = answers.column_by_name("class").unwrap().as_primitive::<Int32Type>();
    let confidences = answers.column_by_name("confidence").unwrap().as_primitive::<Float32Type>();
    let photos =
        datafusion::arrow::compute::cast(batch.column(0), &datafusion::arrow::datatypes::DataType::Utf8);
    let photos = photos.unwrap();
    (0..batch.num_rows())
        .map(|row| {
            let photo = photos.as_string::<i32>().value(row).to_owned();
            (photo, (i64::from(classes.value(row)), f64::from(confidences.value(row))))
        })
        .collect()
}

#[tokio::test]
async fn efficientnet_lite0_predicts_what_python_predicts() {
    compare("efficientnet_lite0").await;
}

#[tokio::test]
async fn efficientnet_lite2_predicts_what_python_predicts() {
    compare("efficientnet_lite2").await;
}

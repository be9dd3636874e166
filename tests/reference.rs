//! Predictions and boxes equal those of ONNX Runtime in Python with Pillow's decoding, cropping and resizing.
//!
//! `scripts/reference.py` writes `tests/data`, including versions and digests.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::arrow::array::{Array, AsArray, StructArray};
use datafusion::arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use seequel::Engine;
use serde_json::Value;

use crate::support::{Run, engine, home, photos};

/// Photos whose two best classes are closer than this are near-ties: scaled decoding may swap them.
const NEAR_TIE: f64 = 0.03;

const TOLERANCE: f64 = 0.05;

/// Tolerance for the sides of a box.
const PIXELS: f64 = 2.0;

/// Boxes of less confidence are not compared: one grey level of noise changes confidences by 0.04, which can move them
/// below the threshold of 0.25 or below an overlapping box.
const DOUBTFUL: f64 = 0.32;

/// Engine with the ensembles whose predictions are compared with Python's.
async fn engine_with_ensembles() -> Engine {
    let engine = engine().await;
    for combine in ["mean", "max_confidence"] {
        let sql = format!(
            "CREATE MODEL {combine} AS ENSEMBLE OF (efficientnet_lite0, efficientnet_lite2) OPTIONS (combine '{combine}')"
        );
        engine.sql(&sql).await.unwrap();
    }
    engine
}

fn read(file: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

async fn compare(model: &str) {
    let reference = read("tests/data/reference.json");
    let engine = engine_with_ensembles().await;
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
    let predictions: &StructArray = batch.column(1).as_struct();
    let classes = predictions.column_by_name("class").unwrap().as_primitive::<Int32Type>();
    let confidences = predictions.column_by_name("confidence").unwrap().as_primitive::<Float32Type>();
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
async fn efficientnet_lite0_matches_python() {
    compare("efficientnet_lite0").await;
}

#[tokio::test]
async fn efficientnet_lite2_matches_python() {
    compare("efficientnet_lite2").await;
}

#[tokio::test]
async fn mean_ensemble_matches_python() {
    compare("mean").await;
}

#[tokio::test]
async fn max_confidence_takes_the_more_confident_member() {
    let engine = engine_with_ensembles().await;
    let sql = "SELECT count(*) FROM
        (SELECT classify(image, 'efficientnet_lite0') AS a, classify(image, 'efficientnet_lite2') AS b,
                classify(image, 'max_confidence') AS m FROM images)
        WHERE m = CASE WHEN a['confidence'] >= b['confidence'] THEN a ELSE b END
          AND m['confidence'] = greatest(a['confidence'], b['confidence'])";
    let run = Run::new(&engine, sql).await;
    assert_eq!(run.batches[0].column(0).as_primitive::<Int64Type>().value(0), 20);
}

/// The vector of each image of a folder, by file name.
async fn vectors(engine: &Engine, folder: &Path) -> BTreeMap<String, Vec<f32>> {
    let folder = folder.display();
    let sql = format!(
        "SELECT arrow_cast(regexp_replace(path, '.*/', ''), 'Utf8'), embed(image) FROM read_images('{folder}')"
    );
    let run = Run::new(engine, &sql).await;
    let rows = run.batches.iter().flat_map(|batch| {
        let (photos, vectors) = (batch.column(0).as_string::<i32>(), batch.column(1).as_fixed_size_list());
        (0..batch.num_rows()).map(|row| {
            let vector = vectors.value(row).as_primitive::<Float32Type>().values().to_vec();
            (photos.value(row).to_owned(), vector)
        })
    });
    rows.collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[tokio::test]
async fn embedding_is_stable_under_reencoding_and_differs_between_subjects() {
    let folder = tempfile::tempdir().unwrap();
    let subjects = ["coffee.png", "astronaut.png", "lion.jpg"];
    for subject in subjects {
        let image = image::open(photos().join(subject)).unwrap().into_rgb8();
        let file = std::fs::File::create(folder.path().join(subject).with_extension("jpg")).unwrap();
        image::codecs::jpeg::JpegEncoder::new_with_quality(file, 85).encode_image(&image).unwrap();
    }
    let engine = engine().await;
    let originals = vectors(&engine, &photos()).await;
    let copies = vectors(&engine, folder.path()).await;
    for subject in subjects {
        let copy = &copies[&subject.replace(".png", ".jpg")];
        let same = cosine(&originals[subject], copy);
        assert!(same > 0.98, "{subject} and its copy: {same}");
        for other in subjects.iter().filter(|other| **other != subject) {
            let different = cosine(&originals[*other], copy);
            assert!(different < 0.7, "{subject} and {other}: {different}");
        }
    }
}

/// A label, its confidence and its box.
type Object = (String, f64, [f64; 4]);

/// The detections in the images of a folder, by file name.
async fn objects(engine: &Engine, folder: &Path) -> BTreeMap<String, Vec<Object>> {
    let sql = format!(
        "SELECT arrow_cast(regexp_replace(path, '.*/', ''), 'Utf8'), detect(image, 'yolo') FROM read_images('{}')",
        folder.display()
    );
    let run = Run::new(engine, &sql).await;
    let rows = run.batches.iter().flat_map(|batch| {
        let (photos, lists) = (batch.column(0).as_string::<i32>(), batch.column(1).as_list::<i32>());
        (0..batch.num_rows())
            .map(|row| (photos.value(row).to_owned(), objects_of(lists.value(row).as_struct())))
    });
    rows.collect()
}

fn objects_of(list: &StructArray) -> Vec<Object> {
    let number = |values: &StructArray, column: &str, row: usize| {
        f64::from(values.column_by_name(column).unwrap().as_primitive::<Float32Type>().value(row))
    };
    let boxes = list.column_by_name("box").unwrap().as_struct();
    let object = |row: usize| {
        let label = list.column_by_name("label").unwrap().as_string::<i32>().value(row);
        let corners = ["x0", "y0", "x1", "y1"].map(|side| number(boxes, side, row));
        (label.to_owned(), number(list, "confidence", row), corners)
    };
    (0..list.len()).map(object).collect()
}

#[tokio::test]
async fn yolov3_tiny_matches_python() {
    let reference = read("tests/data/detections.json");
    let engine = engine().await;
    let detector = home().join("tests/yolov3_tiny");
    engine.sql(&format!("CREATE MODEL yolo FROM '{}'", detector.display())).await.unwrap();
    let mut found = objects(&engine, &photos()).await;
    found.extend(objects(&engine, &home().join("tests/photos")).await);
    for (photo, expected) in reference["photos"].as_object().unwrap() {
        let mut found = found.remove(photo).unwrap();
        for expected in expected.as_array().unwrap() {
            let corners: [f64; 4] = std::array::from_fn(|side| expected["box"][side].as_f64().unwrap());
            let confidence = number(expected, "confidence");
            let matches = |(label, sure, found): &Object| {
                *label == expected["label"].as_str().unwrap()
                    && (sure - confidence).abs() < TOLERANCE
                    && found.iter().zip(corners).all(|(found, expected)| (found - expected).abs() <= PIXELS)
            };
            let Some(position) = found.iter().position(matches) else {
                assert!(confidence < DOUBTFUL, "{photo}: no {expected} among {found:?}");
                continue;
            };
            found.remove(position);
        }
        let unexpected: Vec<_> = found.iter().filter(|object| object.1 >= DOUBTFUL).collect();
        assert!(unexpected.is_empty(), "{photo}: {unexpected:?}");
    }
}

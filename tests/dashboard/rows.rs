//! Single rows that the dashboard shows: a sample of all, and the last that failed.

use std::collections::BTreeSet;

use seequel::Engine;
use serde_json::Value;

use super::client::Client;
use super::shown::{collect, engine, query};
use crate::support::s3::S3;
use crate::support::{folder_of, photos};

/// Runs a query; returns its identifier and details. The list of queries may be half a second old.
async fn finished(engine: &Engine, client: &Client, sql: &str) -> (String, Value) {
    collect(query(engine, sql).await).await;
    let id = client.until("/api/v1/queries", |all| {
        let mut queries = all["queries"].as_array()?.iter();
        let query = queries.find(|query| query["text"] == sql && query["state"] == "finished")?;
        Some(query["id"].as_str()?.to_owned())
    });
    let details = client.get(&format!("/api/v1/queries/{id}")).json();
    (id, details)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_has_a_sample_of_its_rows() {
    let (engine, client, home) = engine();
    let folder = folder_of(300);
    let sql = format!(
        "COPY (SELECT path, classify(image) AS p, classify_top_k(image, 2) AS two FROM read_images('{}')) TO '{}'",
        folder.path().display(),
        home.path().join("labels.parquet").display()
    );
    let (id, details) = finished(&engine, &client, &sql).await;
    let rows = details["sampled_rows"].as_array().unwrap();
    let names: BTreeSet<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!((rows.len(), names.len()), (100, 100));
    let numbers: Vec<_> = rows.iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|later, earlier| later > earlier), "{numbers:?}");
    // Some 50 of them are in the second half.
    let late = names.iter().filter(|name| name.rsplit('/').next().unwrap() >= "0150.jpg");
    assert!((20..80).contains(&late.count()), "{names:?}");
    for row in rows {
        let labels: Vec<_> =
            row["found"].as_array().unwrap().iter().map(|found| found["label"].clone()).collect();
        assert_eq!(labels.len(), 2, "of classify and classify_top_k, without what is the same: {row:#}");
        assert_eq!((&labels[0], &row["found"][0]["model"]), (&"lion".into(), &"efficientnet_lite0".into()));
        assert!(row["found"][0]["confidence"].as_f64().unwrap() > 0.5);
        assert_eq!((row["error"].is_null(), &row["size"]), (true, &rows[0]["size"]));
    }
    let image = client.get(&format!("/api/v1/queries/{id}/sampled_rows/{}/image", numbers[0]));
    assert_eq!((image.status, image.headers["content-type"].as_str()), (200, "image/jpeg"));
    assert_eq!(client.get(&format!("/api/v1/queries/{id}/sampled_rows/100000/image")).status, 404);
    let summary = &client.get("/api/v1/queries").json()["queries"][0];
    assert!(summary.get("sampled_rows").is_none(), "{summary:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_of_buckets_and_parquet_have_pictures() {
    let (engine, client, home) = engine();
    let server = S3::of_photos();
    let create = format!(
        "CREATE EXTERNAL TABLE images STORED AS IMAGES LOCATION 's3://photos/' OPTIONS ({})",
        server.options()
    );
    engine.sql(&create).await.unwrap();
    let of_bucket =
        finished(&engine, &client, "SELECT path, classify(image)['label'] AS label FROM images").await;
    drop(server);
    let has_picture = |(id, details): &(String, Value)| {
        let rows = details["sampled_rows"].as_array().unwrap();
        let answers = rows.iter().map(|row| {
            assert!(row["found"][0]["label"].is_string() && row["size"][0].is_u64(), "{row:#}");
            client.get(&format!("/api/v1/queries/{id}/sampled_rows/{}/image", row["number"]))
        });
        let (made, others): (Vec<_>, Vec<_>) = answers.partition(|answer| answer.status == 200);
        assert!(made.iter().all(|image| image.body.starts_with(b"\xff\xd8")));
        assert!(others.iter().all(|answer| answer.status == 404), "{others:?}");
        (rows.len(), !made.is_empty())
    };
    // How many there is time for depends on the machine; the first always gets one.
    assert_eq!(has_picture(&of_bucket), (20, true));

    let file = home.path().join("embedded.parquet");
    let copy = format!(
        "COPY (SELECT 'row ' || width AS name, image FROM read_images('{}/*.jpg')) TO '{}'",
        photos().display(),
        file.display()
    );
    engine.sql(&copy).await.unwrap().collect().await.unwrap();
    let select = format!("SELECT name, classify(image)['label'] FROM '{}'", file.display());
    let (rows, has_some) = has_picture(&finished(&engine, &client, &select).await);
    assert!(rows >= 5 && has_some, "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_errors_are_listed_newest_first() {
    let (engine, client, _home) = engine();
    let folder = tempfile::tempdir().unwrap();
    for number in 0..150 {
        std::fs::write(folder.path().join(format!("{number:03}.jpg")), "no image").unwrap();
    }
    let errors = async |location: &std::path::Path| {
        let select =
            format!("SELECT path, classify(image)['label'] AS l FROM read_images('{}')", location.display());
        let (id, details) = finished(&engine, &client, &select).await;
        assert_eq!(details["errors"].as_array().unwrap().len(), 1, "kinds are still counted");
        (id, details["latest_errors"].as_array().unwrap().clone())
    };
    let image = |id: &str, error: &Value| {
        client.get(&format!("/api/v1/queries/{id}/latest_errors/{}/image", error["number"])).status
    };
    let (id, listed) = errors(folder.path()).await;
    let numbers: Vec<_> = listed.iter().map(|error| error["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (50..150).rev().collect::<Vec<_>>());
    for error in &listed {
        assert_eq!((&error["stage"], error["model"].is_null()), (&"decode".into(), true), "{error:#}");
        assert!(error["name"].as_str().unwrap().ends_with(".jpg"), "{error:#}");
        assert!(error["error"].as_str().unwrap().starts_with("not an image"), "{error:#}");
    }
    assert_eq!(image(&id, &listed[0]), 422, "it is no image");

    // It has more pixels than are allowed now.
    engine.sql("SET inference.max_image_pixels = 1000").await.unwrap();
    let (id, listed) = errors(&photos().join("lion.jpg")).await;
    assert_eq!(listed.len(), 1);
    assert!(listed[0]["error"].as_str().unwrap().contains("inference.max_image_pixels"), "{listed:#?}");
    assert_eq!(image(&id, &listed[0]), 422);
    engine.sql("SET inference.max_image_pixels = 1000000").await.unwrap();
    assert_eq!(image(&id, &listed[0]), 200);
}

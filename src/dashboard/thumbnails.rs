//! Small pictures of the images that a query names: those of its errors, its slowest, those of its result, and of the
//! sample of its rows.
//!
//! ```text
//!  the name that the query gave ─┬─► a thumbnail that was kept when the image was decoded
//!                                └─► a file of this machine, which is decoded now
//! ```
//!
//! Only files whose names the query itself gave are read, never a path that a request gives.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::common::runtime::SpawnedTask;
use serde_json::Value;

use super::shared::{Shared, refusal};
use crate::config::InferenceOptions;
use crate::images::Thumbnail;

/// Larger files have no thumbnail.
const MOST_BYTES: u64 = 64 << 20;

/// `GET /api/v1/queries/{id}/{part}/{number}/image`: the image of an error, a slow image, a row of the result or of the
/// sample.
pub(super) async fn image(
    State(shared): State<Arc<Shared>>,
    Path((id, part, number)): Path<(String, String, usize)>,
) -> Response {
    let name = shared.details(&id).and_then(|query| named(&query, &part, number));
    if let Some(jpeg) = name.as_deref().and_then(|name| shared.queries.thumbnail(&id, name)) {
        return ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response();
    }
    let Some(file) = name.as_deref().and_then(local_file) else {
        return refusal(StatusCode::NOT_FOUND, "there is no such image on this machine");
    };
    let Ok(_permit) = shared.thumbnails.acquire().await else {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "the dashboard ends");
    };
    let max_pixels = InferenceOptions::of(shared.context.state().config_options()).bounds.max_image_pixels;
    let made = SpawnedTask::spawn_blocking(move || {
        let mut bytes = vec![];
        let opened = File::open(&file).map_err(|error| error.to_string())?;
        let size = opened.metadata().map_err(|error| error.to_string())?;
        if !size.is_file() || size.len() > MOST_BYTES {
            return Err("no file, or a very large one".to_owned());
        }
        opened.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Thumbnail::of_file(&bytes, max_pixels).map(|thumbnail| thumbnail.jpeg)
    });
    match made.join().await {
        Ok(Ok(jpeg)) => ([(header::CONTENT_TYPE, "image/jpeg")], jpeg).into_response(),
        Ok(Err(reason)) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &reason),
        Err(_) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the image could not be drawn"),
    }
}

/// The name of the image that is meant, as the query gave it.
fn named(query: &Value, part: &str, number: usize) -> Option<String> {
    let name = match part {
        "errors" | "slowest_images" => query[part].get(number)?.get("name")?,
        // Their places change while the query runs.
        "latest_errors" | "sampled_rows" => {
            query[part].as_array()?.iter().find(|row| row["number"] == number)?.get("name")?
        }
        "results" => {
            let columns = query["results"]["columns"].as_array()?;
            let path = columns.iter().position(|column| column == "path")?;
            query["results"]["rows"].get(number)?.get(path)?
        }
        _ => return None,
    };
    Some(name.as_str()?.to_owned())
}

/// The file of this machine that `name` is, if it is one.
fn local_file(name: &str) -> Option<PathBuf> {
    let file = match url::Url::parse(name) {
        Ok(url) if url.scheme() == "file" => url.to_file_path().ok()?,
        Ok(url) if url.has_host() => return None,
        _ => PathBuf::from(name),
    };
    // A pipe or a device would block, or never end.
    file.metadata().ok()?.is_file().then_some(file)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_that_the_query_gave_are_images() {
        let query = json!({
            "errors": [{"name": "/a.jpg"}],
            "sampled_rows": [{"number": 7, "name": "/c.jpg"}, {"number": 2, "name": "/d.jpg"}],
            "latest_errors": [{"number": 3, "name": null}],
            "text": "/secret",
            "results": {"columns": ["label", "path"], "rows": [["/x", "/b.jpg"], [null, null]]},
        });
        assert_eq!(named(&query, "errors", 0).as_deref(), Some("/a.jpg"));
        assert_eq!(named(&query, "results", 0).as_deref(), Some("/b.jpg"));
        assert_eq!(named(&query, "sampled_rows", 2).as_deref(), Some("/d.jpg"));
        for (part, number) in [
            ("errors", 1),
            ("results", 1),
            ("results", 2),
            ("text", 0),
            ("slowest_images", 0),
            ("sampled_rows", 0),
            ("latest_errors", 0),
            ("latest_errors", 3),
        ] {
            assert_eq!(named(&query, part, number), None, "{part} {number}");
        }
    }

    #[test]
    fn only_files_of_this_machine_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jpg");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(local_file(&file.display().to_string()), Some(file.clone()));
        assert_eq!(local_file(&format!("file://{}", file.display())), Some(file));
        for name in ["/dev/zero", "s3://bucket/a.jpg", "https://localhost/a.jpg", "missing.jpg", ""] {
            assert_eq!(local_file(name), None, "{name}");
        }
    }
}

//! Models from elsewhere: what `FROM 'hf://…'` and `FROM 'https://…'` name becomes a local file.
//!
//! ```text
//!  hf://org/repo@revision/file ── hub ──┐                 ┌─► Hugging Face's cache, shared with their own tools
//!                                       ├── download ─────┤
//!  https://host/model.onnx ────── web ──┘                 └─► home/downloads/<sha256>/model.onnx
//!  folder/model.onnx ──────────────────────────────────────► as it is
//! ```
//!
//! A file that was fetched before is not fetched again, and one whose digest is known is verified. What is fetched, and
//! from whom, is logged as it happens.

mod digest;
mod download;
mod hub;
mod listing;
mod web;

use std::path::{Path, PathBuf};

use crate::{Error, Result};

use crate::model::settings::CreateModel;

/// Returns the local path that the statement's location names, fetching what lies elsewhere. `home` is the folder that
/// keeps what has no cache of its own.
///
/// # Errors
/// [`Error::Model`] or [`Error::Option`]: the location has another scheme, can't be reached or refuses, or the file is
/// too large or not the one of that digest.
pub(crate) async fn local(statement: &CreateModel, home: &Path) -> Result<PathBuf> {
    let location = &statement.location;
    let error =
        |reason| Error::Model { model: statement.name.clone(), reason: format!("'{location}': {reason}") };
    match location.split_once("://") {
        None => Ok(PathBuf::from(location)),
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some(("hf", repository)) => match hub::HubModel::parse(repository) {
            Ok(model) => model.fetch().await.map_err(error),
            Err(reason) => Err(error(reason)),
        },
        Some(("https" | "http", _)) => web::fetch(statement, home).await,
        Some((scheme, _)) => Err(error(format!(
            "models are read from local files, hf://organisation/repository/file and https://, not over {scheme}://"
        ))),
    }
}

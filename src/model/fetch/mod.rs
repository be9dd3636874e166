//! Remote models: fetches `FROM 'hf://…'` and `FROM 'https://…'` to local files.
//!
//! ```text
//!  hf://org/repo@revision/file ── hub ──┐                 ┌─► Hugging Face's cache, shared with its own tools
//!                                       ├── download ─────┤
//!  https://host/model.onnx ────── web ──┘                 └─► home/downloads/<sha256>/model.onnx
//!  folder/model.onnx ──────────────────────────────────────► unchanged
//! ```
//!
//! A file is fetched once, and verified if its digest is known. Each download is logged with its host.

mod digest;
mod download;
mod hub;
mod listing;
mod web;

use std::path::{Path, PathBuf};

use crate::bounds::Bounds;
use crate::secrets::hidden;
use crate::{Error, Result};

use crate::model::settings::CreateModel;

#[cfg(feature = "cluster")]
pub(crate) use digest::digest_of;
pub(crate) use digest::{digest, hex};

/// Returns the local path of the statement's location, fetching a remote one. Downloads without a cache of their own
/// are stored in the folder `home`.
///
/// # Errors
/// [`Error::Model`] or [`Error::Option`]: the scheme is unsupported, the host is unreachable or rejects the request, or
/// the file is too large or has another digest.
pub(crate) async fn local(statement: &CreateModel, home: &Path, bounds: &Bounds) -> Result<PathBuf> {
    let location = &*hidden(&statement.location);
    let error =
        |reason| Error::Model { model: statement.name.clone(), reason: format!("'{location}': {reason}") };
    match statement.location.split_once("://") {
        None => Ok(PathBuf::from(&statement.location)),
        Some(("file", path)) => Ok(PathBuf::from(path)),
        Some(("hf", repository)) => match hub::HubModel::parse(repository) {
            Ok(model) => model.fetch(bounds).await.map_err(error),
            Err(reason) => Err(error(reason)),
        },
        Some(("https" | "http", _)) => web::fetch(statement, home, bounds).await,
        Some((scheme, _)) => Err(error(format!(
            "models are read from local files, hf://organisation/repository/file and https://, not over {scheme}://"
        ))),
    }
}

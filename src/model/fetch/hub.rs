//! `FROM 'hf://organisation/repository[@revision][/file]'`: a model on the Hugging Face Hub and its side files.
//!
//! The hub is queried once for the files of the revision. Files are stored in Hugging Face's own cache, in the layout
//! of its Python library, and cached files are not fetched again:
//!
//! ```text
//!  models--org--repo/refs/main                            the commit last seen for the revision
//!  models--org--repo/snapshots/<commit>/onnx/model.onnx ─┐ symbolic links
//!  models--org--repo/snapshots/<commit>/config.json     ─┴─► models--org--repo/blobs/<digest>
//! ```
//!
//! `HF_HOME` moves the cache, `HF_TOKEN` or the token stored by `hf auth login` gives access to private repositories,
//! and `HF_ENDPOINT` selects another hub. With `HF_HUB_OFFLINE=1` or an unreachable hub, only the cache is used.

use std::io;
use std::path::{Path, PathBuf};

use hf_hub::api::tokio::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};

use super::download::Download;
use super::listing::{Listed, Listing, MODEL_FILES, SIDE_FILES, Unlisted, is_path};
use crate::bounds::Bounds;
use crate::model::settings::MAX_SIDE_BYTES;

/// A model on the hub, as named in `FROM`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HubModel {
    /// `organisation/repository`.
    repository: String,
    /// A branch, a tag or a commit.
    revision: String,
    /// Path in the repository; `None` selects one of [`MODEL_FILES`].
    file: Option<String>,
}

impl HubModel {
    /// Parses what follows `hf://`. A slash in a revision is written `%2F`.
    ///
    /// # Errors
    /// A reason that shows the expected syntax.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let malformed =
            || "write it as hf://organisation/repository@revision/file; revision and file may be left out";
        let mut parts = text.trim_end_matches('/').splitn(3, '/');
        let (Some(organisation), Some(named), file) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed().to_owned());
        };
        let (name, revision) = named.split_once('@').unwrap_or((named, "main"));
        let revision = revision.replace("%2F", "/").replace("%2f", "/");
        let repository = format!("{organisation}/{name}");
        if !is_path(&repository) || !is_path(&revision) || !file.is_none_or(is_path) {
            return Err(malformed().to_owned());
        }
        Ok(Self { repository, revision, file: file.map(str::to_owned) })
    }

    /// Fetches missing files and returns the path of the model in the cache, with its side files beside it.
    ///
    /// # Errors
    /// A reason: the hub is unreachable and the model is not cached; the repository, revision or file does not exist or
    /// is private; a file is too large, damaged, or can't be stored.
    pub(crate) async fn fetch(&self, bounds: &Bounds) -> Result<PathBuf, String> {
        if variable("HF_HOME").is_none() && std::env::home_dir().is_none() {
            return Err("there is no home folder for Hugging Face's cache; set HF_HOME".to_owned());
        }
        let cache = Cache::from_env();
        let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0");
        if offline {
            let missing = || "it is not in Hugging Face's cache, and HF_HUB_OFFLINE is set".to_owned();
            return self.cached(&cache).ok_or_else(missing);
        }
        let api = api(&cache)?;
        match Listing::request(&api.repo(self.repo(&self.revision))).await {
            Ok(listing) => self.complete(&api, &cache, &listing, bounds).await,
            Err(Unlisted::Refused(reason)) => Err(reason),
            Err(Unlisted::Unreachable(reason)) => match self.cached(&cache) {
                Some(file) => {
                    tracing::warn!("{} is taken from the cache; it {reason}", self.repository);
                    Ok(file)
                }
                None => Err(reason),
            },
        }
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.repository.clone(), RepoType::Model, revision.to_owned())
    }

    /// The cached model: at the named commit, or at the last known commit of the branch or tag.
    fn cached(&self, cache: &Cache) -> Option<PathBuf> {
        let cache = cache.repo(self.repo(&self.revision));
        let find = |file: &str| {
            let at_commit = cache.pointer_path(&self.revision).join(file);
            if at_commit.is_file() { Some(at_commit) } else { cache.get(file) }
        };
        match &self.file {
            Some(file) => find(file),
            None => MODEL_FILES.into_iter().find_map(find),
        }
    }

    /// Fetches the model and its side files, except those already cached.
    async fn complete(
        &self,
        api: &Api,
        cache: &Cache,
        listing: &Listing,
        bounds: &Bounds,
    ) -> Result<PathBuf, String> {
        let model = listing.model(self.file.as_deref())?;
        let commit = listing.commit.as_str();
        let cache = cache.repo(self.repo(&self.revision));
        let remote = api.repo(self.repo(commit));
        for file in listing.belonging_to(model) {
            let pointer = cache.pointer_path(commit).join(&file.path);
            if !pointer.is_file() {
                let request = api.client().get(remote.url(&file.path));
                fetch_blob(request, &cache.blob_path(&file.blob), file, bounds).await?;
                point(&pointer, file).map_err(|error| unwritable(&pointer, &error))?;
            }
        }
        cache.create_ref(commit).map_err(|error| unwritable(cache.blob_path("").as_path(), &error))?;
        Ok(cache.pointer_path(commit).join(model))
    }
}

/// Builds the client, with endpoint and token from the environment.
fn api(cache: &Cache) -> Result<Api, String> {
    let token = variable("HF_TOKEN").or_else(|| cache.token());
    let builder =
        ApiBuilder::from_env().with_token(token).with_user_agent("seequel", env!("CARGO_PKG_VERSION"));
    builder.build().map_err(|error| format!("the hub can't be reached: {error}"))
}

/// Value of an environment variable that is set and not blank.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Fetches the content of a file into the cache.
async fn fetch_blob(
    request: reqwest::RequestBuilder,
    blob: &Path,
    file: &Listed,
    bounds: &Bounds,
) -> Result<(), String> {
    if blob.is_file() {
        return Ok(());
    }
    if let Some(folder) = blob.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| unwritable(folder, &error))?;
    }
    let limit = match file.path.rsplit('/').next() {
        Some(name) if name.ends_with(".onnx") => bounds.max_model_bytes,
        Some(name) if SIDE_FILES.contains(&name) => MAX_SIDE_BYTES,
        _ => bounds.max_weight_bytes,
    };
    let (size, sha256) = (Some(file.size), file.sha256.as_deref());
    Download { request, name: &file.path, target: blob, size, limit, sha256 }.run().await
}

/// Links a file of a commit to its blob by a relative path, so that the cache can be moved.
fn point(pointer: &Path, file: &Listed) -> io::Result<()> {
    if let Some(folder) = pointer.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Up from the file's folders, the commit's folder and `snapshots`.
    let up = "../".repeat(file.path.split('/').count() + 1);
    let blob = PathBuf::from(up).join("blobs").join(&file.blob);
    match link(&blob, pointer) {
        // Another process has created the link.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

#[cfg(unix)]
fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(blob, pointer)
}

/// Copies the file: on other platforms symbolic links may need special rights.
#[cfg(not(unix))]
fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    std::fs::copy(pointer.with_file_name("").join(blob), pointer).map(|_| ())
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("Hugging Face's cache can't be written: {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(String, String, Option<String>)> {
        HubModel::parse(text).ok().map(|model| (model.repository, model.revision, model.file))
    }

    #[test]
    fn revision_and_file_are_optional() {
        let expected = |revision: &str, file: Option<&str>| {
            Some(("org/repo".to_owned(), revision.to_owned(), file.map(str::to_owned)))
        };
        assert_eq!(parsed("org/repo"), expected("main", None));
        assert_eq!(parsed("org/repo/"), expected("main", None));
        assert_eq!(parsed("org/repo/onnx/model.onnx"), expected("main", Some("onnx/model.onnx")));
        assert_eq!(parsed("org/repo@v1.0/m.onnx"), expected("v1.0", Some("m.onnx")));
        assert_eq!(parsed("org/repo@refs%2Fpr%2F1"), expected("refs/pr/1", None));
    }

    #[test]
    fn malformed_and_escaping_paths_are_rejected() {
        for text in [
            "",
            "repo",
            "org/",
            "../repo",
            "org/..",
            "org/repo@",
            "org/repo@../x",
            "org/repo/../m.onnx",
            "org/repo//m",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}

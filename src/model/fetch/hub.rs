//! `FROM 'hf://organisation/repository[@revision][/file]'`: a model of the Hugging Face Hub, and what lies beside it.
//!
//! The hub is asked once what the revision holds. Files lie in Hugging Face's own cache, in the layout of their Python
//! library, and what is there is not fetched again:
//!
//! ```text
//!  models--org--repo/refs/main                            the commit that the revision was last
//!  models--org--repo/snapshots/<commit>/onnx/model.onnx ─┐ symbolic links
//!  models--org--repo/snapshots/<commit>/config.json     ─┴─► models--org--repo/blobs/<digest>
//! ```
//!
//! `HF_HOME` moves the cache, `HF_TOKEN` or the token that `hf auth login` left opens what is not for everybody, and
//! `HF_ENDPOINT` names another hub. With `HF_HUB_OFFLINE=1`, or when the hub can't be reached, the cache has to do.

use std::io;
use std::path::{Path, PathBuf};

use hf_hub::api::tokio::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};

use super::download::Download;
use super::listing::{Listed, Listing, MODEL_FILES, SIDE_FILES, Unlisted, is_path};
use crate::model::settings::{MAX_MODEL_BYTES, MAX_SIDE_BYTES};

/// Most bytes of weights that an ONNX file keeps in a file of their own.
const MAX_WEIGHT_BYTES: u64 = 64 << 30;

/// A model on the hub, as `FROM` names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HubModel {
    /// `organisation/repository`.
    repository: String,
    /// A branch, a tag or a commit.
    revision: String,
    /// Path in the repository; `None` is for one of [`MODEL_FILES`].
    file: Option<String>,
}

impl HubModel {
    /// Parses what follows `hf://`. A slash in a revision is written `%2F`.
    ///
    /// # Errors
    /// A reason that says how it is written.
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

    /// Returns the path of the model in the cache, its side files beside it, after fetching what is missing.
    ///
    /// # Errors
    /// A reason: the hub can't be reached and the cache lacks the model; repository, revision or file is not there or not
    /// for everybody; a file is too large, damaged, or can't be kept.
    pub(crate) async fn fetch(&self) -> Result<PathBuf, String> {
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
        match Listing::ask(&api.repo(self.repo(&self.revision))).await {
            Ok(listing) => self.complete(&api, &cache, &listing).await,
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

    /// The model as an earlier fetch left it: at the commit that is named, or that the branch or tag was then.
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

    /// Fetches what the cache lacks of the model and its side files.
    async fn complete(&self, api: &Api, cache: &Cache, listing: &Listing) -> Result<PathBuf, String> {
        let model = listing.model(self.file.as_deref())?;
        let commit = listing.commit.as_str();
        let cache = cache.repo(self.repo(&self.revision));
        let remote = api.repo(self.repo(commit));
        for file in listing.belonging_to(model) {
            let pointer = cache.pointer_path(commit).join(&file.path);
            if !pointer.is_file() {
                let request = api.client().get(remote.url(&file.path));
                fetch_blob(request, &cache.blob_path(&file.blob), file).await?;
                point(&pointer, file).map_err(|error| unwritable(&pointer, &error))?;
            }
        }
        cache.create_ref(commit).map_err(|error| unwritable(cache.blob_path("").as_path(), &error))?;
        Ok(cache.pointer_path(commit).join(model))
    }
}

/// The hub that the environment names, and the right to read from it.
fn api(cache: &Cache) -> Result<Api, String> {
    let token = variable("HF_TOKEN").or_else(|| cache.token());
    let builder =
        ApiBuilder::from_env().with_token(token).with_user_agent("seequel", env!("CARGO_PKG_VERSION"));
    builder.build().map_err(|error| format!("the hub can't be asked: {error}"))
}

/// An environment variable that is there and says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// Brings the content of a file into the cache.
async fn fetch_blob(request: reqwest::RequestBuilder, blob: &Path, file: &Listed) -> Result<(), String> {
    if blob.is_file() {
        return Ok(());
    }
    if let Some(folder) = blob.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(|error| unwritable(folder, &error))?;
    }
    let limit = match file.path.rsplit('/').next() {
        Some(name) if name.ends_with(".onnx") => MAX_MODEL_BYTES,
        Some(name) if SIDE_FILES.contains(&name) => MAX_SIDE_BYTES,
        _ => MAX_WEIGHT_BYTES,
    };
    let (size, sha256) = (Some(file.size), file.sha256.as_deref());
    Download { request, name: &file.path, target: blob, size, limit, sha256 }.run().await
}

/// Links a file of a commit to its content, by a relative path, so that the cache can be moved.
fn point(pointer: &Path, file: &Listed) -> io::Result<()> {
    if let Some(folder) = pointer.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Out of the file's folders, the commit's and `snapshots`.
    let up = "../".repeat(file.path.split('/').count() + 1);
    let blob = PathBuf::from(up).join("blobs").join(&file.blob);
    match link(&blob, pointer) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

#[cfg(unix)]
fn link(blob: &Path, pointer: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(blob, pointer)
}

/// Elsewhere symbolic links are not for everybody.
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
    fn revision_and_file_may_be_left_out() {
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
    fn what_leads_elsewhere_is_refused() {
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

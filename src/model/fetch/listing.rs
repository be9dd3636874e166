//! The files of a revision, from the hub's response to
//! `GET /api/models/<repository>/revision/<revision>?blobs=true`:
//!
//! ```json
//! {"sha": "<commit>", "siblings": [
//!   {"rfilename": "config.json", "size": 570, "blobId": "<Git's SHA-1>"},
//!   {"rfilename": "onnx/model.onnx", "size": 89, "blobId": "…", "lfs": {"sha256": "<digest>"}}]}
//! ```
//!
//! Paths and digests in the response are validated before use.

use std::time::Duration;

use hf_hub::api::tokio::ApiRepo;
use reqwest::StatusCode;
use serde_json::Value;

use super::download::{body, refusal, respond};

/// Default paths of the model in a repository, the same as for `FROM 'folder'`.
pub(crate) const MODEL_FILES: [&str; 2] = ["model.onnx", "onnx/model.onnx"];

/// Files that describe a model; they are beside it, or in the parent of its `onnx` folder.
pub(crate) const SIDE_FILES: [&str; 4] =
    ["seequel.json", "preprocessor_config.json", "config.json", "labels.txt"];

/// Maximum size of a file list in bytes, enough for about 100,000 files.
const MAX_LIST_BYTES: usize = 32 << 20;

/// Timeout for fetching a file list.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);

/// The files of a commit.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The commit of the revision, 40 hex digits.
    pub(crate) commit: String,
    files: Vec<Listed>,
}

/// A file in a [`Listing`].
#[derive(Debug)]
pub(crate) struct Listed {
    /// Path in the repository, validated for use below a local folder.
    pub(crate) path: String,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// Name of the file in the cache: the SHA-256 of large files, Git's SHA-1 of others.
    pub(crate) blob: String,
    /// Its SHA-256 in lower-case hex; the hub has it only for large files.
    pub(crate) sha256: Option<String>,
}

/// Why a listing failed, with a reason.
#[derive(Debug)]
pub(crate) enum Unlisted {
    /// The hub did not respond, or with a server error; the cache can be used instead.
    Unreachable(String),
    /// The hub rejected the request.
    Refused(String),
}

impl Listing {
    /// Requests the listing from the hub.
    pub(crate) async fn request(repository: &ApiRepo) -> Result<Self, Unlisted> {
        let request = repository.info_request().query(&[("blobs", "true")]).timeout(LIST_TIMEOUT);
        let response = respond(request).await.map_err(Unlisted::Unreachable)?;
        match response.status() {
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Unlisted::Unreachable(refusal(status)));
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Unlisted::Refused(format!(
                    "{}; set HF_TOKEN if you have access",
                    refusal(status)
                )));
            }
            status if !status.is_success() => return Err(Unlisted::Refused(refusal(status))),
            _ => {}
        }
        let bytes = body(response, MAX_LIST_BYTES).await.map_err(Unlisted::Unreachable)?;
        let response = serde_json::from_slice(&bytes).ok().as_ref().and_then(Self::read);
        response.ok_or_else(|| Unlisted::Refused("the hub's list of files has an unexpected form".to_owned()))
    }

    /// Parses the response, skipping files without size or digest, or with an invalid path.
    fn read(response: &Value) -> Option<Self> {
        let commit = response.get("sha")?.as_str().filter(|commit| is_hex(commit, 40))?.to_owned();
        let files = response.get("siblings")?.as_array()?.iter().filter_map(Listed::read).collect();
        Some(Self { commit, files })
    }

    /// The path of the model: `wanted`, or else one of [`MODEL_FILES`].
    ///
    /// # Errors
    /// A reason that lists the available models.
    pub(crate) fn model(&self, wanted: Option<&str>) -> Result<&str, String> {
        let listed =
            |path: &str| self.files.iter().map(|file| file.path.as_str()).find(|listed| *listed == path);
        match wanted {
            Some(path) => {
                listed(path).ok_or_else(|| format!("there is no such file; there {}", self.models()))
            }
            None => MODEL_FILES.into_iter().find_map(listed).ok_or_else(|| {
                format!("there is neither {}; there {}", MODEL_FILES.join(" nor "), self.models())
            }),
        }
    }

    /// Lists the ONNX files, as the end of a sentence.
    fn models(&self) -> String {
        let paths = self.files.iter().map(|file| file.path.as_str()).filter(|path| path.ends_with(".onnx"));
        match paths.take(8).collect::<Vec<_>>().as_slice() {
            [] => "is not an ONNX file".to_owned(),
            paths => format!("is {}", paths.join(", ")),
        }
    }

    /// The model, its weight files and its side files.
    pub(crate) fn belonging_to(&self, model: &str) -> impl Iterator<Item = &Listed> {
        self.files.iter().filter(move |file| belongs(&file.path, model))
    }
}

impl Listed {
    fn read(sibling: &Value) -> Option<Self> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let path = text(sibling.get("rfilename")).filter(|path| is_path(path))?;
        let size = sibling.get("size")?.as_u64()?;
        let sha256 = text(sibling.pointer("/lfs/sha256")).filter(|digest| is_hex(digest, 64));
        let blob = sha256.clone().or_else(|| text(sibling.get("blobId")).filter(|id| is_hex(id, 40)))?;
        Some(Self { path, size, blob, sha256 })
    }
}

/// Exporters name the weights of `model.onnx` `model.onnx_data` or `model.onnx.data`, numbered if there are several.
fn belongs(path: &str, model: &str) -> bool {
    let split = |path: &str| match path.rsplit_once('/') {
        Some((folder, name)) => (folder.to_owned(), name.to_owned()),
        None => (String::new(), path.to_owned()),
    };
    let ((folder, model), (at, name)) = (split(model), split(path));
    let above = if folder == "onnx" { Some("") } else { folder.strip_suffix("/onnx") };
    let weights =
        name.strip_prefix(&model).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '.']));
    let is_side = SIDE_FILES.contains(&name.as_str());
    (at == folder && (weights || is_side)) || (is_side && above == Some(&at))
}

/// Whether `text` is a relative path of plain names separated by `/`.
pub(crate) fn is_path(text: &str) -> bool {
    let is_name = |name: &str| !matches!(name, "" | "." | "..");
    let is_plain = |letter: char| !letter.is_control() && !matches!(letter, '\\' | ':' | '?' | '#' | '%');
    text.split('/').all(is_name) && text.chars().all(is_plain)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing(paths: &[&str]) -> Listing {
        let siblings =
            paths.iter().map(|path| json!({"rfilename": path, "size": 1, "blobId": "a".repeat(40)}));
        let response = json!({"sha": "c".repeat(40), "siblings": siblings.collect::<Vec<_>>()});
        Listing::read(&response).unwrap()
    }

    #[test]
    fn side_files_are_beside_the_model_or_above_its_onnx_folder() {
        let files = [
            "README.md",
            "config.json",
            "preprocessor_config.json",
            "model.safetensors",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx.data_1",
            "onnx/model_fp16.onnx",
            "other/config.json",
        ];
        let listing = listing(&files);
        assert_eq!(listing.model(None), Ok("onnx/model.onnx"));
        let belonging = listing.belonging_to("onnx/model.onnx").map(|file| file.path.as_str());
        let expected = [
            "config.json",
            "preprocessor_config.json",
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx.data_1",
        ];
        assert_eq!(belonging.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn missing_file_error_lists_available_models() {
        let files = listing(&["int8.onnx", "README.md"]);
        let expected = "there is no such file; there is int8.onnx";
        assert_eq!(files.model(Some("fp16.onnx")), Err(expected.to_owned()));
        let expected = "there is neither model.onnx nor onnx/model.onnx; there is not an ONNX file";
        assert_eq!(listing(&[]).model(None), Err(expected.to_owned()));
    }

    #[test]
    fn invalid_paths_and_digests_are_skipped() {
        let files = ["../model.onnx", "/model.onnx", "a//model.onnx", "a\\model.onnx"];
        assert!(listing(&files).files.is_empty());
        let response = json!({"sha": "../../etc", "siblings": []});
        assert!(Listing::read(&response).is_none());
        let odd = json!({"rfilename": "model.onnx", "size": 1, "blobId": "../x", "lfs": {"sha256": "../y"}});
        assert!(Listed::read(&odd).is_none());
    }
}

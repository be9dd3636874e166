//! `FROM 'https://…'`: one file. Its author may replace it at any time, so the option `sha256` is required.
//!
//! It is stored as `home/downloads/<sha256>/model.onnx`. Without the option it is still fetched and stored, and the
//! error contains the digest, so that adding the option needs no second download.

use std::path::{Path, PathBuf};

use reqwest::Client;
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::digest::{digest, hex};
use super::download::Download;
use crate::bounds::Bounds;
use crate::model::settings::CreateModel;
use crate::secrets::hidden;
use crate::{Error, Result};

/// Fetches the file, unless one with that digest is stored already.
///
/// # Errors
/// [`Error::Option`] if the digest is missing or malformed; [`Error::Model`] if the file has another digest, can't be
/// fetched or stored, or would come unencrypted from another machine.
pub(crate) async fn fetch(statement: &CreateModel, home: &Path, bounds: &Bounds) -> Result<PathBuf> {
    let errors = Errors(statement);
    let url = checked(&statement.location).map_err(|reason| errors.of_model(&reason))?;
    let (downloads, limit) = (home.join("downloads"), bounds.max_model_bytes);
    match expected_digest(statement) {
        Some(given) if !is_digest(&given) => Err(errors.of_sha256(format!("'{given}' is not 64 hex digits"))),
        Some(given) => {
            let file = downloads.join(&given).join("model.onnx");
            fetch_to(&url, &file, Some(&given), limit).await.map_err(|reason| errors.of_model(&reason))?;
            Ok(file)
        }
        None => {
            let kept =
                fetch_unknown(&url, &downloads, limit).await.map_err(|reason| errors.of_model(&reason))?;
            let location = hidden(&statement.location);
            Err(errors.of_sha256(format!(
                "'{location}' may change, so a digest is required; today's is sha256 '{kept}'"
            )))
        }
    }
}

/// Fetches a file of unknown digest, stores it under its digest and returns that.
async fn fetch_unknown(url: &Url, downloads: &Path, limit: u64) -> Result<String, String> {
    let from = downloads.join(format!("unknown-{}", hex(&Sha256::digest(url.as_str()))));
    let file = from.join("model.onnx");
    // An existing file was left by a process that ended before it could move it.
    let _ = tokio::fs::remove_file(&file).await;
    fetch_to(url, &file, None, limit).await?;
    let digest = digest(&file).await?;
    let to = downloads.join(&digest);
    if !to.exists() {
        tokio::fs::rename(&from, &to)
            .await
            .map_err(|error| format!("can't be kept in {}: {error}", to.display()))?;
    }
    Ok(digest)
}

async fn fetch_to(url: &Url, target: &Path, sha256: Option<&str>, limit: u64) -> Result<(), String> {
    if target.is_file() {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        let created = tokio::fs::create_dir_all(folder).await;
        created.map_err(|error| format!("can't be kept in {}: {error}", folder.display()))?;
    }
    // Plain HTTP is allowed for a local server only; an HTTPS download must not be redirected to HTTP.
    let client = Client::builder().https_only(url.scheme() == "https").build();
    let request = client.map_err(|error| error.to_string())?.get(url.clone());
    let name =
        url.path_segments().and_then(Iterator::last).filter(|name| !name.is_empty()).unwrap_or("the file");
    Download { request, name, target, size: None, limit, sha256 }.run().await
}

/// Parses a URL, which must use HTTPS or point to this machine.
fn checked(location: &str) -> Result<Url, String> {
    let url = Url::parse(location).map_err(|error| format!("is not a URL: {error}"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if !url.username().is_empty() || url.password().is_some() {
        let reason = "a user or password in a URL is not sent, since it would be kept with the statement; download the file, or \
                      use a signed URL";
        return Err(reason.to_owned());
    }
    if url.scheme() == "https" || is_here {
        Ok(url)
    } else {
        Err("http:// is not encrypted, so the model could be replaced in transit; use https://".to_owned())
    }
}

/// The option `sha256`, in lower case.
fn expected_digest(statement: &CreateModel) -> Option<String> {
    let given = statement.options.iter().find(|(key, _)| key.eq_ignore_ascii_case("sha256"));
    given.map(|(_, digest)| digest.trim().to_ascii_lowercase())
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Builds the errors of a statement.
struct Errors<'a>(&'a CreateModel);

impl Errors<'_> {
    fn of_model(&self, reason: &str) -> Error {
        let reason = format!("'{}': {reason}", hidden(&self.0.location));
        Error::Model { model: self.0.name.clone(), reason }
    }

    fn of_sha256(&self, reason: String) -> Error {
        Error::Option { model: self.0.name.clone(), option: "sha256".to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_allowed_for_localhost_only() {
        for location in
            ["https://example.com/m.onnx", "http://localhost:8000/m", "http://127.0.0.1/m", "http://[::1]/m"]
        {
            assert!(checked(location).is_ok(), "{location}");
        }
        for location in ["http://example.com/m.onnx", "http://localhost.example.com/m", "http://10.0.0.1/m"] {
            assert!(checked(location).is_err_and(|reason| reason.contains("not encrypted")), "{location}");
        }
        assert!(checked("https://").is_err());
        assert!(checked("https://me:hush@host/m").is_err_and(|reason| !reason.contains("hush")));
    }
}

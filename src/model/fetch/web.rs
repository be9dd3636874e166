//! `FROM 'https://…'`: one file, which its author may replace at any time, so that its digest has to be said.
//!
//! It is kept as `home/downloads/<sha256>/model.onnx`. Without the option `sha256` it is fetched and kept all the same,
//! and the error tells the digest, so that saying it costs no second download.

use std::path::{Path, PathBuf};

use reqwest::Client;
use sha2::{Digest, Sha256};
use url::{Host, Url};

use super::digest::{digest, hex};
use super::download::Download;
use crate::model::settings::{CreateModel, MAX_MODEL_BYTES};
use crate::{Error, Result};

/// Fetches the file, unless one of that digest is kept.
///
/// # Errors
/// [`Error::Option`] if the digest is not said or the file has another; [`Error::Model`] if it can't be fetched or kept,
/// or would come unencrypted from another machine.
pub(crate) async fn fetch(statement: &CreateModel, home: &Path) -> Result<PathBuf> {
    let errors = Errors(statement);
    let url = checked(&statement.location).map_err(|reason| errors.of_model(&reason))?;
    let downloads = home.join("downloads");
    match said_digest(statement) {
        Some(said) if !is_digest(&said) => Err(errors.of_sha256(format!("'{said}' is not 64 hex digits"))),
        Some(said) => {
            let file = downloads.join(&said).join("model.onnx");
            fetch_to(&url, &file, Some(&said)).await.map_err(|reason| errors.of_model(&reason))?;
            Ok(file)
        }
        None => {
            let kept = fetch_unknown(&url, &downloads).await.map_err(|reason| errors.of_model(&reason))?;
            let location = &statement.location;
            Err(errors.of_sha256(format!(
                "'{location}' may change, so its digest must be said; today that is sha256 '{kept}'"
            )))
        }
    }
}

/// Fetches a file of unknown digest and keeps it under the digest it has, which is returned.
async fn fetch_unknown(url: &Url, downloads: &Path) -> Result<String, String> {
    let from = downloads.join(format!("unknown-{}", hex(&Sha256::digest(url.as_str()))));
    let file = from.join("model.onnx");
    // What is there was left by a process that ended before it could keep it.
    let _ = tokio::fs::remove_file(&file).await;
    fetch_to(url, &file, None).await?;
    let digest = digest(&file).await?;
    let to = downloads.join(&digest);
    if !to.exists() {
        tokio::fs::rename(&from, &to)
            .await
            .map_err(|error| format!("can't be kept in {}: {error}", to.display()))?;
    }
    Ok(digest)
}

async fn fetch_to(url: &Url, target: &Path, sha256: Option<&str>) -> Result<(), String> {
    if target.is_file() {
        return Ok(());
    }
    if let Some(folder) = target.parent() {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| format!("can't be kept in {}: {error}", folder.display()))?;
    }
    // A server on this machine may do without encryption, but none may redirect from it to one that does.
    let client = Client::builder().https_only(url.scheme() == "https").build();
    let request = client.map_err(|error| error.to_string())?.get(url.clone());
    let name =
        url.path_segments().and_then(Iterator::last).filter(|name| !name.is_empty()).unwrap_or("the file");
    Download { request, name, target, size: None, limit: MAX_MODEL_BYTES, sha256 }.run().await
}

/// Parses an address that is encrypted, or on this machine.
fn checked(location: &str) -> Result<Url, String> {
    let url = Url::parse(location).map_err(|error| format!("is no address: {error}"))?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || is_here {
        Ok(url)
    } else {
        Err("http:// is not encrypted, so that anybody on the way could replace the model; use https://"
            .to_owned())
    }
}

/// The option `sha256`, in lower case.
fn said_digest(statement: &CreateModel) -> Option<String> {
    let said = statement.options.iter().find(|(key, _)| key.eq_ignore_ascii_case("sha256"));
    said.map(|(_, digest)| digest.trim().to_ascii_lowercase())
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Makes errors of a statement.
struct Errors<'a>(&'a CreateModel);

impl Errors<'_> {
    fn of_model(&self, reason: &str) -> Error {
        let reason = format!("'{}': {reason}", self.0.location);
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
    fn only_this_machine_may_do_without_encryption() {
        for location in
            ["https://example.com/m.onnx", "http://localhost:8000/m", "http://127.0.0.1/m", "http://[::1]/m"]
        {
            assert!(checked(location).is_ok(), "{location}");
        }
        for location in ["http://example.com/m.onnx", "http://localhost.example.com/m", "http://10.0.0.1/m"] {
            assert!(checked(location).is_err_and(|reason| reason.contains("not encrypted")), "{location}");
        }
        assert!(checked("https://").is_err());
    }
}

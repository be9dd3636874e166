//! Downloads one file over HTTP: limited in size, stored atomically, resumed after an interruption.
//!
//! ```text
//!  request ─► target.part, locked ── size, sha256 right? ── rename ─► target
//!               ▲      └── connection lost: request the rest
//!               └── left by an earlier attempt: request the rest, if a known digest can verify the result
//! ```

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use datafusion::common::runtime::SpawnedTask;
use futures::TryFutureExt;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, SeekFrom};

use super::digest::digest;

/// Longest wait for data before the connection counts as lost.
const SILENCE: Duration = Duration::from_secs(60);

/// Maximum number of reconnections for one file.
const RECONNECTIONS: usize = 4;

/// Files larger than this many bytes log each tenth received.
const LARGE: u64 = 64 << 20;

/// A file to fetch.
pub(crate) struct Download<'a> {
    /// Requests the whole file; must be cloneable.
    pub(crate) request: RequestBuilder,
    /// Its name in messages.
    pub(crate) name: &'a str,
    /// Path to store it at; the folder must exist.
    pub(crate) target: &'a Path,
    /// Its size in bytes, if known.
    pub(crate) size: Option<u64>,
    /// Maximum size in bytes.
    pub(crate) limit: u64,
    /// Its SHA-256 in lower-case hex, if known.
    pub(crate) sha256: Option<&'a str>,
}

/// Why an attempt failed, as the end of a sentence.
enum Failure {
    /// Another attempt may get further.
    Lost(String),
    Final(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Final(format!("can't be kept: {error}"))
    }
}

impl Download<'_> {
    /// Fetches the file, unless another process fetches it in the meantime.
    ///
    /// # Errors
    /// A reason with the file's name and the error of the server or disk. Received bytes are kept for the next attempt.
    pub(crate) async fn run(self) -> Result<(), String> {
        let name = self.name;
        self.fetch().await.map_err(|reason| format!("{name} {reason}"))
    }

    async fn fetch(self) -> Result<(), String> {
        if let Some(size) = self.size.filter(|size| *size > self.limit) {
            return Err(format!("has {size} bytes, more than the limit of {}", self.limit));
        }
        let part = part_of(self.target);
        let file = lock(part.clone())
            .await
            .map_err(|error| format!("can't be kept in {}: {error}", part.display()))?;
        // The previous holder of the lock has fetched the file.
        if self.target.is_file() {
            let _ = tokio::fs::remove_file(&part).await;
            return Ok(());
        }
        // Locked until the file is in its place: whoever gets the lock finds it there.
        let mut file = tokio::fs::File::from_std(file);
        self.receive(&mut file).await?;
        if let Some(expected) = self.sha256 {
            let digest = digest(&part).await?;
            if digest != expected {
                let _ = tokio::fs::remove_file(&part).await;
                return Err(format!("has digest {digest}, not {expected}; it was not kept"));
            }
        }
        tokio::fs::rename(&part, self.target).await.map_err(|error| format!("can't be kept: {error}"))?;
        drop(file);
        Ok(())
    }

    /// Fills `file`, which may already hold the first part.
    async fn receive(&self, file: &mut tokio::fs::File) -> Result<(), String> {
        if self.sha256.is_none() {
            file.set_len(0).await.map_err(|error| format!("can't be kept: {error}"))?;
        }
        let mut reconnections = 0;
        let mut length = Self::length(file).await?;
        loop {
            let reason = match self.attempt(file).await {
                Ok(()) => return Ok(()),
                Err(Failure::Final(reason)) => return Err(reason),
                Err(Failure::Lost(reason)) => reason,
            };
            let new_length = Self::length(file).await?;
            // Don't retry after an attempt without progress.
            if new_length <= length || reconnections == RECONNECTIONS {
                return Err(reason);
            }
            tracing::info!("asking for the rest of {}, since it {reason}", self.name);
            (length, reconnections) = (new_length, reconnections + 1);
        }
    }

    /// Current length of the file in bytes.
    async fn length(file: &mut tokio::fs::File) -> Result<u64, String> {
        let metadata = async {
            file.flush().await?;
            file.metadata().await
        };
        Ok(metadata.await.map_err(|error: io::Error| format!("can't be kept: {error}"))?.len())
    }

    /// Requests the missing rest of `file` and appends it.
    async fn attempt(&self, file: &mut tokio::fs::File) -> Result<(), Failure> {
        let mut had = file.metadata().await?.len();
        if self.size.is_some_and(|size| had > size) {
            file.set_len(0).await?;
            had = 0;
        }
        if had > 0 && self.size == Some(had) {
            return Ok(());
        }
        let mut response = self.request_from(had).await?;
        // The file already has all bytes; the digest check decides whether they are right.
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            return Ok(());
        }
        if response.status() != StatusCode::PARTIAL_CONTENT || starts_at(&response) != Some(had) {
            file.set_len(0).await?;
            had = 0;
        }
        let whole = self.size.or_else(|| Some(had + response.content_length()?));
        if let Some(whole) = whole.filter(|whole| *whole > self.limit) {
            return Err(Failure::Final(format!("has {whole} bytes, more than the limit of {}", self.limit)));
        }
        log_start(self.name, response.url().host_str(), whole);
        file.seek(SeekFrom::Start(had)).await?;
        while let Some(bytes) = next(&mut response).await? {
            let has = had + bytes.len() as u64;
            if has > whole.unwrap_or(self.limit) {
                return Err(Failure::Final(format!("is longer than {} bytes", whole.unwrap_or(self.limit))));
            }
            file.write_all(&bytes).await?;
            log_progress(self.name, had, has, whole);
            had = has;
        }
        file.flush().await?;
        match whole {
            Some(whole) if had < whole => Err(Failure::Lost(format!("ended after {had} of {whole} bytes"))),
            _ => Ok(()),
        }
    }

    /// Requests everything from byte `start` on.
    async fn request_from(&self, start: u64) -> Result<Response, Failure> {
        let request = self
            .request
            .try_clone()
            .ok_or_else(|| Failure::Final("the request can't be repeated".to_owned()))?;
        let request = if start > 0 { request.header(RANGE, format!("bytes={start}-")) } else { request };
        let response = respond(request).await.map_err(Failure::Lost)?;
        match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => Ok(response),
            status if status.is_server_error() => Err(Failure::Lost(refusal(status))),
            status if !status.is_success() => Err(Failure::Final(refusal(status))),
            _ => Ok(response),
        }
    }
}

/// Sends a request and waits for the head of the response.
///
/// # Errors
/// A reason, as the end of a sentence, if there is no response. An HTTP error status is not an error here.
pub(crate) async fn respond(request: RequestBuilder) -> Result<Response, String> {
    let sent = tokio::time::timeout(SILENCE, request.send().map_err(|error| described(&error)));
    sent.await.unwrap_or_else(|_| Err(silent())).map_err(|reason| format!("can't be fetched: {reason}"))
}

/// Reads a whole response of at most `limit` bytes.
///
/// # Errors
/// A reason, as the end of a sentence.
pub(crate) async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    loop {
        match next(&mut response).await {
            Ok(None) => return Ok(whole),
            Ok(Some(bytes)) if whole.len() + bytes.len() <= limit => whole.extend_from_slice(&bytes),
            Ok(Some(_)) => return Err(format!("is longer than {limit} bytes")),
            Err(Failure::Lost(reason) | Failure::Final(reason)) => return Err(reason),
        }
    }
}

/// Describes an HTTP error status, as the end of a sentence.
pub(crate) fn refusal(status: StatusCode) -> String {
    let meaning = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "it is private or does not exist",
        StatusCode::NOT_FOUND => "it is not there",
        StatusCode::TOO_MANY_REQUESTS => "too many requests; try again later",
        _ => "the server refused",
    };
    format!("can't be fetched: {meaning} (HTTP status {status})")
}

fn part_of(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    target.with_file_name(name)
}

/// Opens and locks the unfinished file, waiting for another download that holds the lock.
async fn lock(part: PathBuf) -> io::Result<File> {
    let opened = SpawnedTask::spawn_blocking(move || {
        let file = File::options().create(true).read(true).write(true).truncate(false).open(&part)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::info!("waiting for another download of {}", part.display());
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(file)
    });
    opened.join().await.map_err(io::Error::other)?
}

/// Returns the next bytes of a response, `None` at its end.
async fn next(response: &mut Response) -> Result<Option<impl Deref<Target = [u8]> + use<>>, Failure> {
    match tokio::time::timeout(SILENCE, response.chunk()).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(Failure::Lost(format!("broke off: {}", described(&error)))),
        Err(_) => Err(Failure::Lost(format!("broke off: {}", silent()))),
    }
}

/// Offset of the first byte of a partial response, from a header such as `Content-Range: bytes 5-9/10`.
fn starts_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Formats the root cause of a reqwest error, which `Display` omits, without the URL, which messages already have.
fn described(error: &reqwest::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut last = None;
    while let Some(inner) = cause {
        last = Some(inner.to_string());
        cause = inner.source();
    }
    last.unwrap_or_else(|| error.to_string())
}

fn silent() -> String {
    format!("received nothing for {} seconds", SILENCE.as_secs())
}

fn log_start(name: &str, host: Option<&str>, whole: Option<u64>) {
    let host = host.unwrap_or("the server");
    match whole {
        Some(bytes) => tracing::info!("fetching {name} from {host}, {:.1} MiB", mebibytes(bytes)),
        None => tracing::info!("fetching {name} from {host}"),
    }
}

/// Logs each completed tenth of a large file.
fn log_progress(name: &str, had: u64, has: u64, whole: Option<u64>) {
    let Some(whole) = whole.filter(|whole| *whole > LARGE) else {
        return;
    };
    let tenths = |bytes: u64| bytes / whole.div_ceil(10);
    if tenths(has) > tenths(had) {
        tracing::info!("fetching {name}: {} of {:.1} MiB", mebibytes(has).round(), mebibytes(whole));
    }
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

//! SHA-256 digests of files: they name fetched files in the cache and verify their content.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use datafusion::common::runtime::SpawnedTask;
use sha2::{Digest, Sha256};

/// Computes the SHA-256 of a file in lower-case hex.
///
/// # Errors
/// A reason, as the end of a sentence.
pub(crate) async fn digest(path: &Path) -> Result<String, String> {
    let path = path.to_owned();
    let hashed = SpawnedTask::spawn_blocking(move || digest_of(&path));
    match hashed.join().await {
        Ok(Ok(digest)) => Ok(digest),
        Ok(Err(error)) => Err(format!("can't be read back: {error}")),
        Err(error) => Err(format!("can't be read back: {error}")),
    }
}

/// As [`digest`], in this thread.
///
/// # Errors
/// A file that can't be read.
pub(crate) fn digest_of(path: &Path) -> io::Result<String> {
    let (mut hash, mut file) = (Sha256::new(), BufReader::with_capacity(1 << 18, File::open(path)?));
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            break;
        }
        hash.update(bytes);
        let length = bytes.len();
        file.consume(length);
    }
    Ok(hex(&hash.finalize()))
}

/// Formats bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

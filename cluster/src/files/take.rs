//! The executor's side: it asks for a file that it lacks.

use std::path::Path;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::messages::Asked;
use super::service::files_client::FilesClient;
use crate::connect::Connection;
use crate::{Address, Security};

/// How long no part may come.
const SILENCE: Duration = Duration::from_secs(60);

/// A file that a plan names.
#[derive(Debug, Clone)]
pub struct WantedFile {
    /// The secret of the plan.
    pub secret: String,
    /// The file's SHA-256 in lower-case hex.
    pub digest: String,
    /// Its bytes.
    pub bytes: u64,
}

/// Writes a file that a client of the scheduler offers to `target`. The digest is not checked.
///
/// # Errors
/// A reason, as the end of a sentence: nobody offers it, the connection broke, it has another length, it can't be written.
pub async fn take(
    address: &Address,
    security: &Security,
    wanted: &WantedFile,
    target: &Path,
) -> Result<(), String> {
    let WantedFile { secret, digest, bytes } = wanted;
    let connection = Connection::open(address, security).await.map_err(|error| error.to_string())?;
    let asked = Asked { secret: secret.clone(), digest: digest.clone() };
    let parts = FilesClient::new(connection.channel()).take(asked).await;
    let parts = parts.map_err(|status| connection.reason(&status))?;
    let mut parts = parts.into_inner();
    let unwritable = |error: std::io::Error| format!("'{}' can't be written: {error}", target.display());
    let mut file = File::create(target).await.map_err(unwritable)?;
    let mut had = 0;
    loop {
        let part = tokio::time::timeout(SILENCE, parts.message()).await;
        let part = part.map_err(|_| format!("received nothing for {} seconds", SILENCE.as_secs()))?;
        let Some(part) = part.map_err(|status| format!("it broke off: {}", status.message()))? else { break };
        if !part.failure.is_empty() {
            return Err(part.failure);
        }
        had += part.bytes.len() as u64;
        if had > *bytes {
            return Err(format!("it has more than the {bytes} bytes of the plan"));
        }
        file.write_all(&part.bytes).await.map_err(unwritable)?;
    }
    file.sync_all().await.map_err(unwritable)?;
    if had == *bytes { Ok(()) } else { Err(format!("it broke off after {had} of {bytes} bytes")) }
}

//! The destination of results: standard output, or the file of `\o`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use crate::shell::progress::Progress;
use crate::{Error, Result};

/// A destination for results; clones write to the same one.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// Standard output, and the progress to clear before the first write if both may be on the same terminal.
    Standard(Option<Progress>),
    File(Arc<File>),
}

impl Output {
    pub(crate) fn standard(progress: &Progress) -> Self {
        let is_shared = progress.is_redrawn() && (io::stdout().is_terminal() || is_piped());
        Self::Standard(is_shared.then(|| progress.clone()))
    }

    /// A new file, or an existing one truncated.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        Ok(Self::File(Arc::new(file)))
    }
}

/// Whether standard output is a pipe: its reader, such as `head`, may write to the terminal amid the progress lines.
#[cfg(unix)]
fn is_piped() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;
    let copy = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    copy.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_piped() -> bool {
    false
}

impl Write for Output {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match self {
            Self::Standard(progress) => {
                if let Some(progress) = progress {
                    progress.stop();
                }
                io::stdout().write(text)
            }
            Self::File(file) => file.as_ref().write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(_) => io::stdout().flush(),
            Self::File(file) => file.as_ref().flush(),
        }
    }
}

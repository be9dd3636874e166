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
    /// Standard output, and the progress to clear before the first write if standard output is a terminal.
    Standard(Option<Progress>),
    File(Arc<File>),
}

impl Output {
    pub(crate) fn standard(progress: &Progress) -> Self {
        Self::Standard(io::stdout().is_terminal().then(|| progress.clone()))
    }

    /// A new file, or an existing one truncated.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|source| Error::Io { path: path.to_path_buf(), source })?;
        Ok(Self::File(Arc::new(file)))
    }
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

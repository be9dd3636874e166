//! The destination of results: standard output, or the file of `\o`.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;

use crate::shell::print::Format;
use crate::shell::progress::Progress;
use crate::{Error, Result};

/// A destination for results; clones write to the same one.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    /// Standard output, and the progress to clear before the first write if both may be on the same terminal.
    Standard(Option<Progress>),
    File(Arc<ResultFile>),
}

/// A file for results, which replace its content when the first of them is written.
#[derive(Debug)]
pub(crate) struct ResultFile {
    path: PathBuf,
    file: File,
    is_replaced: AtomicBool,
}

impl Output {
    pub(crate) fn standard(progress: &Progress) -> Self {
        let is_shared = progress.is_redrawn() && (io::stdout().is_terminal() || is_piped());
        Self::Standard(is_shared.then(|| progress.clone()))
    }

    /// Opens a file, or creates it, so that a wrong name fails before any query runs.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let path = path.to_path_buf();
        match File::options().write(true).create(true).truncate(false).open(&path) {
            Ok(file) => {
                Ok(Self::File(Arc::new(ResultFile { path, file, is_replaced: AtomicBool::new(false) })))
            }
            Err(source) => Err(Error::Io { path, source }),
        }
    }

    /// The format that a file's name asks for.
    pub(crate) fn format(&self) -> Option<Format> {
        match self {
            Self::Standard(_) => None,
            Self::File(file) => Format::of_file(&file.path),
        }
    }

    /// Width of the terminal in characters, `$COLUMNS` if that is set; `None` if this is no terminal.
    pub(crate) fn width(&self) -> Option<usize> {
        if matches!(self, Self::File(_)) || !io::stdout().is_terminal() {
            return None;
        }
        let chosen = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let width = chosen.or_else(|| Some(usize::from(Term::stdout().size_checked()?.1)));
        width.filter(|width| *width > 0)
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(_) => f.write_str("standard output"),
            Self::File(file) => file.path.display().fmt(f),
        }
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
            Self::File(file) => file.write(text),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Standard(_) => io::stdout().flush(),
            Self::File(file) => (&file.file).flush(),
        }
    }
}

impl ResultFile {
    fn write(&self, text: &[u8]) -> io::Result<usize> {
        // Devices and pipes have no content to replace.
        if !self.is_replaced.swap(true, Ordering::Relaxed) && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        (&self.file).write(text)
    }
}

//! A file that appears, or is replaced, when it is complete.

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A file beside its later place: an interrupted run leaves what was there before.
#[derive(Debug)]
pub(crate) struct PartFile<'a> {
    file: &'a Path,
    part: BufWriter<NamedTempFile>,
}

impl<'a> PartFile<'a> {
    /// # Errors
    /// A folder that can't be written.
    pub(crate) fn create(file: &'a Path) -> Result<Self> {
        let folder =
            file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".seequel-").suffix(".part");
        if let Some(permissions) = usual_permissions() {
            builder.permissions(permissions);
        }
        let part = builder.tempfile_in(folder).map_err(|source| at(file, source))?;
        Ok(Self { file, part: BufWriter::new(part) })
    }

    /// # Errors
    /// A full disk, for instance.
    pub(crate) fn write(&mut self, text: &str) -> Result<()> {
        self.part.write_all(text.as_bytes()).map_err(|source| at(self.file, source))
    }

    /// Moves the file to its place.
    ///
    /// # Errors
    /// A place that can't be written.
    pub(crate) fn finish(self) -> Result<()> {
        let part = self.part.into_inner().map_err(|error| at(self.file, error.into_error()))?;
        part.persist(self.file).map_err(|error| at(self.file, error.error))?;
        Ok(())
    }
}

/// Those of a new file, not of a temporary one, which only its owner may read.
#[cfg(unix)]
fn usual_permissions() -> Option<Permissions> {
    use std::os::unix::fs::PermissionsExt;
    Some(Permissions::from_mode(0o666))
}

#[cfg(not(unix))]
fn usual_permissions() -> Option<Permissions> {
    None
}

fn at(file: &Path, source: std::io::Error) -> Error {
    Error::Io { path: file.to_path_buf(), source }
}

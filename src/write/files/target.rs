//! What a statement writes, and what may be there already.

use std::fmt;
use std::path::{Path, PathBuf, is_separator};
use std::str::FromStr;

use datafusion::datasource::listing::ListingTableUrl;
use datafusion::datasource::physical_plan::{FileOutputMode, FileSinkConfig};
use datafusion::error::{DataFusionError, Result};
use datafusion::object_store::path::Path as StorePath;
use url::Url;

use crate::Error;

/// The option of COPY for a target that exists, as DataFusion's parser names it.
pub(crate) const MODE: &str = "format.mode";

/// Maximum number of files counted for a message.
pub(in crate::write) const MOST_COUNTED: usize = 10_000;

/// Extensions after that of a format, if its files are compressed.
const COMPRESSIONS: [&str; 4] = ["gz", "bz2", "xz", "zst"];

/// How a statement treats a target that exists: `OPTIONS ('mode' …)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::write) enum Mode {
    /// The statement fails: the default for folders.
    Error,
    /// Its files are replaced, once all new ones are complete: the default for a file.
    Overwrite,
    /// Files are added.
    Append,
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "overwrite" => Ok(Self::Overwrite),
            "append" => Ok(Self::Append),
            _ => Err(format!("mode is 'overwrite', 'append' or 'error', not '{text}'")),
        }
    }
}

/// Whether a statement writes one file, or any number of files below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::write) enum Kind {
    File,
    Folder,
}

/// The file or folder that a statement writes.
#[derive(Debug, Clone)]
pub(in crate::write) struct Target {
    /// The location in the user's words.
    written: String,
    url: ListingTableUrl,
    pub(in crate::write) kind: Kind,
    pub(in crate::write) mode: Mode,
    /// Extension of the format, without compression.
    extension: String,
}

impl Target {
    /// The target of a COPY to files of the format with this `extension`.
    ///
    /// # Errors
    /// A target with wildcards, or one file in mode `append`.
    pub(in crate::write) fn of_copy(
        config: &FileSinkConfig,
        mode: Option<Mode>,
        extension: String,
    ) -> Result<Self> {
        let written = config.original_url.clone();
        let Some(url) = config.table_paths.first().cloned() else {
            return Err(refused(&written, "there is no target"));
        };
        if url.get_glob().is_some() {
            return Err(refused(&written, "a target can't have the wildcards *, ? and ["));
        }
        let kind = kind(config, &url);
        let mode = match (kind, mode) {
            (Kind::File, Some(Mode::Append)) => {
                let reason =
                    "rows can't be appended to a file, only files to a folder; name a folder, such as";
                let folder = Path::new(&written).with_extension("");
                return Err(refused(&written, format!("{reason} '{}/'", folder.display())));
            }
            (Kind::File, None) => Mode::Overwrite,
            (Kind::Folder, None) => Mode::Error,
            (_, Some(mode)) => mode,
        };
        Ok(Self { written, url, kind, mode, extension })
    }

    /// The folder of a COPY whose parts are added to those that are there.
    ///
    /// # Errors
    /// A target with wildcards, or one file.
    pub(in crate::write) fn of_parts(config: &FileSinkConfig, extension: String) -> Result<Self> {
        let target = Self::of_copy(config, Some(Mode::Overwrite), extension)?;
        if target.kind == Kind::File {
            let folder = Path::new(&target.written).with_extension("");
            let reason = "resume writes a folder of part files; name a folder, such as";
            return Err(target.refused(format!("{reason} '{}/'", folder.display())));
        }
        Ok(Self { mode: Mode::Append, ..target })
    }

    /// The folder of a COPY whose plan came from another machine; `written` is the location in the user's words.
    ///
    /// # Errors
    /// A location that is no URL.
    #[cfg(feature = "cluster")]
    pub(in crate::write) fn sent(written: String, url: &str, extension: String) -> Result<Self> {
        let url = ListingTableUrl::parse(url)?;
        Ok(Self { written, url, kind: Kind::Folder, mode: Mode::Append, extension })
    }

    /// The folder of a table of files.
    pub(in crate::write) fn of_table(url: &ListingTableUrl, mode: Mode, extension: String) -> Self {
        let path = local_path(url);
        let written = path.map_or_else(|| url.to_string(), |path| path.display().to_string());
        Self { written, url: url.clone(), kind: Kind::Folder, mode, extension }
    }

    /// A file that a statement writes beside its results, and that is replaced.
    pub(in crate::write) fn of_file(written: String, url: ListingTableUrl) -> Self {
        let extension = Path::new(&written).extension().unwrap_or_default().to_string_lossy().into_owned();
        Self { written, url, kind: Kind::File, mode: Mode::Overwrite, extension }
    }

    /// The location in the user's words.
    pub(in crate::write) fn written(&self) -> &str {
        &self.written
    }

    pub(in crate::write) fn url(&self) -> &ListingTableUrl {
        &self.url
    }

    /// The file or folder on this machine; `None` if it is in a remote store.
    pub(in crate::write) fn local_path(&self) -> Option<PathBuf> {
        local_path(&self.url)
    }

    /// An error about this target.
    pub(in crate::write) fn refused(&self, reason: impl fmt::Display) -> DataFusionError {
        refused(&self.written, reason)
    }

    /// The error for a file that exists in mode `error`.
    pub(in crate::write) fn exists(&self) -> DataFusionError {
        self.refused("the file exists; OPTIONS ('mode' 'overwrite') replaces it")
    }

    /// The error for a folder that has a file of the name of a new one.
    pub(in crate::write) fn has(&self, file: &dyn fmt::Display) -> DataFusionError {
        self.refused(format!("{file} exists already; OPTIONS ('mode' 'overwrite') replaces it"))
    }

    /// The error for a folder that holds files in mode `error`, of which at most [`MOST_COUNTED`] are counted.
    pub(in crate::write) fn holds(&self, files: usize) -> DataFusionError {
        let Self { extension, .. } = self;
        let files = counted(files);
        self.refused(format!(
            "the folder holds {files}; OPTIONS ('mode' 'overwrite') replaces its {extension} files, 'append' adds to \
             them, and 'error', the default, writes only to a folder without files"
        ))
    }

    /// Whether a file below the folder, at this path relative to it, is replaced by mode `overwrite`: it has the
    /// extension of the format, or of one of the new files.
    pub(in crate::write) fn replaces(&self, path: &StorePath, new: &[StorePath]) -> bool {
        let name = path.filename().unwrap_or_default();
        let mut parts = name.rsplit('.');
        let last = parts.next();
        let is_compressed = last.is_some_and(|last| COMPRESSIONS.contains(&last));
        let has_extension = name.contains('.') && last == Some(self.extension.as_str())
            || is_compressed && parts.next() == Some(self.extension.as_str());
        let same = |file: &StorePath| path.extension().is_some() && file.extension() == path.extension();
        has_extension || new.iter().any(same)
    }
}

/// Whether what is below a folder belongs to it as its data: visible files, and in folders of partitions. Other folders,
/// which tables over the folder don't read either, are neither counted nor replaced.
pub(in crate::write) fn is_data(name: &str, is_folder: bool) -> bool {
    !name.starts_with('.') && (!is_folder || name.contains('='))
}

/// A number of files, of which at most [`MOST_COUNTED`] were counted.
pub(in crate::write) fn counted(files: usize) -> String {
    match files {
        1 => "1 file".to_string(),
        MOST_COUNTED => format!("{MOST_COUNTED} files or more"),
        files => format!("{files} files"),
    }
}

fn refused(written: &str, reason: impl fmt::Display) -> DataFusionError {
    Error::Target { target: written.to_string(), reason: reason.to_string() }.into()
}

/// Like DataFusion, which takes a name with an extension for a file; but a folder of such a name does not change that.
fn kind(config: &FileSinkConfig, url: &ListingTableUrl) -> Kind {
    if !config.table_partition_cols.is_empty() {
        return Kind::Folder;
    }
    let written = &config.original_url;
    let is_file = match config.file_output_mode {
        FileOutputMode::SingleFile => true,
        FileOutputMode::Directory => false,
        mode if url.is_collection() && !written.ends_with(is_separator) => {
            mode == FileOutputMode::Automatic && Path::new(written).extension().is_some()
        }
        mode => mode.single_file_output(url),
    };
    if is_file { Kind::File } else { Kind::Folder }
}

fn local_path(url: &ListingTableUrl) -> Option<PathBuf> {
    let url: &Url = url.as_ref();
    let path = if url.scheme() == "file" { url.to_file_path().ok() } else { None };
    // Without a slash at the end, behind which the system finds no file.
    path.map(|path| path.components().collect())
}
